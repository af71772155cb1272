//! OLPC canonical JSON, which TUF signs: no white space, keys ordered by code point, integers only, and in strings no escapes except `\"`
//! and `\\`.
//!
//! The `olpc-cjson` crate is not used: it normalizes strings to NFC, python-tuf does not, and two different documents would share one
//! signature.

use serde_json::Value;

/// A value has no canonical form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{number}` is not a 64-bit integer, which canonical JSON requires")]
pub struct NotCanonical {
    number: String,
}

/// Serializes `value` in canonical form, the bytes that are signed.
///
/// # Errors
/// [`NotCanonical`] if a number is not a 64-bit integer.
pub fn canonical_json(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    let mut out = Vec::new();
    write(value, &mut out)?;
    Ok(out)
}

// serde_json's parser limits the depth of a value, and so of this recursion, to 128.
fn write(value: &Value, out: &mut Vec<u8>) -> Result<(), NotCanonical> {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::Number(number) if number.is_i64() || number.is_u64() => {
            out.extend_from_slice(number.to_string().as_bytes());
        }
        Value::Number(number) => return Err(NotCanonical { number: number.to_string() }),
        Value::String(text) => write_string(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write(item, out)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            // The order of UTF-8 bytes is that of code points; the map's own order may be that of insertion.
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            out.push(b'{');
            for (i, (key, value)) in fields.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_string(key, out);
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

fn write_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for byte in text.bytes() {
        if matches!(byte, b'"' | b'\\') {
            out.push(b'\\');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> String {
        String::from_utf8(canonical_json(value).unwrap()).unwrap()
    }

    #[test]
    fn the_form_is_that_of_securesystemslib() {
        // tests/peers/python_tuf.py compares more of them with the original.
        for (value, expected) in [
            (json!({"b": 1, "a": [true, false, null, -3]}), r#"{"a":[true,false,null,-3],"b":1}"#),
            (json!({"a!": 1, "a": 2, "a\"": 3}), r#"{"a":2,"a!":1,"a\"":3}"#),
            (json!("line\nbreak \\ \"quote\""), "\"line\nbreak \\\\ \\\"quote\\\"\""),
            (json!(u64::MAX), "18446744073709551615"),
            (json!("e\u{301} \u{e9} \u{1f600}"), "\"e\u{301} \u{e9} \u{1f600}\""),
        ] {
            assert_eq!(text(&value), expected);
        }
    }

    #[test]
    fn fractions_have_no_canonical_form() {
        let refusal = canonical_json(&json!({"a": 0.5})).unwrap_err().to_string();
        assert_eq!(refusal, "`0.5` is not a 64-bit integer, which canonical JSON requires");
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            // Control characters are written as they are, so no JSON parser reads them back.
            "[^\\x00-\\x1f]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("[^\\x00-\\x1f]{0,6}", inner, 0..6)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn it_reads_back_as_the_same_value(value in values()) {
            let bytes = canonical_json(&value).unwrap();
            let back: Value = serde_json::from_slice(&bytes).unwrap();
            prop_assert_eq!(&back, &value);
            prop_assert_eq!(canonical_json(&back).unwrap(), bytes);
        }
    }
}
