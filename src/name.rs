//! Names: checkpoint ids, labels of people and organizations, and prose.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::{MixedScript as _, skeleton};

use crate::digest::serde_as_text;
use crate::visible::{is_plain, one_line, quoted};

/// A text does not have the form of its type.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub struct NameError {
    text: String,
    expected: &'static str,
    /// The number of characters, if it exceeds the limit.
    too_long: Option<usize>,
}

/// Longest [`Prose`], in characters.
const MAX_PROSE: usize = 4000;

impl NameError {
    fn new(text: &str, expected: &'static str) -> Self {
        Self { text: one_line(&text.chars().take(80).collect::<String>()), expected, too_long: None }
    }

    fn of_prose(text: &str) -> Self {
        let count = text.chars().count();
        let too_long = (count > MAX_PROSE).then_some(count);
        Self { too_long, ..Self::new(text, "a text: use 1 to 4,000 visible characters") }
    }

    fn words(&self) -> String {
        let Self { text, expected, too_long } = self;
        match too_long {
            Some(count) => format!("it has {count} characters; at most {MAX_PROSE} are accepted"),
            None => format!("`{text}` is not {expected}"),
        }
    }
}

const EXPECTED_ID: &str =
    "a checkpoint id: use 1 to 64 of a-z, 0-9, `.`, `-` and `_`, beginning with a letter or digit";

/// A checkpoint's id, such as `gpt2-1.5b`: 1 to 64 of `a-z`, `0-9`, `.`, `-` and `_`, beginning with a letter or digit. Safe as a file
/// name and in a URL.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CheckpointId(String);

impl CheckpointId {
    /// Returns the id as text.
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

/// The name of a person or an organization: 1 to 120 characters on one line, in Unicode's form NFC, none hidden ([`crate::visible`]), words
/// separated by one space (U+0020).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

impl Label {
    /// Returns the label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Label {
    /// Whether a word mixes scripts that no language combines, such as a Cyrillic letter in a Latin name (UTS #39, 5.1).
    pub fn has_mixed_scripts(&self) -> bool {
        self.0.split_whitespace().any(|word| !word.is_single_script())
    }

    /// Whether a reader may mistake it for `other`: the same text, or letters that look the same (UTS #39, 4).
    pub fn is_confusable_with(&self, other: &Self) -> bool {
        let seen = |name: &Self| name.0.to_lowercase();
        skeleton(&seen(self)).eq(skeleton(&seen(other)))
    }
}

impl FromStr for Label {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::new(text, "a name: use 1 to 120 visible characters on one line");
        // Bound the length before normalization, which expands a character to at most three.
        if text.trim() != text || text.is_empty() || text.chars().take(361).count() > 360 {
            return Err(refused());
        }
        // Different encodings of one name become one name.
        let name: String = text.nfc().collect();
        let is_short = (1..=120).contains(&name.chars().count());
        let is_blank = |c: char| c.is_whitespace() && c != ' ' || matches!(c, '\u{fe0f}' | '\u{2800}');
        if is_short && !name.contains(is_blank) && !name.contains("  ") && is_plain(&name) {
            Ok(Self(name))
        } else {
            Err(refused())
        }
    }
}

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(Label);

/// Free text for other people, such as a purpose or a reason: 1 to 4,000 characters; line breaks are allowed, other controls are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prose(String);

impl Prose {
    /// Returns the text, line breaks included.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Prose {
    /// Formats the whole text, each further line indented and marked ([`quoted`]).
    pub fn quoted(&self, indent: usize) -> String {
        quoted(&self.0, indent)
    }
}

impl FromStr for Prose {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let count = text.chars().take(MAX_PROSE + 1).count();
        if text.trim() == text && (1..=MAX_PROSE).contains(&count) && !text.contains('\t') && is_plain(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::of_prose(text))
        }
    }
}

/// On one line, so that prose cannot begin a line that looks like the program's own output.
impl fmt::Display for Prose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&one_line(&self.0))
    }
}

impl Serialize for Prose {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Prose {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

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
        for bad in ["Example\u{a0}Lab", "Example  Lab", "Ada\u{fe0f}", "Ada\u{2800}", "Example\u{3000}Lab"] {
            assert!(bad.parse::<Label>().is_err(), "{bad:?}");
        }
        for hidden in ['\u{61c}', '\u{2060}', '\u{ad}', '\u{3164}', '\u{180e}', '\u{e0041}', '\u{200d}'] {
            assert!(format!("Ada{hidden}Lovelace").parse::<Label>().is_err(), "{hidden:?}");
        }
        assert_eq!("می\u{200c}خواهم".parse::<Label>().unwrap().as_str(), "می\u{200c}خواهم");
    }

    #[test]
    fn a_name_that_may_be_taken_for_another_is_known() {
        let label = |text: &str| text.parse::<Label>().unwrap();
        for mixed in ["\u{410}da", "Ad\u{430} Lovelace", "\u{3bf}scar"] {
            assert!(label(mixed).has_mixed_scripts(), "{mixed}");
        }
        for plain in
            ["Ada", "Ada \u{418}ванова", "Zo\u{eb} \u{c5}ngstr\u{f6}m", "東京タワー", "Lab 7", "O'Brien"]
        {
            assert!(!label(plain).has_mixed_scripts(), "{plain}");
        }
        assert!(label("\u{430}d\u{430}").is_confusable_with(&label("ada")));
        assert!(
            label("Ada").is_confusable_with(&label("ada")) && !label("Ada").is_confusable_with(&label("Ida"))
        );
    }

    #[test]
    fn two_ways_to_write_a_name_are_one_name() {
        let (composed, decomposed) = ("Universit\u{e9}", "Universite\u{301}");
        assert_eq!(composed.parse::<Label>().unwrap(), decomposed.parse::<Label>().unwrap());
    }
}
