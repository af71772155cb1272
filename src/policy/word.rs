//! The words of policies: names that are compared byte for byte, and so have a plain form.
//!
//! Authors of policies and requests choose these words. The form excludes words that look alike to a person and differ to the program:
//! lower-case ASCII for names, and no invisible characters in organizations.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::digest::serde_as_text;
use crate::hex;
use crate::name::{Label, NameError};

/// Maximum length in bytes.
const MAX_BYTES: usize = 64;

/// The text does not have the required form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not {what}: use {form}")]
pub struct WordError {
    text: String,
    what: &'static str,
    form: &'static str,
}

impl WordError {
    fn new(text: &str, what: &'static str, form: &'static str) -> Self {
        Self { text: text.escape_debug().take(80).collect(), what, form }
    }
}

macro_rules! word {
    ($name:ident, $doc:literal, $what:literal, $form:literal, $allowed:pat) => {
        #[doc = $doc]
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The word as text, without quotation marks.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = WordError;

            fn from_str(text: &str) -> Result<Self, WordError> {
                let begins_well = text.bytes().next().is_some_and(|c| c.is_ascii_alphanumeric());
                let allowed = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | $allowed);
                if begins_well && text.len() <= MAX_BYTES && text.bytes().all(allowed) {
                    Ok(Self(text.to_owned()))
                } else {
                    Err(WordError::new(text, $what, $form))
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        serde_as_text!($name);
    };
}

word!(
    StageName,
    "A stage of a policy, such as `partners`.",
    "a stage's name",
    "1 to 64 of a-z, 0-9 and `-`, beginning with a letter or digit",
    b'-'
);
word!(
    Use,
    "What weights are wanted for, such as `bias-analysis`.",
    "a use",
    "1 to 64 of a-z, 0-9 and `-`, beginning with a letter or digit",
    b'-'
);
word!(
    RuleId,
    "A rule of misuse, such as `phishing`; stands in every record and every case that it raises.",
    "a rule's name",
    "1 to 64 of a-z, 0-9 and `-`, beginning with a letter or digit",
    b'-'
);
word!(
    BoardName,
    "A board whose members approve, such as `ethics`.",
    "a board's name",
    "1 to 64 of a-z, 0-9 and `-`, beginning with a letter or digit",
    b'-'
);
word!(
    EvidenceKind,
    "A kind of evidence, such as `detection`.",
    "a kind of evidence",
    "1 to 64 of a-z, 0-9 and `-`, beginning with a letter or digit",
    b'-'
);
word!(
    Metric,
    "What a piece of evidence measures, such as `open_severe_cases`.",
    "a metric",
    "1 to 64 of a-z, 0-9, `-` and `_`, beginning with a letter or digit",
    b'-' | b'_'
);
word!(
    AgreementName,
    "The catalogue's target that an applicant signs, such as `agreement.md`; a file name, never a path.",
    "an agreement's name",
    "1 to 64 of a-z, 0-9, `.`, `-` and `_`, beginning with a letter or digit",
    b'-' | b'_' | b'.'
);

/// The checkpoint's own board, as policies name it.
static OWN_BOARD: LazyLock<BoardName> = LazyLock::new(|| BoardName("board".to_owned()));

impl BoardName {
    /// The name of the checkpoint's own board.
    pub fn own() -> &'static Self {
        &OWN_BOARD
    }
}

impl RuleId {
    /// Rules in one line.
    pub fn list(rules: &[Self]) -> String {
        rules.iter().map(Self::as_str).collect::<Vec<_>>().join(", ")
    }
}

/// An organization by name, compared exactly. `Display` adds quotation marks.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Organization(Label);

impl Organization {
    /// The word as text, without quotation marks.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl From<Label> for Organization {
    fn from(name: Label) -> Self {
        Self(name)
    }
}

impl FromStr for Organization {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        text.parse().map(Self)
    }
}

impl fmt::Display for Organization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{}'", self.0)
    }
}

/// A person's Ed25519 public key, written as 64 lower-case hexadecimal digits. It need not be a point of the curve; signature verification
/// checks that.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PersonKey([u8; 32]);

impl PersonKey {
    /// The person with this public key.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes of the public key.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for PersonKey {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let refusal = || WordError::new(text, "a person's key", "64 lower-case hexadecimal digits");
        hex::parse(text).map(Self).ok_or_else(refusal)
    }
}

impl fmt::Display for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        hex::write(&self.0, f)
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

serde_as_text!(PersonKey);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_plain() {
        for good in ["partners", "stage-2", "0", &"a".repeat(64)] {
            assert_eq!(good.parse::<StageName>().unwrap().as_str(), good);
        }
        for bad in ["", "-x", "Partners", "a b", "a_b", "a.b", "é", &"a".repeat(65)] {
            assert!(bad.parse::<StageName>().is_err(), "{bad}");
        }
        assert!("open_severe_cases".parse::<Metric>().is_ok());
        assert!("../root.json".parse::<AgreementName>().is_err());
        insta::assert_snapshot!("Open\u{7}".parse::<Use>().unwrap_err(), @r"`Open\u{7}` is not a use: use 1 to 64 of a-z, 0-9 and `-`, beginning with a letter or digit");
    }

    #[test]
    fn a_person_is_a_key() {
        let text = "0f".repeat(32);
        assert_eq!(text.parse::<PersonKey>().unwrap().to_string(), text);
        for bad in ["", "0f", &"0F".repeat(32), &"é".repeat(32)] {
            assert!(bad.parse::<PersonKey>().is_err(), "{bad}");
        }
    }
}
