//! Names of delegated roles: checkpoint ids in catalogues that this program makes, any text in other repositories.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use crate::digest::serde_as_text;
use crate::name::CheckpointId;

/// The role whose keys are the auditors; no checkpoint may have this name.
pub const AUDITORS: &str = "auditors";

/// Longest name of a role, in bytes.
const MAX_BYTES: usize = 80;

/// A text is not a valid role name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a role's name must have 1 to {MAX_BYTES} bytes and no control characters")]
pub struct RoleNameError;

/// The name of a delegated role. File names and URLs must use [`Self::file_stem`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RoleName(String);

impl RoleName {
    /// Returns the name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the checkpoint of the same id, if the name is a valid id.
    pub fn checkpoint(&self) -> Option<CheckpointId> {
        self.0.parse().ok()
    }

    /// Returns the name for files and URLs: all but RFC 3986's unreserved characters are escaped as `%XX`, so that it stays in its folder.
    pub fn file_stem(&self) -> String {
        let mut stem = String::new();
        for byte in self.0.bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => stem.push(byte.into()),
                byte => stem.push_str(&format!("%{byte:02X}")),
            }
        }
        stem
    }
}

impl FromStr for RoleName {
    type Err = RoleNameError;

    fn from_str(text: &str) -> Result<Self, RoleNameError> {
        if (1..=MAX_BYTES).contains(&text.len()) && !text.chars().any(char::is_control) {
            Ok(Self(text.to_owned()))
        } else {
            Err(RoleNameError)
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

serde_as_text!(RoleName);

impl From<&CheckpointId> for RoleName {
    fn from(checkpoint: &CheckpointId) -> Self {
        Self(checkpoint.to_string())
    }
}

impl Borrow<str> for RoleName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl PartialEq<CheckpointId> for RoleName {
    fn eq(&self, checkpoint: &CheckpointId) -> bool {
        self.0 == checkpoint.as_str()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_as_a_file() {
        for (name, stem) in [
            ("gpt2-1.5b", "gpt2-1.5b"),
            ("A", "A"),
            ("?", "%3F"),
            ("../x", "..%2Fx"),
            ("/a b", "%2Fa%20b"),
            ("é%", "%C3%A9%25"),
        ] {
            assert_eq!(name.parse::<RoleName>().unwrap().file_stem(), stem);
        }
        for bad in ["", "a\nb", "\0", &"a".repeat(81)] {
            assert_eq!(bad.parse::<RoleName>(), Err(RoleNameError), "{bad:?}");
        }
    }
}
