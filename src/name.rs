//! Names that people choose and programs compare.

use std::fmt;
use std::str::FromStr;

use crate::digest::serde_as_text;

/// A name is not of the form that its type demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not a checkpoint id: use 1 to 64 of a-z, 0-9, `.`, `-` and `_`, beginning with a letter or digit"
)]
pub struct NameError {
    text: String,
}

/// A checkpoint's id, such as `gpt2-1.5b`; safe as a file name and in a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointId(String);

impl CheckpointId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CheckpointId {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let allowed = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
        let begins_well = text.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric());
        if begins_well && text.len() <= 64 && text.bytes().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError { text: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(CheckpointId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkpoint_id_is_safe_as_a_file_name() {
        for good in ["gpt2-1.5b", "demo-small", "a", "0", "my_model.v2"] {
            assert_eq!(good.parse::<CheckpointId>().unwrap().as_str(), good);
        }
        for bad in ["", ".", "..", "-x", "_x", "A", "a/b", "a b", "é", &"a".repeat(65)] {
            assert!(bad.parse::<CheckpointId>().is_err(), "{bad}");
        }
    }
}
