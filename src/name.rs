//! Names that people choose and programs compare.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::{MixedScript as _, skeleton};

use crate::digest::serde_as_text;
use crate::visible::{is_plain, one_line, quoted};

/// A name is not of the form that its type demands.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.words())]
pub struct NameError {
    text: String,
    expected: &'static str,
    /// How many characters it has, where those are too many.
    too_long: Option<usize>,
}

/// Most characters of a text for others to read.
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
            Some(count) => format!("it has {count} characters, and at most {MAX_PROSE} are taken"),
            None => format!("`{text}` is not {expected}"),
        }
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

/// What a person or an organization is called: 1 to 120 characters on one line, in Unicode's form NFC, none of them hidden
/// ([`crate::visible`]), its words parted by one space (U+0020) each.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Label(String);

impl Label {
    /// The label as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Label {
    /// Whether a word of it mixes scripts that no language writes together, such as a Cyrillic letter in a Latin name (UTS #39, 5.1).
    pub fn mixes_scripts(&self) -> bool {
        self.0.split_whitespace().any(|word| !word.is_single_script())
    }

    /// Whether people may take it for another name: the same, or letters that look the same (UTS #39, 4).
    pub fn looks_like(&self, other: &Self) -> bool {
        let seen = |name: &Self| name.0.to_lowercase();
        skeleton(&seen(self)).eq(skeleton(&seen(other)))
    }
}

impl FromStr for Label {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::new(text, "a name: use 1 to 120 visible characters on one line");
        // Bounded before it is normalized: one character becomes at most three.
        if text.trim() != text || text.is_empty() || text.chars().take(361).count() > 360 {
            return Err(refused());
        }
        // Two ways to write one name are one name.
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

impl Prose {
    /// The whole text, its lines behind one another ([`quoted`]).
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

/// On one line: what follows it in a line of this program's own is not mistaken for the program's word.
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
            assert!(label(mixed).mixes_scripts(), "{mixed}");
        }
        for plain in
            ["Ada", "Ada \u{418}ванова", "Zo\u{eb} \u{c5}ngstr\u{f6}m", "東京タワー", "Lab 7", "O'Brien"]
        {
            assert!(!label(plain).mixes_scripts(), "{plain}");
        }
        assert!(label("\u{430}d\u{430}").looks_like(&label("ada")));
        assert!(label("Ada").looks_like(&label("ada")) && !label("Ada").looks_like(&label("Ida")));
    }

    #[test]
    fn two_ways_to_write_a_name_are_one_name() {
        let (composed, decomposed) = ("Universit\u{e9}", "Universite\u{301}");
        assert_eq!(composed.parse::<Label>().unwrap(), decomposed.parse::<Label>().unwrap());
    }
}
