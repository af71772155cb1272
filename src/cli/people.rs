//! People as commands show them: by name and key, with the organization that their card names and who confirms it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use serde_json::{Value, json};

use crate::access::{Affiliation, Affiliations, RulesInForce, Statements};
use crate::client::Catalogue;
use crate::identity::{Card, KeyId, VerifyingKey};
use crate::name::Label;
use crate::statement::{Predicate as _, Quorum, Verified};
use crate::time::Timestamp;
use crate::visible::one_line;

/// What is known of people beside their cards. Without anything known, each organization is shown as unconfirmed.
#[derive(Debug, Default)]
pub(in crate::cli) struct People {
    said: BTreeMap<VerifyingKey, Said>,
    /// Names that are taken: of the board's members and of organizations that have registrars.
    taken: Taken,
}

/// Names that others may be taken for.
#[derive(Debug, Default)]
struct Taken {
    members: Vec<(String, Label)>,
    member_keys: BTreeSet<VerifyingKey>,
    organizations: Vec<Label>,
}

impl Taken {
    fn of(rules: &RulesInForce) -> Self {
        let name = |contact: &String| {
            let name = contact.split(" (").next().unwrap_or(contact);
            Some((name.to_owned(), name.parse().ok()?))
        };
        Self {
            members: rules.contacts.0.iter().filter_map(name).collect(),
            member_keys: rules.board.keys().clone(),
            organizations: rules.organizations.keys().cloned().collect(),
        }
    }

    /// What to beware of in the names on a card, if anything.
    fn caution(&self, card: &Card) -> String {
        if card.name.has_mixed_scripts() || card.organization.as_ref().is_some_and(Label::has_mixed_scripts) {
            return "; BEWARE: letters of several scripts".to_owned();
        }
        let member = self.members.iter().find(|(_, name)| name.is_confusable_with(&card.name));
        if let Some((name, _)) = member.filter(|_| !self.member_keys.contains(&card.verifying_key)) {
            return format!("; BEWARE: looks like {name} of the board, and has another key");
        }
        let is_alike = |other: &&Label| {
            card.organization.as_ref().is_some_and(|own| own != *other && own.is_confusable_with(other))
        };
        let other = self.organizations.iter().find(is_alike);
        other.map(|other| format!("; BEWARE: its organization looks like {other}")).unwrap_or_default()
    }
}

/// The last that a registrar said of a person and the organization on their card.
#[derive(Debug, Clone)]
enum Said {
    Confirmed(Confirmed),
    /// In words: `Remy withdrew it on 2026-05-31: Left in May`.
    NoLonger(String),
}

impl Said {
    fn of(last: &Verified<Affiliation>, rules: &RulesInForce, now: Timestamp) -> Option<Self> {
        let by = last.signers().iter().find_map(|key| rules.registrar_names.get(key))?;
        if now < last.until {
            return Some(Self::Confirmed(Confirmed { by: by.clone(), until: last.until }));
        }
        Some(Self::NoLonger(if last.withdraws() {
            let why = last.reason.iter().map(|reason| format!(": {}", one_line(reason.as_str())));
            format!("{by} withdrew it on {}{}", last.created.date(), why.collect::<String>())
        } else {
            format!("{by} confirmed it until {}, and nobody since", last.until.date())
        }))
    }
}

/// By whom, and until when, a person is confirmed to belong to the organization on their card.
#[derive(Debug, Clone)]
struct Confirmed {
    by: String,
    until: Timestamp,
}

impl People {
    /// What `affiliations` confirm of the people on these cards.
    pub(in crate::cli) fn known<'a>(
        cards: impl IntoIterator<Item = &'a Card>,
        rules: &RulesInForce,
        affiliations: &Affiliations,
        now: Timestamp,
    ) -> Self {
        let said = |card: &Card| {
            let last = affiliations.last(card, rules, now)?;
            Some((card.verifying_key, Said::of(last, rules, now)?))
        };
        Self { said: cards.into_iter().filter_map(said).collect(), taken: Taken::of(rules) }
    }

    /// `Rosa, Example Lab (unconfirmed), key 8a41…`.
    pub(in crate::cli) fn describe(&self, card: &Card) -> String {
        let organization = self.organization(card).map(|words| format!(", {words}")).unwrap_or_default();
        let caution = self.taken.caution(card);
        format!("{}{organization}, key {}{caution}", card.name, card.verifying_key.id())
    }

    /// `Example Lab (unconfirmed)`, `Example Lab (confirmed by Remy until 2027-01-31)`, or who withdrew it, if the card names an organization.
    pub(in crate::cli) fn organization(&self, card: &Card) -> Option<String> {
        let organization = card.organization.as_ref()?;
        Some(match self.said.get(&card.verifying_key) {
            Some(Said::NoLonger(words)) => format!("{organization} (unconfirmed: {words})"),
            Some(Said::Confirmed(Confirmed { by, until })) => {
                format!("{organization} (confirmed by {by} until {})", until.date())
            }
            None => format!("{organization} (unconfirmed)"),
        })
    }

    /// Whether the card names an organization that no registrar confirms.
    pub(in crate::cli) fn is_unconfirmed(&self, card: &Card) -> bool {
        card.organization.is_some() && !matches!(self.said.get(&card.verifying_key), Some(Said::Confirmed(_)))
    }

    /// What a registrar said against it, or that none said anything: what a member who approves sets their own word against.
    pub(in crate::cli) fn why_unconfirmed(&self, card: &Card) -> &str {
        match self.said.get(&card.verifying_key) {
            Some(Said::NoLonger(words)) => words,
            _ => "no registrar did",
        }
    }

    /// Who confirms the organization on a card, and until when; `null` if it is unconfirmed.
    pub(in crate::cli) fn confirmed_json(&self, card: &Card) -> Value {
        match self.said.get(&card.verifying_key) {
            Some(Said::Confirmed(Confirmed { by, until })) => json!({ "by": by, "until": until }),
            Some(Said::NoLonger(_)) | None => Value::Null,
        }
    }
}

/// What registrars said of the people on these cards, as far as this home may read it.
pub(in crate::cli) fn affiliations<'a>(
    statements: &dyn Statements,
    cards: impl IntoIterator<Item = &'a Card>,
    rules: &RulesInForce,
) -> anyhow::Result<Affiliations> {
    let mut found = Vec::new();
    for card in cards {
        let is_asked = card.organization.as_ref().is_some_and(|name| rules.organizations.contains_key(name));
        if let Some(id) = Affiliation::id_of(card).filter(|_| is_asked) {
            found.extend(statements.about(Affiliation::KIND, id)?.into_iter().map(|found| found.envelope));
        }
    }
    Ok(Affiliations::among(&found, &rules.organizations))
}

/// Digits of a fingerprint in tables.
const DIGITS: usize = 8;

/// A person by name, with the first digits of their key's id.
pub(in crate::cli) fn person(name: impl Display, key: KeyId) -> String {
    format!("{name} ({})", fingerprint(key))
}

/// The first digits of a key's id.
pub(in crate::cli) fn fingerprint(key: KeyId) -> String {
    key.to_string().chars().take(DIGITS).collect()
}

/// The keys of owners, boards and auditors.
pub(in crate::cli) fn keys_of(catalogue: &Catalogue) -> impl Iterator<Item = &VerifyingKey> {
    let boards = catalogue.checkpoints().filter_map(|checkpoint| catalogue.board(checkpoint));
    boards.chain([catalogue.owners()]).chain(catalogue.auditors()).flat_map(Quorum::keys)
}

/// The names of keys: the author's of a request, and those of people in the catalogue.
pub(in crate::cli) struct Names<'a> {
    pub(in crate::cli) catalogue: &'a Catalogue,
    pub(in crate::cli) author: (KeyId, String),
}

impl Names<'_> {
    /// What the owner of a key is called.
    pub(in crate::cli) fn of(&self, key: KeyId) -> String {
        if key == self.author.0 {
            return self.author.1.clone();
        }
        let catalogue = self.catalogue;
        match keys_of(catalogue).find(|found| found.id() == key) {
            Some(found) => catalogue.name_of(found),
            None if catalogue.registry().keys().iter().any(|registry| registry.id() == key) => {
                "the registry".to_owned()
            }
            None => format!("key {}", key.short()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn card(seed: u8, name: &str, organization: &str) -> Card {
        let (name, organization) = (name.parse().unwrap(), Some(organization.parse().unwrap()));
        Identity::new(name, organization, &[seed; 32], &[seed; 32], Timestamp::now()).card().clone()
    }

    #[test]
    fn names_that_look_like_those_of_others_are_marked() {
        let ada = card(1, "Ada", "Example Lab");
        let taken = Taken {
            members: vec![("Ada".to_owned(), "Ada".parse().unwrap())],
            member_keys: [ada.verifying_key].into(),
            organizations: vec!["Example Lab".parse().unwrap()],
        };
        assert_eq!(taken.caution(&ada), "");
        assert_eq!(taken.caution(&card(2, "Rosa", "Example Lab")), "");
        let beware = |name: &str, organization: &str| taken.caution(&card(3, name, organization));
        assert_eq!(beware("ADA", "Other"), "; BEWARE: looks like Ada of the board, and has another key");
        assert_eq!(beware("Rosa", "Examp1e Lab"), "; BEWARE: its organization looks like Example Lab");
        assert_eq!(beware("Rosa \u{410}b", "Other"), "; BEWARE: letters of several scripts");
    }
}
