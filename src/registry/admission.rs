//! Checks of a statement before its signatures are verified: its size, its number of signatures, and the author's quotas. Keys cost
//! nothing, so an unknown author pays with proof of work.

use aws_lc_rs::hmac;
use rand::Rng as _;

use super::index::{Index, index};
use super::{Error, Registry, View};
use crate::access::{Grant, MAX_MEMBERS, Request, terms_digest};
use crate::api::{WorkDemand, WorkProof};
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, VerifyingKey};
use crate::misuse::{Case, CaseStep};
use crate::name::CheckpointId;
use crate::policy::Stage;
use crate::statement::{Envelope, Error as StatementError, Predicate as _, Statement};
use crate::store::{
    self, Approval, Filing, NewcomerQuota, QuotaRefusal, RequestAdmission, RequestQuota, StatementQuota,
};
use crate::time::Timestamp;
use crate::usage::{JournalDeclaration, UsageBatch};

/// Seconds for which a challenge stays the same; it is accepted for as long again.
const CHALLENGE_SECONDS: i64 = 600;
/// Maximum bits that the load adds to a newcomer's work: a factor of 256.
const MAX_LOAD_BITS: u32 = 8;
/// Maximum payload of most kinds: 4,000 characters of prose with their JSON.
const MAX_PAYLOAD: usize = 40 << 10;
/// Maximum bytes that each member's card adds to a request.
const MAX_CARD: usize = 3 << 10;
/// Maximum payload of a case: prose, records and rules.
const MAX_CASE: usize = 64 << 10;
/// Maximum payload of a usage batch.
const MAX_BATCH: usize = 768 << 10;

/// Limits for people who are not in the catalogue; 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdmissionRules {
    /// Zero bits of a newcomer's proof of work for a request.
    pub work_bits: u32,
    /// Pending requests per person and checkpoint.
    pub pending_per_person: u32,
    /// Requests per person and day.
    pub requests_per_person: u32,
    /// Requests of all newcomers per checkpoint and day.
    pub newcomer_requests: u32,
    /// Statements of one kind per person and day.
    pub statements_per_person: u32,
    /// Bytes of usage per person and day.
    pub usage_bytes: u64,
    /// Bytes of usage per day of a person whom no board has approved.
    pub public_usage_bytes: u64,
}

impl Default for AdmissionRules {
    fn default() -> Self {
        Self {
            work_bits: 20,
            pending_per_person: 3,
            requests_per_person: 20,
            newcomer_requests: 500,
            statements_per_person: 2000,
            usage_bytes: 256 << 20,
            public_usage_bytes: 8 << 20,
        }
    }
}

/// How well the registry knows a statement's author.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthorStatus {
    /// The catalogue names the key: owner, board member, auditor or registry.
    InCatalogue,
    /// A board approved an earlier grant of this person.
    Approved,
    /// Only the registry of a public stage has granted this person anything, which it does for everyone.
    Public,
    /// Unknown.
    Newcomer,
}

impl AuthorStatus {
    /// The status for a request: if a board decides on the checkpoint, a person known only from public stages is a newcomer.
    fn for_checkpoint(self, is_public: bool) -> Self {
        match self {
            Self::Public if !is_public => Self::Newcomer,
            standing => standing,
        }
    }
}

/// A statement whose size and number of signatures suit its kind. Its signatures are not verified yet.
#[derive(Debug)]
pub struct ScreenedStatement {
    pub(super) index: Index,
    /// The status of the claimed author.
    pub standing: AuthorStatus,
    /// Maximum number of signatures to verify.
    pub signatures: usize,
    /// Whether the statement is already stored.
    pub is_here: bool,
    /// The network that it comes from, if known.
    pub network: Option<Vec<u8>>,
    /// Additional zero bits of work, by today's number of newcomers' requests.
    load_bits: u32,
    /// The claimed owner of usage.
    pub(super) author: Option<KeyId>,
}

impl ScreenedStatement {
    /// Whether the author must send proof of work.
    pub fn costs_work(&self) -> bool {
        self.standing == AuthorStatus::Newcomer && self.index.kind == Request::KIND && !self.is_here
    }
}

/// The limits of a kind of statement.
struct Bounds {
    payload: usize,
    signatures: usize,
}

impl Registry {
    /// Parses a statement in its canonical form and checks its size and its number of signatures. Nothing is verified.
    ///
    /// # Errors
    /// [`Error::Statement`], [`Error::Newcomer`] if it is of a kind that a newcomer has no use for, [`Error::Store`].
    pub async fn screen(&self, envelope: &Envelope) -> Result<ScreenedStatement, Error> {
        let view = self.view().await?;
        let found = envelope.kind()?;
        let bounds = bounds(&found, &view);
        if envelope.payload().len() > bounds.payload {
            return Err(
                StatementError::TooLong { size: envelope.payload().len(), max: bounds.payload }.into()
            );
        }
        require_signatures(&found, envelope, bounds.signatures)?;
        let index = index(envelope)?;
        let mut screened = ScreenedStatement {
            signatures: envelope.signatures().len(),
            standing: AuthorStatus::InCatalogue,
            is_here: false,
            network: None,
            load_bits: 0,
            author: None,
            index,
        };
        match screened.index.kind {
            Request::KIND => {
                let request = envelope.claim::<Request>()?.predicate;
                screened.signatures += require_cards(&request)?;
                let standing = self.find_author_status(&view, request.card.verifying_key.id()).await?;
                screened.standing = standing.for_checkpoint(is_public(&view, &request.checkpoint));
                screened.is_here = self.store.request(envelope.digest()).await?.is_some();
                if screened.costs_work() {
                    screened.load_bits = self.load_bits(&request).await?;
                }
            }
            UsageBatch::KIND => {
                let batch = envelope.claim::<UsageBatch>()?.predicate;
                screened.signatures += batch.records.len();
                screened.standing = self.find_author_status(&view, batch.card.verifying_key.id()).await?;
                if screened.standing == AuthorStatus::Newcomer {
                    return Err(Error::Newcomer { kind: UsageBatch::KIND });
                }
                screened.author = Some(batch.card.verifying_key.id());
            }
            JournalDeclaration::KIND => {
                let said = envelope.claim::<JournalDeclaration>()?.predicate;
                screened.standing = self.find_author_status(&view, said.card.verifying_key.id()).await?;
                if screened.standing == AuthorStatus::Newcomer {
                    return Err(Error::Newcomer { kind: JournalDeclaration::KIND });
                }
            }
            // The signers of these follow from the object that they refer to.
            _ => {}
        }
        Ok(screened)
    }

    /// The work for a newcomer's statement: one more bit for each doubling of the signatures to verify.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn work_for(
        &self,
        envelope: &Envelope,
        screened: &ScreenedStatement,
        now: Timestamp,
    ) -> Result<WorkDemand, Error> {
        let challenge = self.challenge_for(envelope.digest(), now).await?;
        Ok(WorkDemand { challenge, bits: self.bits(screened) })
    }

    /// Refuses a statement without the required work.
    ///
    /// # Errors
    /// [`Error::WorkNeeded`], [`Error::Store`].
    pub async fn require_work(
        &self,
        envelope: &Envelope,
        screened: &ScreenedStatement,
        proof: Option<&WorkProof>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let bits = self.bits(screened);
        if !screened.costs_work() || bits == 0 {
            return Ok(());
        }
        let digest = envelope.digest();
        let demand = self.work_for(envelope, screened, now).await?;
        // The load may have risen by one bit since the work was demanded.
        let enough = bits - screened.load_bits.min(1);
        if let Some(proof) = proof.filter(|proof| proof.is_worth(enough, digest)) {
            let before = self.challenge_for(digest, now.plus_seconds(-CHALLENGE_SECONDS)).await?;
            if [demand.challenge, before].contains(&proof.challenge) {
                return Ok(());
            }
        }
        Err(Error::WorkNeeded { demand })
    }

    /// Refuses usage beyond the person's daily quota. Only verified usage counts, so no one can use up another person's quota.
    pub(super) async fn require_usage_quota(
        &self,
        person: KeyId,
        standing: AuthorStatus,
        now: Timestamp,
    ) -> Result<(), Error> {
        let max = match standing {
            AuthorStatus::Public => self.admission.public_usage_bytes,
            _ => self.admission.usage_bytes,
        };
        if max > 0 && self.store.usage_of_day(person, now).await? >= max {
            return Err(store::Error::from(QuotaRefusal::UsageDay { max }).into());
        }
        Ok(())
    }

    fn bits(&self, screened: &ScreenedStatement) -> u32 {
        match self.admission.work_bits {
            0 => 0,
            bits => {
                (bits + screened.load_bits + screened.signatures.max(1).ilog2()).min(WorkDemand::MAX_BITS)
            }
        }
    }

    /// One more bit for each used quarter of the newcomers' daily quota, at most
    /// [`MAX_LOAD_BITS`].
    async fn load_bits(&self, request: &Request) -> Result<u32, Error> {
        let max = u64::from(self.admission.newcomer_requests);
        if max == 0 {
            return Ok(0);
        }
        let taken = u64::from(self.store.newcomers_of_day(&request.checkpoint, (self.clock)()).await?);
        Ok(u32::try_from(taken * 4 / max).unwrap_or(MAX_LOAD_BITS).min(MAX_LOAD_BITS))
    }

    /// Stores a filing and charges its authors' quotas.
    pub(super) async fn file(&self, filing: Filing) -> Result<bool, Error> {
        let quota = StatementQuota { max: self.admission.statements_per_person, registry: self.key_id() };
        Ok(self.store.put(Filing { charge: Some(quota), ..filing }).await?)
    }

    /// The challenge for a statement: a MAC that only this registry's replicas can compute, so that none must store it.
    async fn challenge_for(&self, statement: Sha256Digest, now: Timestamp) -> Result<Sha256Digest, Error> {
        let window = now.unix_seconds().div_euclid(CHALLENGE_SECONDS);
        let mut message = b"portcullis-work/v1\n".to_vec();
        message.extend_from_slice(&window.to_be_bytes());
        message.extend_from_slice(statement.as_bytes());
        self.tag(&message).await
    }

    /// A MAC under the key that the replicas share.
    async fn tag(&self, message: &[u8]) -> Result<Sha256Digest, Error> {
        let key = match self.challenge_key.get() {
            Some(key) => *key,
            None => {
                let mut fresh = [0; 32];
                rand::rng().fill_bytes(&mut fresh);
                let key = self.store.intake_key(Sha256Digest::from_bytes(fresh)).await?;
                *self.challenge_key.get_or_init(|| key)
            }
        };
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes()), message);
        // An HMAC-SHA256 tag has 32 bytes; hashing turns it into a digest without a fallible conversion.
        Ok(Sha256Digest::of(tag.as_ref()))
    }

    async fn find_author_status(&self, view: &View, key: KeyId) -> Result<AuthorStatus, Error> {
        if view.names(key) {
            return Ok(AuthorStatus::InCatalogue);
        }
        let mut registry: Vec<KeyId> =
            view.catalogue.registry().keys().iter().map(VerifyingKey::id).collect();
        registry.push(self.key_id());
        Ok(match self.store.approval_of(key, &registry).await? {
            Some(Approval::Board) => AuthorStatus::Approved,
            Some(Approval::Registry) => AuthorStatus::Public,
            None => AuthorStatus::Newcomer,
        })
    }

    /// The quotas that apply to a request when it is stored.
    pub(super) async fn request_admission(
        &self,
        request: &Statement<Request>,
        standing: AuthorStatus,
        network: Option<&[u8]>,
    ) -> Result<RequestAdmission, Error> {
        let asks = terms_digest(request)?;
        let rules = self.admission;
        let network = match network {
            Some(network) => Some(self.tag(&[b"portcullis-network/v1\n", network].concat()).await?),
            None => None,
        };
        let quota = |newcomers| RequestQuota {
            pending: rules.pending_per_person,
            a_day: rules.requests_per_person,
            newcomers,
        };
        let quota = match standing {
            AuthorStatus::InCatalogue => None,
            AuthorStatus::Approved | AuthorStatus::Public => Some(quota(None)),
            AuthorStatus::Newcomer => {
                Some(quota(Some(NewcomerQuota { all: rules.newcomer_requests, network })))
            }
        };
        Ok(RequestAdmission { asks, quota })
    }
}

fn is_public(view: &View, checkpoint: &CheckpointId) -> bool {
    view.rules(checkpoint).is_ok_and(|rules| rules.policy.stage(&rules.stage).is_some_and(Stage::is_public))
}

/// One signature, except for grants, which carry those of their boards.
fn bounds(kind: &str, view: &View) -> Bounds {
    match kind {
        Request::KIND => Bounds { payload: MAX_PAYLOAD + MAX_MEMBERS * MAX_CARD, signatures: 1 },
        Grant::KIND => Bounds { payload: MAX_PAYLOAD, signatures: view.max_members().max(1) },
        Case::KIND | CaseStep::KIND => Bounds { payload: MAX_CASE, signatures: 1 },
        UsageBatch::KIND => Bounds { payload: MAX_BATCH, signatures: 1 },
        _ => Bounds { payload: MAX_PAYLOAD, signatures: 1 },
    }
}

pub(super) fn require_signatures(kind: &str, envelope: &Envelope, max: usize) -> Result<(), Error> {
    let count = envelope.signatures().len();
    if (1..=max).contains(&count) {
        return Ok(());
    }
    Err(StatementError::SignatureCount { kind: kind.to_owned(), count, max }.into())
}

/// Checks that each card in a request carries one signature; returns their number.
fn require_cards(request: &Request) -> Result<usize, Error> {
    if request.members.len() > MAX_MEMBERS {
        let count = request.members.len();
        return Err(crate::access::Error::TooManyMembers { count, max: MAX_MEMBERS }.into());
    }
    for card in &request.members {
        require_signatures("card", card, 1)?;
    }
    Ok(request.members.len())
}
