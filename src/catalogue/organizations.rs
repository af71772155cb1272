//! Organizations and their registrars, the keys that may confirm that a person belongs to an organization.
//!
//! The owners sign the list as the target `organizations/registrars.json`. Registrars do not grant access: policies name the
//! organizations that they admit, boards approve, and registrars only confirm members. An attacker who could add a registrar could make
//! anyone appear as a member.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{Error, TargetPath};
use crate::identity::VerifyingKey;
use crate::name::Label;

/// Longest accepted file, in bytes.
const MAX_BYTES: usize = 256 * 1024;
/// Maximum number of organizations.
const MAX_ORGANIZATIONS: usize = 512;
/// Maximum number of registrars of one organization: each decision on a membership looks all of them up.
pub const MAX_REGISTRARS: usize = 16;
/// The version of the format.
const SCHEMA: u32 = 1;

/// The registrars of each organization, by its name in Unicode's form NFC; each organization has at least one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Organizations(BTreeMap<Label, BTreeSet<VerifyingKey>>);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    schema: u32,
    organizations: Vec<Item>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    name: Label,
    registrars: Vec<VerifyingKey>,
}

impl Organizations {
    /// Parses the target.
    ///
    /// # Errors
    /// [`Error::Malformed`] if it is not JSON of this form, is too long, has too many organizations or registrars, or has duplicates.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let path = TargetPath::organizations();
        let malformed = |reason: String| Error::malformed(path.as_str(), reason);
        if bytes.len() > MAX_BYTES {
            return Err(malformed(format!("it has {} bytes, more than {MAX_BYTES}", bytes.len())));
        }
        let File { schema, organizations } =
            crate::json::from_slice(bytes).map_err(|error| malformed(error.to_string()))?;
        if schema != SCHEMA {
            return Err(malformed(format!("it has schema {schema}; this version reads {SCHEMA}")));
        }
        let mut read = Self::default();
        for Item { name, registrars } in organizations {
            if read.0.contains_key(&name) {
                return Err(malformed(format!("{name} is listed twice")));
            }
            let count = registrars.len();
            let keys: BTreeSet<_> = registrars.into_iter().collect();
            if keys.len() != count {
                return Err(malformed(format!("a registrar of {name} is listed twice")));
            }
            read.0.insert(name, keys);
        }
        read.require_bounds().map(|()| read)
    }

    fn require_bounds(&self) -> Result<(), Error> {
        let path = TargetPath::organizations();
        if self.0.len() > MAX_ORGANIZATIONS {
            let reason = format!("it names {} organizations, more than {MAX_ORGANIZATIONS}", self.0.len());
            return Err(Error::malformed(path.as_str(), reason));
        }
        match self.0.iter().find(|(_, keys)| !(1..=MAX_REGISTRARS).contains(&keys.len())) {
            None => Ok(()),
            Some((name, keys)) => {
                let reason = format!("{name} has {} registrars, not 1 to {MAX_REGISTRARS}", keys.len());
                Err(Error::malformed(path.as_str(), reason))
            }
        }
    }

    /// Serializes the target: indented JSON, organizations and keys in order.
    ///
    /// # Errors
    /// [`Error::Malformed`] if there are too many organizations or registrars.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        self.require_bounds()?;
        let item = |(name, keys): (&Label, &BTreeSet<_>)| Item {
            name: name.clone(),
            registrars: keys.iter().copied().collect(),
        };
        let file = File { schema: SCHEMA, organizations: self.0.iter().map(item).collect() };
        let path = TargetPath::organizations();
        let mut bytes =
            serde_json::to_vec_pretty(&file).map_err(|error| Error::malformed(path.as_str(), error))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Iterates over the organizations, ordered by name, with their registrars' keys.
    pub fn iter(&self) -> impl Iterator<Item = (&Label, &BTreeSet<VerifyingKey>)> {
        self.0.iter()
    }

    /// Returns the registrars of one organization.
    pub fn registrars(&self, organization: &Label) -> Option<&BTreeSet<VerifyingKey>> {
        self.0.get(organization)
    }

    /// Adds registrars to an organization; returns whether any of them is new.
    pub fn add(&mut self, organization: Label, registrars: impl IntoIterator<Item = VerifyingKey>) -> bool {
        let known = self.0.entry(organization).or_default();
        let before = known.len();
        known.extend(registrars);
        known.len() > before
    }

    /// Removes the keys for which `leaves` returns true, and the organization with its last registrar; returns whether any was removed.
    pub fn remove(&mut self, organization: &Label, leaves: impl Fn(&VerifyingKey) -> bool) -> bool {
        let Some(known) = self.0.get_mut(organization) else { return false };
        let before = known.len();
        known.retain(|key| !leaves(key));
        let (is_changed, is_empty) = (known.len() < before, known.is_empty());
        if is_empty {
            self.0.remove(organization);
        }
        is_changed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Signer as _, SigningKey};

    fn key(seed: u8) -> VerifyingKey {
        SigningKey::from_bytes(&[seed; 32]).verifying_key()
    }

    fn label(text: &str) -> Label {
        text.parse().unwrap()
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut known = Organizations::default();
        assert!(known.add(label("Universit\u{e9}"), [key(1), key(2)]));
        assert!(known.add(label("Lab"), [key(1)]));
        assert!(!known.add(label("Universite\u{301}"), [key(2)]), "two ways to write a name are one name");
        let read = Organizations::parse(&known.to_bytes().unwrap()).unwrap();
        assert_eq!(read, known);
        assert!(known.remove(&label("Lab"), |found| *found == key(1)));
        assert_eq!(known.registrars(&label("Lab")), None, "it left with its last registrar");
        assert!(!known.remove(&label("Lab"), |_| true));
    }

    #[test]
    fn refusals_say_what_is_wrong() {
        let item = |name: &str, keys: &str| format!(r#"{{"name":"{name}","registrars":[{keys}]}}"#);
        let file = |items: &str| format!(r#"{{"schema":1,"organizations":[{items}]}}"#);
        let one = format!("\"{}\"", key(1));
        let many: Vec<_> = (1..=17).map(|seed| format!("\"{}\"", key(seed))).collect();
        let refused = |text: &str| Organizations::parse(text.as_bytes()).unwrap_err().to_string();
        insta::assert_snapshot!([
            refused(&file(&item("Lab", ""))),
            refused(&file(&item("Lab", &many.join(",")))),
            refused(&file(&item("Lab", &format!("{one},{one}")))),
            refused(&file(&format!("{},{}", item("Lab", &one), item("Lab", &one)))),
            refused(&file(&item("La\u{202e}b", &one))),
            refused(&file("").replace('1', "2")),
            refused("[1,[]]"),
        ].join("\n"), @r"
        organizations/registrars.json is malformed: Lab has 0 registrars, not 1 to 16
        organizations/registrars.json is malformed: Lab has 17 registrars, not 1 to 16
        organizations/registrars.json is malformed: a registrar of Lab is listed twice
        organizations/registrars.json is malformed: Lab is listed twice
        organizations/registrars.json is malformed: `La\u{202e}b` is not a name: use 1 to 120 visible characters on one line at line 1 column 45
        organizations/registrars.json is malformed: it has schema 2; this version reads 1
        organizations/registrars.json is malformed: invalid type: sequence, expected struct File at line 1 column 0
        ");
    }
}
