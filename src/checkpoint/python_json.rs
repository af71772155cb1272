//! Parses JSON objects that Python wrote.
//!
//! `json.dump` writes `NaN`, `Infinity` and `-Infinity`, which are not JSON. They are parsed as strings: an unused setting may have such
//! a value, and a used one fails, since a string is not a number.

use serde_json::{Map, Value};

use super::foreign::{self, ForeignFormat};

/// Bytes are not a JSON object.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum JsonError {
    /// The file has an unsupported format.
    #[error("it {0}")]
    Foreign(ForeignFormat),
    /// A byte order mark, which JSON does not allow; transformers refuses it, too.
    #[error("it begins with a byte order mark, which JSON does not allow")]
    ByteOrderMark,
    /// A syntax error or a duplicate key.
    #[error(transparent)]
    Malformed(#[from] serde_json::Error),
    /// The JSON value is not an object.
    #[error("it is {found}, not an object")]
    NotAnObject { found: &'static str },
}

/// Parses a JSON object.
///
/// # Errors
/// Every variant of [`JsonError`].
pub fn parse_object(bytes: &[u8]) -> Result<Map<String, Value>, JsonError> {
    if let Some(foreign) = foreign::recognize_bytes(bytes) {
        return Err(JsonError::Foreign(foreign));
    }
    if bytes.starts_with(b"\xef\xbb\xbf") || bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff")
    {
        return Err(JsonError::ByteOrderMark);
    }
    match crate::json::from_slice(&quote_python_numbers(bytes))? {
        Value::Object(object) => Ok(object),
        other => Err(JsonError::NotAnObject { found: kind(&other) }),
    }
}

/// The type of a value, for messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Formats a value for messages, shortened.
pub(super) fn shown(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let mut shown = String::new();
    for character in text.chars().take(80) {
        match character {
            '"' | '\'' => shown.push(character),
            other => shown.extend(other.escape_debug()),
        }
    }
    shown
}

/// Quotes Python's three special numbers outside strings.
fn quote_python_numbers(bytes: &[u8]) -> Vec<u8> {
    const NUMBERS: [&[u8]; 3] = [b"-Infinity", b"Infinity", b"NaN"];
    let mut out = Vec::with_capacity(bytes.len() + 16);
    let (mut at, mut in_string) = (0, false);
    while let Some(&byte) = bytes.get(at) {
        if in_string && byte == b'\\' {
            out.extend_from_slice(&bytes[at..bytes.len().min(at + 2)]);
            at += 2;
            continue;
        }
        in_string ^= byte == b'"';
        let number = NUMBERS.iter().find(|number| !in_string && bytes[at..].starts_with(number));
        if let Some(number) = number {
            out.push(b'"');
            out.extend_from_slice(number);
            out.push(b'"');
            at += number.len();
        } else {
            out.push(byte);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_writes_is_read_and_what_is_no_object_is_not() {
        let object = parse_object(br#"{"a": NaN, "b": [-Infinity, Infinity], "c \" NaN": "NaN"}"#).unwrap();
        assert_eq!(
            Value::Object(object).to_string(),
            r#"{"a":"NaN","b":["-Infinity","Infinity"],"c \" NaN":"NaN"}"#
        );
        let refusal = |bytes: &[u8]| parse_object(bytes).unwrap_err().to_string();
        insta::assert_snapshot!([
            refusal(b"\xef\xbb\xbf{}"),
            refusal(b"[]"),
            refusal(b"NaN"),
            refusal(b"{\"a\": nan}"),
            refusal(b"{\"a\": \"\\"),
            refusal(b"{\"a\": 1, \"a\": 2}"),
            refusal(b""),
        ].join("\n"), @r#"
        it begins with a byte order mark, which JSON does not allow
        it is a list, not an object
        it is text, not an object
        expected ident at line 1 column 8
        EOF while parsing a string at line 1 column 8
        duplicate key "a" at line 1 column 12
        EOF while parsing a value at line 1 column 0
        "#);
    }
}
