//! Names that people choose and programs compare.

use std::fmt;
use std::str::FromStr;

use crate::digest::serde_as_text;

/// A name is not of the form that its type demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {expected}")]
pub struct NameError {
    text: String,
    expected: &'static str,
}

impl NameError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: text.chars().take(80).collect(), expected }
    }
}

const EXPECTED_ID: &str =
    "a checkpoint id: use 1 to 64 of a-z, 0-9, `.`, `-` and `_`, beginning with a letter or digit";

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
            Err(NameError::new(text, EXPECTED_ID))
        }
    }
}

impl fmt::Display for CheckpointId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(CheckpointId);

/// Controls and direction marks: they can make one text look like another.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// What a person or an organization is called: 1 to 120 characters on one line, none of them invisible controls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

impl Label {
    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Label {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let count = text.chars().take(121).count();
        if text.trim() == text && (1..=120).contains(&count) && !text.chars().any(is_hidden) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(text, "a name: use 1 to 120 visible characters on one line"))
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Label);

/// What a person writes for others to read, such as a purpose or a reason: 1 to 4,000 characters, lines allowed, no other
/// controls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prose(String);

impl Prose {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Prose {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let count = text.chars().take(4001).count();
        let is_plain = |c: char| c == '\n' || !is_hidden(c);
        if text.trim() == text && (1..=4000).contains(&count) && text.chars().all(is_plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::new(text, "a text: use 1 to 4,000 visible characters"))
        }
    }
}

impl fmt::Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Prose);

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

    #[test]
    fn a_label_cannot_hide_anything() {
        for good in ["Ada", "Zoë Ångström", "University of Oregon", &"é".repeat(120)] {
            assert_eq!(good.parse::<Label>().unwrap().as_str(), good);
        }
        for bad in ["", " Ada", "Ada\n", "A\u{202e}da", "\u{200b}", "\u{1b}[31m", &"a".repeat(121)] {
            assert!(bad.parse::<Label>().is_err(), "{bad:?}");
        }
    }
}
