//! Requests, withdrawals by their authors, and denials by board members.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Error, RulesInForce};
use crate::digest::Sha256Digest;
use crate::identity::Card;
use crate::name::{CheckpointId, Prose};
use crate::policy::Use;
use crate::statement;
use crate::statement::{CatalogueId, Envelope, Predicate, Quorum, Statement, Verified, verify_card};
use crate::time::Timestamp;

/// A researcher's request. Its subject is the checkpoint's manifest; the author signs it with the card's key.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub checkpoint: CheckpointId,
    /// The purpose, in the researcher's words.
    pub purpose: Prose,
    /// The requested uses, in the policy's terms.
    pub uses: BTreeSet<Use>,
    /// Requested duration in days.
    pub days: u32,
    /// The agreement that the author accepts by signing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Sha256Digest>,
    /// The earlier request that this one renews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<Sha256Digest>,
    /// The author's card; the grant goes to its keys.
    pub card: Card,
    /// Signed cards of further people of the same organization, at most [`MAX_MEMBERS`]; each gets a grant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Envelope>,
    pub created: Timestamp,
}

impl Predicate for Request {
    const KIND: &'static str = "request";
}

/// Maximum number of people in a request beside its author.
pub const MAX_MEMBERS: usize = 50;

impl Request {
    /// The people for whom the request asks, its author first.
    ///
    /// # Errors
    /// [`Error::TooManyMembers`], [`Error::Statement`] if a member's card is not signed by its own key, [`Error::OtherOrganization`],
    /// [`Error::NamedTwice`].
    pub fn holders(&self) -> Result<Vec<Card>, Error> {
        if self.members.len() > MAX_MEMBERS {
            return Err(Error::TooManyMembers { count: self.members.len(), max: MAX_MEMBERS });
        }
        let mut holders = vec![self.card.clone()];
        for envelope in &self.members {
            let card = verify_card(envelope)?.into_inner();
            if card.organization.is_none() || card.organization != self.card.organization {
                let organization = self.card.organization.clone();
                return Err(Error::OtherOrganization { member: card.name, organization });
            }
            if holders.iter().any(|holder| holder.verifying_key == card.verifying_key) {
                return Err(Error::NamedTwice { member: card.name });
            }
            holders.push(card);
        }
        Ok(holders)
    }
}

/// The digest of a request's terms without its date: equal digests are the same request made twice.
///
/// # Errors
/// [`Error::Statement`].
pub fn terms_digest(request: &Statement<Request>) -> Result<Sha256Digest, Error> {
    let mut undated = request.clone();
    undated.predicate.created = Timestamp::from_unix_seconds(0);
    Ok(undated.to_envelope()?.digest())
}

/// An author's withdrawal of a request.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    pub request: Sha256Digest,
    pub created: Timestamp,
}

impl Predicate for Withdrawal {
    const KIND: &'static str = "withdrawal";
}

/// A board member's refusal of a request.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    pub request: Sha256Digest,
    /// The reason, shown to the researcher.
    pub reason: Prose,
    pub created: Timestamp,
}

impl Predicate for Denial {
    const KIND: &'static str = "denial";
}

/// Verifies that the key on the card signed the request for `catalogue`, and that each named member signed their own card.
///
/// # Errors
/// [`Error::Statement`], and those of [`Request::holders`].
pub fn verify_request(
    envelope: &Envelope,
    catalogue: CatalogueId,
) -> Result<Verified<Statement<Request>>, Error> {
    let author = |request: &Request| author_of(&request.card, catalogue);
    let request = envelope.self_signed(author)?;
    request.predicate.holders()?;
    Ok(request)
}

/// Verifies that the author of `request` signed the withdrawal.
///
/// # Errors
/// [`Error::Statement`], [`Error::OtherRequest`].
pub fn verify_withdrawal(
    envelope: &Envelope,
    request: &Verified<Statement<Request>>,
) -> Result<Verified<Withdrawal>, Error> {
    let catalogue = request.catalogue().ok_or(statement::Error::NoCatalogue { kind: Request::KIND })?;
    let author = author_of(&request.predicate.card, catalogue);
    let withdrawal = envelope.statement::<Withdrawal>(&author)?.map(|statement| statement.predicate);
    require_request(withdrawal.request, request.digest())?;
    Ok(withdrawal)
}

/// Verifies that a member of one of the deciding boards signed the denial of `request`.
///
/// # Errors
/// [`Error::Statement`], [`Error::OtherRequest`].
pub fn verify_denial(
    envelope: &Envelope,
    request: Sha256Digest,
    rules: &RulesInForce,
) -> Result<Verified<Denial>, Error> {
    let denial = envelope.statement::<Denial>(&rules.denial_quorum())?.map(|statement| statement.predicate);
    require_request(denial.request, request)?;
    Ok(denial)
}

fn author_of(card: &Card, catalogue: CatalogueId) -> Quorum {
    let name = format!("the author of the request, {},", card.name);
    Quorum::of_one(name, card.verifying_key).in_catalogue(catalogue)
}

fn require_request(found: Sha256Digest, expected: Sha256Digest) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::OtherRequest { found, expected }) }
}
