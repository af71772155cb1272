//! Affiliations: a registrar's signed statement that a person belongs to an organization, with an end.
//!
//! A card alone names its organization without proof. An affiliation adds the proof: one of the registrars whom the owners named for that
//! organization signed the person's key. The latest statement about a person and an organization applies; a statement whose end is not
//! after its beginning withdraws the earlier ones. The registrars are those in the catalogue at the time of the check, so a removed
//! registrar confirms no one.

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

/// Maximum days that one affiliation may last (three years).
pub const MAX_AFFILIATION_DAYS: u32 = 1096;

/// A registrar's statement that a person belongs to an organization. Its subject is [`Affiliation::id`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Affiliation {
    /// The organization; the person's card must name it as well.
    pub organization: Label,
    /// The person's card; the affiliation applies to its key only.
    pub person: Card,
    /// Start.
    pub created: Timestamp,
    /// End, exclusive, at most [`MAX_AFFILIATION_DAYS`] after `created`. If it is not after `created`, the statement withdraws earlier
    /// ones.
    pub until: Timestamp,
    /// Reason of a withdrawal, shown to the person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Prose>,
}

impl Predicate for Affiliation {
    const KIND: &'static str = "affiliation";
}

impl Affiliation {
    /// The common subject of all statements about one person and one organization.
    pub fn id(person: &VerifyingKey, organization: &Label) -> Sha256Digest {
        let mut hasher = Sha256Hasher::default();
        hasher.update(format!("portcullis/v1/affiliation {person} {organization}").as_bytes());
        hasher.finish()
    }

    /// As [`Affiliation::id`], for the organization that the card names; `None` if it names none.
    pub fn id_for_card(card: &Card) -> Option<Sha256Digest> {
        card.organization.as_ref().map(|organization| Self::id(&card.verifying_key, organization))
    }

    /// The statement to sign, for one catalogue.
    pub fn statement(self, catalogue: CatalogueId) -> Statement<Self> {
        let digest = Self::id(&self.person.verifying_key, &self.organization);
        Statement::new(catalogue, Subject { name: Self::KIND.to_owned(), digest }, self)
    }

    /// Whether the statement withdraws earlier ones.
    pub fn is_withdrawal(&self) -> bool {
        self.until <= self.created
    }

    /// The end of the confirmation as known at `now`. A withdrawal ends it at once, also if the registrar's clock is ahead.
    pub fn effective_end(&self, now: Timestamp) -> Timestamp {
        if self.is_withdrawal() { self.until.min(now) } else { self.until }
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
            return Err(malformed("its subject does not match its person and organization"));
        }
        if self.person.organization.as_ref() != Some(&self.organization) {
            return Err(malformed("the person's card names another organization"));
        }
        if self.until > self.created.plus_days(MAX_AFFILIATION_DAYS) {
            return Err(malformed("it lasts more than three years"));
        }
        Ok(())
    }
}

/// Verifies that a registrar of the organization signed the affiliation. `organizations` are the registrars in the catalogue.
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

/// What to do if a policy requires a confirmed affiliation and the person has none.
pub fn suggest_confirmation(organization: &Label, registrars: &Registrars) -> String {
    format!(
        "give your card to {registrars}, who runs `portcullis affiliation confirm <card> --organization '{organization}' --days <days>`; then ask again"
    )
}

/// Affiliations, each verified against the registrars of its own organization.
#[derive(Debug, Clone, Default)]
pub struct Affiliations(BTreeMap<Sha256Digest, Vec<Verified<Affiliation>>>);

impl Affiliations {
    /// Verifies the statements and skips those that are not valid.
    pub fn verify_all<'a>(
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

    /// Adds a verified affiliation.
    pub fn add(&mut self, affiliation: Verified<Affiliation>) {
        let id = Affiliation::id(&affiliation.person.verifying_key, &affiliation.organization);
        self.0.entry(id).or_default().push(affiliation);
    }

    /// The latest statement about the card's person and organization dated by `now`, even if it is a withdrawal or has ended.
    pub fn find_last(
        &self,
        card: &Card,
        rules: &RulesInForce,
        now: Timestamp,
    ) -> Option<&Verified<Affiliation>> {
        let registrars = rules.organizations.get(card.organization.as_ref()?)?.keys();
        let said = self.0.get(&Affiliation::id_for_card(card)?)?.iter().filter(|said| {
            said.created <= now.plus_seconds(CLOCK_TOLERANCE)
                && said.signers().iter().any(|key| registrars.contains(key))
        });
        // Of two with the same date, the one that ends earlier.
        said.max_by_key(|said| (said.created, std::cmp::Reverse(said.until), said.digest()))
    }

    /// The latest statement, if it confirms the person at `now`.
    pub fn find_current(
        &self,
        card: &Card,
        rules: &RulesInForce,
        now: Timestamp,
    ) -> Option<&Verified<Affiliation>> {
        self.find_last(card, rules, now).filter(|said| now < said.effective_end(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    #[test]
    fn a_withdrawal_of_a_clock_ahead_ends_at_once() {
        let now = Timestamp::now();
        let name = ("rosa".parse().unwrap(), Some("University".parse().unwrap()));
        let person = Identity::new(name, &[1; 32], &[2; 32], now);
        let said = |created: Timestamp, until: Timestamp| Affiliation {
            organization: "University".parse().unwrap(),
            person: person.card().clone(),
            created,
            until,
            reason: None,
        };
        let ahead = now.plus_seconds(60);
        assert_eq!(said(ahead, ahead).effective_end(now), now);
        assert_eq!(said(now, now.plus_days(1)).effective_end(now), now.plus_days(1));
        assert_eq!(said(now, now).effective_end(ahead), now);
    }
}
