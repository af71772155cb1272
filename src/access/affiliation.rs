//! Affiliations: a registrar of an organization says until when a person belongs to it.
//!
//! The organization on a card is its owner's own word. Here both sides say the same: the card names the organization, and one of the
//! registrars whom the owners of the catalogue named for it signed this very key. The last that a registrar said of a person and an
//! organization counts; one whose end is not after its beginning withdraws what was said before. Whose registrars are asked is the
//! catalogue's word at the time of the question, so a registrar who was taken from it confirms nobody any more.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{CLOCK_TOLERANCE, Error, Registrars, RulesInForce};
use crate::digest::{Sha256Digest, Sha256Hasher};
use crate::identity::{Card, VerifyingKey};
use crate::name::{Label, Prose};
use crate::statement::{
    CatalogueId, Envelope, Error as StatementError, Predicate, Quorum, Statement, Subject, Verified,
};
use crate::time::Timestamp;

/// Most days for which a person is confirmed at once.
pub const MAX_AFFILIATION_DAYS: u32 = 1096;

/// A registrar says that a person belongs to an organization. Its statement's subject is [`Affiliation::id`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affiliation {
    /// Which organization; the person's card names it, too.
    pub organization: Label,
    /// Who belongs to it: only this key counts.
    pub person: Card,
    /// From when.
    pub created: Timestamp,
    /// Until when, exclusive, at most [`MAX_AFFILIATION_DAYS`] later. Not after `created`: what was said before is withdrawn.
    pub until: Timestamp,
    /// Why it was withdrawn: the person reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Prose>,
}

impl Predicate for Affiliation {
    const KIND: &'static str = "affiliation";
}

impl Affiliation {
    /// What all statements about one person and one organization are about.
    pub fn id(person: &VerifyingKey, organization: &Label) -> Sha256Digest {
        let mut hasher = Sha256Hasher::default();
        hasher.update(format!("portcullis/v1/affiliation {person} {organization}").as_bytes());
        hasher.finish()
    }

    /// The same of the organization that a card names.
    pub fn id_of(card: &Card) -> Option<Sha256Digest> {
        card.organization.as_ref().map(|organization| Self::id(&card.verifying_key, organization))
    }

    /// The statement for a catalogue.
    pub fn statement(self, catalogue: CatalogueId) -> Statement<Self> {
        let digest = Self::id(&self.person.verifying_key, &self.organization);
        Statement::new(catalogue, Subject { name: Self::KIND.to_owned(), digest }, self)
    }

    /// Whether it withdraws what was said before.
    pub fn withdraws(&self) -> bool {
        self.until <= self.created
    }

    /// When the confirmation ends, as known at `now`. A withdrawal ends it at once, also if the registrar's clock is ahead of ours.
    pub fn ends(&self, now: Timestamp) -> Timestamp {
        if self.withdraws() { self.until.min(now) } else { self.until }
    }

    fn require_sound(&self, subject: &Subject) -> Result<(), StatementError> {
        let malformed =
            |reason: &str| StatementError::Malformed { kind: Self::KIND, reason: reason.to_owned() };
        if *subject
            != (Subject {
                name: Self::KIND.to_owned(),
                digest: Self::id(&self.person.verifying_key, &self.organization),
            })
        {
            return Err(malformed("its subject is another than its person and organization"));
        }
        if self.person.organization.as_ref() != Some(&self.organization) {
            return Err(malformed("the person's card names another organization"));
        }
        if self.until > self.created.plus_days(MAX_AFFILIATION_DAYS) {
            return Err(malformed("it ends more than three years after its beginning"));
        }
        Ok(())
    }
}

/// The affiliation of an envelope, if a registrar of its organization signed it. `organizations` are the registrars that the catalogue names.
///
/// # Errors
/// [`Error::Statement`], [`Error::NoRegistrars`].
pub fn verify_affiliation(
    envelope: &Envelope,
    organizations: &BTreeMap<Label, Quorum>,
) -> Result<Verified<Affiliation>, Error> {
    let statement = envelope.statement_for(|claim: &Statement<Affiliation>| {
        claim.predicate.require_sound(&claim.subject)?;
        let organization = &claim.predicate.organization;
        let registrars = organizations.get(organization);
        registrars.cloned().ok_or_else(|| Error::NoRegistrars { organization: organization.clone() })
    })?;
    Ok(statement.map(|statement| statement.predicate))
}

/// What somebody does whom a policy wants confirmed.
pub fn how_to_be_confirmed(organization: &Label, registrars: &Registrars) -> String {
    format!(
        "give your card to {registrars}, who runs `portcullis affiliation confirm <card> --organization '{organization}' --days <days>`; then ask again"
    )
}

/// What registrars said of people, each verified by the registrars of its own organization.
#[derive(Debug, Clone, Default)]
pub struct Affiliations(BTreeMap<Sha256Digest, Vec<Verified<Affiliation>>>);

impl Affiliations {
    /// Those of these statements that hold; the others are passed over.
    pub fn among<'a>(
        envelopes: impl IntoIterator<Item = &'a Envelope>,
        organizations: &BTreeMap<Label, Quorum>,
    ) -> Self {
        let mut affiliations = Self::default();
        for envelope in envelopes {
            if let Ok(affiliation) = verify_affiliation(envelope, organizations) {
                affiliations.add(affiliation);
            }
        }
        affiliations
    }

    /// Adds one.
    pub fn add(&mut self, affiliation: Verified<Affiliation>) {
        let id = Affiliation::id(&affiliation.person.verifying_key, &affiliation.organization);
        self.0.entry(id).or_default().push(affiliation);
    }

    /// The last that the present registrars of the organization on a card said of its person by then, withdrawn, over or not.
    pub fn last(&self, card: &Card, rules: &RulesInForce, now: Timestamp) -> Option<&Verified<Affiliation>> {
        let registrars = rules.organizations.get(card.organization.as_ref()?)?.keys();
        let said = self.0.get(&Affiliation::id_of(card)?)?.iter().filter(|said| {
            said.created <= now.plus_seconds(CLOCK_TOLERANCE)
                && said.signers().iter().any(|key| registrars.contains(key))
        });
        // Of two of one moment the one that gives less.
        said.max_by_key(|said| (said.created, std::cmp::Reverse(said.until), said.digest()))
    }

    /// The same, if it confirms the person now.
    pub fn standing(
        &self,
        card: &Card,
        rules: &RulesInForce,
        now: Timestamp,
    ) -> Option<&Verified<Affiliation>> {
        self.last(card, rules, now).filter(|said| now < said.ends(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    #[test]
    fn a_withdrawal_of_a_clock_ahead_ends_at_once() {
        let now = Timestamp::now();
        let (name, organization) = ("rosa".parse().unwrap(), Some("University".parse().unwrap()));
        let person = Identity::new(name, organization, &[1; 32], &[2; 32], now);
        let said = |created: Timestamp, until: Timestamp| Affiliation {
            organization: "University".parse().unwrap(),
            person: person.card().clone(),
            created,
            until,
            reason: None,
        };
        let ahead = now.plus_seconds(60);
        assert_eq!(said(ahead, ahead).ends(now), now);
        assert_eq!(said(now, now.plus_days(1)).ends(now), now.plus_days(1));
        assert_eq!(said(now, now).ends(ahead), now);
    }
}
