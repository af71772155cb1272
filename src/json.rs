//! Strict JSON: one document has one meaning.
//!
//! serde's derived deserializers accept a list for a struct (its fields in order) and keep the last of two equal keys of a map. Two
//! programs could read the same signed bytes differently, and a person could sign something else than they were shown. This module
//! accepts only objects for structs and refuses duplicate keys. All JSON that this program reads goes through it; `tests/architecture.rs`
//! checks that.

mod strict;

use serde::de::{DeserializeOwned, Deserializer};
use serde_json::{Error, Value};

use strict::Strict;

/// Parses one JSON document.
///
/// # Errors
/// A syntax error, a duplicate key or a value of another type, with line and column.
pub(crate) fn from_slice<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = T::deserialize(Strict(&mut reader))?;
    reader.end().map(|()| read)
}

/// As [`from_slice`], from text.
pub(crate) fn from_str<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let read = T::deserialize(Strict(&mut reader))?;
    reader.end().map(|()| read)
}

/// Parses a document for a type whose own deserializer accepts only objects and checks for duplicate keys, so that its error says more.
pub(crate) fn from_str_with_own_key_check<T: DeserializeOwned>(text: &str) -> Result<T, Error> {
    serde_json::from_str(text)
}

/// Converts a parsed JSON value.
pub(crate) fn from_value<T: DeserializeOwned>(value: &Value) -> Result<T, Error> {
    deserialize_strict(value)
}

/// Deserializes from another format, such as TOML, by the same rules.
pub(crate) fn deserialize_strict<'de, T: serde::Deserialize<'de>, D: Deserializer<'de>>(
    reader: D,
) -> Result<T, D::Error> {
    T::deserialize(Strict(reader))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;
    use serde_json::value::RawValue;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        a: u32,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Choice {
        Unit,
        Boxed(Box<Inner>),
        Pair(u8, u8),
        Named { b: u8 },
    }

    #[derive(Debug, Deserialize)]
    struct Outer {
        inner: Inner,
        #[serde(default)]
        list: Vec<Inner>,
        #[serde(default)]
        map: BTreeMap<u64, Inner>,
        #[serde(default)]
        choice: Option<Choice>,
        #[serde(default)]
        raw: Option<Box<RawValue>>,
        #[serde(default)]
        fixed: Option<[Inner; 1]>,
    }

    fn refused<T: DeserializeOwned + std::fmt::Debug>(text: &str) -> String {
        from_str::<T>(text).unwrap_err().to_string()
    }

    #[test]
    fn a_list_is_no_object_at_any_depth() {
        let good = r#"{"inner":{"a":1},"list":[{"a":2}],"map":{"7":{"a":3}},"choice":{"boxed":{"a":4}},"raw":{"x":[1]},"fixed":[{"a":5}]}"#;
        let read: Outer = from_str(good).unwrap();
        assert_eq!((read.inner.a, read.list[0].a, read.map[&7].a), (1, 2, 3));
        assert_eq!(read.choice, Some(Choice::Boxed(Box::new(Inner { a: 4 }))));
        assert_eq!(read.raw.unwrap().get(), r#"{"x":[1]}"#);
        assert_eq!(read.fixed.unwrap()[0].a, 5);
        assert_eq!(
            refused::<Inner>("[1]"),
            "invalid type: sequence, expected struct Inner at line 1 column 0"
        );
        for bad in [
            r#"[{"a":1}]"#,
            r#"{"inner":[1]}"#,
            r#"{"inner":{"a":1},"list":[[2]]}"#,
            r#"{"inner":{"a":1},"map":{"7":[3]}}"#,
            r#"{"inner":{"a":1},"choice":{"boxed":[4]}}"#,
            r#"{"inner":{"a":1},"choice":{"named":[4]}}"#,
            r#"{"inner":{"a":1},"fixed":[[4]]}"#,
        ] {
            assert!(
                refused::<Outer>(bad).contains("invalid type: sequence"),
                "{bad}: {}",
                refused::<Outer>(bad)
            );
        }
        for (good, choice) in [
            (r#""unit""#, Choice::Unit),
            (r#"{"pair":[1,2]}"#, Choice::Pair(1, 2)),
            (r#"{"named":{"b":3}}"#, Choice::Named { b: 3 }),
        ] {
            assert_eq!(from_str::<Choice>(good).unwrap(), choice);
            assert_eq!(from_value::<Choice>(&from_str(good).unwrap()).unwrap(), choice);
        }
    }

    #[test]
    fn a_key_stands_once_at_any_depth_and_however_it_is_written() {
        assert_eq!(refused::<Value>(r#"{"a":1,"b":2,"a":3}"#), "duplicate key \"a\" at line 1 column 16");
        for bad in [
            r#"{"inner":{"a":1,"x":1,"x":2}}"#,
            r#"{"inner":{"a":1,"\u0061":2}}"#,
            r#"{"inner":{"a":1},"map":{"7":{"a":3},"7":{"a":3}}}"#,
            r#"{"inner":{"a":1},"choice":{"named":{"b":1,"b":1}}}"#,
        ] {
            assert!(refused::<Outer>(bad).contains("duplicate key"), "{bad}: {}", refused::<Outer>(bad));
        }
        let many: String = (0..200).map(|i| format!("\"k{i}\":0,")).collect();
        assert!(from_str::<BTreeMap<String, u8>>(&format!("{{{many}\"last\":0}}")).is_ok());
        assert!(refused::<BTreeMap<String, u8>>(&format!("{{{many}\"k150\":0}}")).contains("duplicate key"));
    }

    #[test]
    fn nothing_may_follow_a_document() {
        assert!(refused::<Inner>(r#"{"a":1} {"a":1}"#).contains("trailing characters"));
        assert!(from_slice::<Inner>(b"{\"a\":1}\n").is_ok());
    }
}
