//! A researcher's request, and how it can end without a grant: withdrawn by its author or denied by a board member.

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

/// What a researcher asks for. Its statement's subject is the checkpoint's manifest; its author signs it with the card's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// What for, in the researcher's words.
    pub purpose: Prose,
    /// The uses that the policy's words name.
    pub uses: BTreeSet<Use>,
    /// For how many days.
    pub days: u32,
    /// The agreement that the researcher accepts by signing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agreement: Option<Sha256Digest>,
    /// The earlier request that this one renews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<Sha256Digest>,
    /// Who asks: to these keys a grant will be made out.
    pub card: Card,
    /// Signed cards of others of the same organization for whom it asks, too, at most [`MAX_MEMBERS`]: each gets a grant of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Envelope>,
    /// When.
    pub created: Timestamp,
}

impl Predicate for Request {
    const KIND: &'static str = "request";
}

/// Most people whom one request may name beside its author.
pub const MAX_MEMBERS: usize = 50;

impl Request {
    /// For whom it asks: its author, then the members whom it names.
    ///
    /// # Errors
    /// [`Error::TooManyMembers`], [`Error::Statement`] where a member's card is not signed by its own key, [`Error::OtherOrganization`],
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

/// The digest of what a request asks for, whenever it does: two with the same are one request made twice.
///
/// # Errors
/// [`Error::Statement`].
pub fn asks(request: &Statement<Request>) -> Result<Sha256Digest, Error> {
    let mut undated = request.clone();
    undated.predicate.created = Timestamp::from_unix_seconds(0);
    Ok(undated.to_envelope()?.digest())
}

/// A researcher takes a request back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Withdrawal {
    /// The request's digest.
    pub request: Sha256Digest,
    /// When.
    pub created: Timestamp,
}

impl Predicate for Withdrawal {
    const KIND: &'static str = "withdrawal";
}

/// A board member will not consent, and says why: the researcher reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Denial {
    /// The request's digest.
    pub request: Sha256Digest,
    /// Why.
    pub reason: Prose,
    /// When.
    pub created: Timestamp,
}

impl Predicate for Denial {
    const KIND: &'static str = "denial";
}

/// The request of an envelope, if the key on its card signed it for `catalogue`, and each member whom it names signed their own.
///
/// # Errors
/// [`Error::Statement`], and those of [`Request::holders`].
pub fn verify_request(
    envelope: &Envelope,
    catalogue: CatalogueId,
) -> Result<Verified<Statement<Request>>, Error> {
    let author = |request: &Request| author_of(&request.card, catalogue);
    let request = envelope.verify_self_signed(author)?;
    request.predicate.holders()?;
    Ok(request)
}

/// The withdrawal of `request`, if its author signed it.
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

/// The denial of `request`, if a member of one of the boards that decide on it signed it: who must approve may refuse.
///
/// # Errors
/// [`Error::Statement`], [`Error::OtherRequest`].
pub fn verify_denial(
    envelope: &Envelope,
    request: Sha256Digest,
    rules: &RulesInForce,
) -> Result<Verified<Denial>, Error> {
    let denial = envelope.statement::<Denial>(&rules.deciders())?.map(|statement| statement.predicate);
    require_request(denial.request, request)?;
    Ok(denial)
}

fn author_of(card: &Card, catalogue: CatalogueId) -> Quorum {
    let name = format!("the author of the request, {},", card.name);
    Quorum::from_key(name, card.verifying_key).with_catalogue(catalogue)
}

fn require_request(found: Sha256Digest, expected: Sha256Digest) -> Result<(), Error> {
    if found == expected { Ok(()) } else { Err(Error::OtherRequest { found, expected }) }
}
