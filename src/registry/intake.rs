//! What a statement is held against before any signature of it is checked: its size, the signatures that it carries, and what its author
//! paid and used up. Keys cost nothing, so whoever is not known yet pays with work.

use aws_lc_rs::hmac;
use rand::Rng as _;

use super::index::{Index, index};
use super::{Error, Registry, View};
use crate::access::{Grant, MAX_MEMBERS, Request, asks};
use crate::api::{WorkDemand, WorkProof};
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, VerifyingKey};
use crate::misuse::{Case, CaseStep};
use crate::name::CheckpointId;
use crate::policy::Stage;
use crate::statement::{Envelope, Error as StatementError, Predicate as _, Statement};
use crate::store::{
    self, Approval, Filing, IntakeRefusal, NewcomerQuota, RequestIntake, RequestQuota, StatementQuota,
};
use crate::time::Timestamp;
use crate::usage::{JournalDeclaration, UsageBatch};

/// Seconds for which a challenge is the same; it is good for as long again.
const CHALLENGE_SECONDS: i64 = 600;
/// Most bits that the load adds to the work of a newcomer: 256 times as much.
const MAX_LOAD_BITS: u32 = 8;
/// Longest payload of a kind that says nothing else: 4,000 characters of prose, and what stands around them.
const MAX_PAYLOAD: usize = 40 << 10;
/// What each member's card adds to a request, at most.
const MAX_CARD: usize = 3 << 10;
/// Longest payload of a case: the records and rules that it names, beside the prose.
const MAX_CASE: usize = 64 << 10;
/// Longest payload of a batch of usage records.
const MAX_BATCH: usize = 768 << 10;

/// How much a registry takes of people whom its catalogue does not name; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IntakeRules {
    /// Zero bits of the work that a newcomer does for a request.
    pub work_bits: u32,
    /// Requests of one person that may be pending for one checkpoint.
    pub pending_per_person: u32,
    /// Requests of one person in a day.
    pub requests_per_person: u32,
    /// Requests of all newcomers for one checkpoint in a day.
    pub newcomer_requests: u32,
    /// Statements of one kind by one person in a day.
    pub statements_per_person: u32,
    /// Bytes of usage of one person in a day.
    pub usage_bytes: u64,
    /// The same of one person whom no board knows.
    pub public_usage_bytes: u64,
}

impl Default for IntakeRules {
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

/// Who hands a statement in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The catalogue names their key: an owner, a member of a board, an auditor, the registry.
    Named,
    /// A board approved a grant for them before.
    Known,
    /// The registry of a public stage granted them something, which it does for everybody who asks: no board knows them.
    Public,
    /// Nobody knows them yet.
    Newcomer,
}

impl Standing {
    /// The same for a request at a public checkpoint, or at one whose board decides: there, whom the registry alone knows is a newcomer.
    fn at(self, is_public: bool) -> Self {
        match self {
            Self::Public if !is_public => Self::Newcomer,
            standing => standing,
        }
    }
}

/// A statement whose size and number of signatures are those of its kind. None of its signatures is checked yet.
#[derive(Debug)]
pub struct Weighed {
    pub(super) index: Index,
    /// Who hands it in, by what it claims.
    pub standing: Standing,
    /// Signatures that taking it in checks at most.
    pub signatures: usize,
    /// Whether it is here already.
    pub is_here: bool,
    /// The network that it comes from, where that is known.
    pub network: Option<Vec<u8>>,
    /// Zero bits of work that it costs beside the usual, by how much newcomers asked today.
    load_bits: u32,
    /// Whose usage it is, by what it claims.
    pub(super) author: Option<KeyId>,
}

impl Weighed {
    /// Whether its author has to show work first.
    pub fn costs_work(&self) -> bool {
        self.standing == Standing::Newcomer && self.index.kind == Request::KIND && !self.is_here
    }
}

/// What a statement of a kind may hold.
struct Bounds {
    payload: usize,
    signatures: usize,
}

impl Registry {
    /// Weighs a statement: parses it, in its one form, and compares its size and its signatures with those of its kind. Nothing is verified.
    ///
    /// # Errors
    /// [`Error::Statement`], [`Error::Newcomer`] where it is of a kind that a newcomer has no use for, [`Error::Store`].
    pub async fn weigh(&self, envelope: &Envelope) -> Result<Weighed, Error> {
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
        let mut weighed = Weighed {
            signatures: envelope.signatures().len(),
            standing: Standing::Named,
            is_here: false,
            network: None,
            load_bits: 0,
            author: None,
            index,
        };
        match weighed.index.kind {
            Request::KIND => {
                let request = envelope.claim::<Request>()?.predicate;
                weighed.signatures += require_cards(&request)?;
                let standing = self.known_as(&view, request.card.verifying_key.id()).await?;
                weighed.standing = standing.at(is_public(&view, &request.checkpoint));
                weighed.is_here = self.store.request(envelope.digest()).await?.is_some();
                if weighed.costs_work() {
                    weighed.load_bits = self.load_bits(&request).await?;
                }
            }
            UsageBatch::KIND => {
                let batch = envelope.claim::<UsageBatch>()?.predicate;
                weighed.signatures += batch.records.len();
                weighed.standing = self.known_as(&view, batch.card.verifying_key.id()).await?;
                if weighed.standing == Standing::Newcomer {
                    return Err(Error::Newcomer { kind: UsageBatch::KIND });
                }
                weighed.author = Some(batch.card.verifying_key.id());
            }
            JournalDeclaration::KIND => {
                let said = envelope.claim::<JournalDeclaration>()?.predicate;
                weighed.standing = self.known_as(&view, said.card.verifying_key.id()).await?;
                if weighed.standing == Standing::Newcomer {
                    return Err(Error::Newcomer { kind: JournalDeclaration::KIND });
                }
            }
            // What these are about tells who signs them, once that is looked up.
            _ => {}
        }
        Ok(weighed)
    }

    /// The work that a newcomer's statement costs: one bit more for each doubling of the signatures that have to be checked.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn work_for(
        &self,
        envelope: &Envelope,
        weighed: &Weighed,
        now: Timestamp,
    ) -> Result<WorkDemand, Error> {
        let challenge = self.challenge_of(envelope.digest(), now).await?;
        Ok(WorkDemand { challenge, bits: self.bits(weighed) })
    }

    /// Refuses a statement that costs work which was not done.
    ///
    /// # Errors
    /// [`Error::WorkNeeded`], [`Error::Store`].
    pub async fn require_work(
        &self,
        envelope: &Envelope,
        weighed: &Weighed,
        proof: Option<&WorkProof>,
        now: Timestamp,
    ) -> Result<(), Error> {
        let bits = self.bits(weighed);
        if !weighed.costs_work() || bits == 0 {
            return Ok(());
        }
        let digest = envelope.digest();
        let demand = self.work_for(envelope, weighed, now).await?;
        // The load may have risen by a bit since the work was asked for.
        let enough = bits - weighed.load_bits.min(1);
        if let Some(proof) = proof.filter(|proof| proof.is_worth(enough, digest)) {
            let before = self.challenge_of(digest, now.plus_seconds(-CHALLENGE_SECONDS)).await?;
            if [demand.challenge, before].contains(&proof.challenge) {
                return Ok(());
            }
        }
        Err(Error::WorkNeeded { demand })
    }

    /// Refuses usage of somebody who handed in as much as may be in a day. Only what was verified is counted, so nobody uses up what is
    /// another's.
    pub(super) async fn require_room_for_usage(
        &self,
        person: KeyId,
        standing: Standing,
        now: Timestamp,
    ) -> Result<(), Error> {
        let max = match standing {
            Standing::Public => self.intake.public_usage_bytes,
            _ => self.intake.usage_bytes,
        };
        if max > 0 && self.store.usage_of_day(person, now).await? >= max {
            return Err(store::Error::from(IntakeRefusal::UsageDay { max }).into());
        }
        Ok(())
    }

    fn bits(&self, weighed: &Weighed) -> u32 {
        match self.intake.work_bits {
            0 => 0,
            bits => (bits + weighed.load_bits + weighed.signatures.max(1).ilog2()).min(WorkDemand::MAX_BITS),
        }
    }

    /// One bit more for each quarter of the day's quota that newcomers used up, so that the last of it costs the most; at most
    /// [`MAX_LOAD_BITS`].
    async fn load_bits(&self, request: &Request) -> Result<u32, Error> {
        let max = u64::from(self.intake.newcomer_requests);
        if max == 0 {
            return Ok(0);
        }
        let taken = u64::from(self.store.newcomers_of_day(&request.checkpoint, (self.clock)()).await?);
        Ok(u32::try_from(taken * 4 / max).unwrap_or(MAX_LOAD_BITS).min(MAX_LOAD_BITS))
    }

    /// What a filing of people's statements costs them.
    pub(super) async fn file(&self, filing: Filing) -> Result<bool, Error> {
        let quota = StatementQuota { max: self.intake.statements_per_person, registry: self.key_id() };
        Ok(self.store.put(Filing { charge: Some(quota), ..filing }).await?)
    }

    /// The challenge for a statement: a MAC that only this registry's replicas can make, so that none of them has to remember it.
    async fn challenge_of(&self, statement: Sha256Digest, now: Timestamp) -> Result<Sha256Digest, Error> {
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
        // A tag of HMAC-SHA256 has 32 bytes; hashing makes it a digest without a way to fail.
        Ok(Sha256Digest::compute(tag.as_ref()))
    }

    async fn known_as(&self, view: &View, key: KeyId) -> Result<Standing, Error> {
        if view.names(key) {
            return Ok(Standing::Named);
        }
        let mut registry: Vec<KeyId> =
            view.catalogue.registry().keys().iter().map(VerifyingKey::id).collect();
        registry.push(self.key_id());
        Ok(match self.store.approval_of(key, &registry).await? {
            Some(Approval::Board) => Standing::Known,
            Some(Approval::Registry) => Standing::Public,
            None => Standing::Newcomer,
        })
    }

    /// What a request is held against when it is filed.
    pub(super) async fn intake_of(
        &self,
        request: &Statement<Request>,
        standing: Standing,
        network: Option<&[u8]>,
    ) -> Result<RequestIntake, Error> {
        let asks = asks(request)?;
        let rules = self.intake;
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
            Standing::Named => None,
            Standing::Known | Standing::Public => Some(quota(None)),
            Standing::Newcomer => Some(quota(Some(NewcomerQuota { all: rules.newcomer_requests, network }))),
        };
        Ok(RequestIntake { asks, quota })
    }
}

fn is_public(view: &View, checkpoint: &CheckpointId) -> bool {
    view.rules(checkpoint).is_ok_and(|rules| rules.policy.stage(&rules.stage).is_some_and(Stage::is_public))
}

/// One signature, but for a grant, which carries those of its boards.
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

/// The cards that a request names carry one signature each; how many there are.
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
