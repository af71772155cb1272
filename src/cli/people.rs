//! People as commands show them: by name and key, with the organization that their card names and who confirms it.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::access::{Affiliation, Affiliations, RulesInForce, Statements};
use crate::identity::{Card, VerifyingKey};
use crate::name::Label;
use crate::statement::Predicate as _;
use crate::time::Timestamp;

/// What is known of people beside their cards. Without anything known, each organization is shown as unconfirmed.
#[derive(Debug, Default)]
pub(in crate::cli) struct People(BTreeMap<VerifyingKey, Confirmed>);

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
        let confirmed = |card: &Card| {
            let said = affiliations.standing(card, rules, now)?;
            let by = said.signers().iter().find_map(|key| rules.registrar_names.get(key))?;
            Some((card.verifying_key, Confirmed { by: by.clone(), until: said.until }))
        };
        Self(cards.into_iter().filter_map(confirmed).collect())
    }

    /// `Rosa, Example Lab (unconfirmed), key 8a41…`.
    pub(in crate::cli) fn describe(&self, card: &Card) -> String {
        let organization = self.organization(card).map(|words| format!(", {words}")).unwrap_or_default();
        let deceives =
            card.name.mixes_scripts() || card.organization.as_ref().is_some_and(Label::mixes_scripts);
        let caution = if deceives { "; BEWARE: letters of several scripts" } else { "" };
        format!("{}{organization}, key {}{caution}", card.name, card.verifying_key.id())
    }

    /// `Example Lab (unconfirmed)`, or `Example Lab (confirmed by Remy until 2027-01-31)`, if the card names an organization.
    pub(in crate::cli) fn organization(&self, card: &Card) -> Option<String> {
        let organization = card.organization.as_ref()?;
        Some(match self.0.get(&card.verifying_key) {
            Some(Confirmed { by, until }) => {
                format!("{organization} (confirmed by {by} until {})", until.date())
            }
            None => format!("{organization} (unconfirmed)"),
        })
    }

    /// Whether the card names an organization that no registrar confirms.
    pub(in crate::cli) fn is_unconfirmed(&self, card: &Card) -> bool {
        card.organization.is_some() && !self.0.contains_key(&card.verifying_key)
    }

    /// Who confirms the organization on a card, and until when; `null` if it is unconfirmed.
    pub(in crate::cli) fn confirmed_json(&self, card: &Card) -> Value {
        match self.0.get(&card.verifying_key) {
            Some(Confirmed { by, until }) => json!({ "by": by, "until": until }),
            None => Value::Null,
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
