//! What a registry refuses.

use std::io;

use crate::access::JournalId;
use crate::api::WorkDemand;
use crate::catalogue::RepositoryError;
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::Part;
use crate::misuse::CaseError;
use crate::name::CheckpointId;
use crate::time::Timestamp;
use crate::{access, blob, catalogue, client, log, seal, statement, store, usage};

/// The registry cannot do what is asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule of access says no.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The catalogue does not say what is needed.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The locks cannot be opened or sealed anew.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// A statement cannot be made or read.
    #[error(transparent)]
    Statement(#[from] statement::Error),
    /// The board has not handed its lock over.
    #[error("{have} of the {need} shares of {checkpoint} were handed over")]
    TooFewHandovers {
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// How many there are.
        have: usize,
        /// How many are needed.
        need: usize,
    },
    /// Somebody for whom a request asks signs its answer.
    #[error("members cannot approve their own request")]
    OwnRequest,
    /// The key is not the registry's.
    #[error("the key {key} is not the registry's key in the catalogue")]
    NotTheRegistry {
        /// Whose.
        key: KeyId,
    },
    /// A founding names another registry.
    #[error("the founding names another registry key; this registry's key is {own}")]
    FoundedForAnother {
        /// The key of this registry.
        own: KeyId,
    },
    /// The catalogue that the registry serves does not hold.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// A change of the catalogue is refused.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// A proposal whose files do not fit together.
    #[error(transparent)]
    Release(#[from] crate::policy::ReleaseError),
    /// The log does not hold, or does not take it.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The log is not that long, or has no such tile.
    #[error("the log has no {part} yet")]
    NoPart {
        /// Which part.
        part: Part,
    },
    /// Usage does not hold.
    #[error(transparent)]
    Usage(#[from] usage::Error),
    /// A case, or a step in it, does not count.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A text is too long, or none.
    #[error(transparent)]
    Name(#[from] crate::name::NameError),
    /// A word of this program's own is none.
    #[error(transparent)]
    Word(#[from] crate::policy::WordError),
    /// A journal goes on otherwise than it came in.
    #[error(
        "the registry has {known} records of the journal, but the batch begins at record {first} or with another history"
    )]
    JournalForked {
        /// How many are here.
        known: u64,
        /// Where the batch begins.
        first: u64,
    },
    /// Usage that did not come in.
    #[error("the usage journal has {told} records, but {known} are synced: a lease requires all of them")]
    Unsynced {
        /// How many are here.
        known: u64,
        /// How many there are.
        told: u64,
    },
    /// A journal that a registry which knows others of the person was not told of.
    #[error(
        "the usage journal {journal} is not declared: your known journal is {known} with {records} records, and this one does not continue it"
    )]
    JournalUndeclared {
        /// Which is told.
        journal: JournalId,
        /// Which is known.
        known: JournalId,
        /// How many records of it came in.
        records: u64,
    },
    /// A journal that is shorter than what came in, or has another history.
    #[error(
        "{known} records of the usage journal {journal} are synced, but it now has {told} or different ones: it was cut or replaced"
    )]
    JournalCut {
        /// Which journal.
        journal: JournalId,
        /// How many came in.
        known: u64,
        /// How many there are.
        told: u64,
    },
    /// A journal that its owner gave up.
    #[error("the usage journal {journal} was declared lost and cannot be continued")]
    JournalGivenUp {
        /// Which journal.
        journal: JournalId,
    },
    /// A journal was leased for, and nobody told since how it stands.
    #[error("the usage journal {journal} had a lease until {until}, and its state was not reported since")]
    JournalOverdue {
        /// Which journal.
        journal: JournalId,
        /// Until when.
        until: Timestamp,
    },
    /// A journal that is known already.
    #[error("the usage journal {journal} is already known")]
    JournalKnown {
        /// Which journal.
        journal: JournalId,
    },
    /// No such journal of this person, or one that was given up.
    #[error("you have no usage journal {journal} that could be declared lost")]
    NoSuchJournal {
        /// Which journal.
        journal: JournalId,
    },
    /// Whoever used nothing has nothing to declare.
    #[error("you have no usage journal yet: the first needs no declaration")]
    NothingToDeclare,
    /// More journals than one person may have.
    #[error("one person may have at most {max} active usage journals")]
    TooManyJournals {
        /// How many.
        max: usize,
    },
    /// A loss while the case about an earlier one is open.
    #[error("the case {case} about an earlier lost usage journal is not decided yet")]
    LossUndecided {
        /// Which case.
        case: Sha256Digest,
    },
    /// A generation without an end.
    #[error("generation {begin} of the usage journal {journal} began and never ended")]
    GenerationUnended {
        /// Of which journal.
        journal: JournalId,
        /// The record with which it began.
        begin: u64,
    },
    /// Nobody told how the usage journal stands.
    #[error("a lease request must include the journal state")]
    JournalUntold,
    /// A case suspends the grant.
    #[error("the grant is suspended until {until} by the case {case}")]
    Suspended {
        /// Which case.
        case: Sha256Digest,
        /// Until when.
        until: Timestamp,
        /// Whom to write to.
        board: access::Contacts,
    },
    /// Too few witnesses answer.
    #[error("the witnesses have not cosigned entry {place} of the log yet: {reason}")]
    NotWitnessed {
        /// The entry's place.
        place: u64,
        /// What the last of them said.
        reason: String,
    },
    /// The database fails.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The store of chunks fails.
    #[error(transparent)]
    Blob(#[from] blob::Error),
    /// The disk fails.
    #[error("registry disk error")]
    Io {
        /// Why.
        source: io::Error,
    },
    /// Nothing is published yet.
    #[error("the catalogue is not founded yet")]
    Unfounded,
    /// The first proposals came without the code that lets them in.
    #[error("the founding code is wrong, or none was given")]
    FoundingCode,
    /// Too many change the catalogue at once.
    #[error("too many concurrent changes of the catalogue")]
    Busy,
    /// A generation for which no lease was issued.
    #[error("record {seq} is not valid: {reason}")]
    NotLeased {
        /// Its record.
        seq: u64,
        /// Why not.
        reason: &'static str,
    },
    /// A record holds more of a text than its stage keeps.
    #[error("record {seq} needs a stage with `usage = \"{holds}\"`, but its stage keeps `{mode}`")]
    NotKept {
        /// Which.
        seq: u64,
        /// What it holds.
        holds: &'static str,
        /// What is kept.
        mode: &'static str,
    },
    /// Many read from public checkpoints.
    #[error("too many chunks are open for readers")]
    Crowded,
    /// The sealed checkpoint was not handed in.
    #[error("the sealed checkpoint {checkpoint} is not uploaded yet")]
    NotSealed {
        /// Which.
        checkpoint: CheckpointId,
    },
    /// Not for anybody: the board decides.
    #[error("{checkpoint} is in stage `{stage}`, which requires its board's approval")]
    Gated {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Its stage.
        stage: String,
    },
    /// It is about something that is not here.
    #[error("there is no {what} {digest}")]
    Unknown {
        /// What was meant.
        what: &'static str,
        /// Its digest.
        digest: Sha256Digest,
    },
    /// Only the registry makes statements of this kind.
    #[error("only the registry issues statements of kind `{kind}`")]
    NotForPeople {
        /// Which kind.
        kind: String,
    },
    /// A grant that is not what the rules make of its request.
    #[error("the grant does not match its request under the rules in force")]
    NotTheDraft,
    /// None of the board signed it.
    #[error("no member of the board of {checkpoint} signed it")]
    NoMember {
        /// Of which checkpoint.
        checkpoint: CheckpointId,
    },
    /// The request stands otherwise already.
    #[error("the request {request} is already {state}")]
    Over {
        /// Which request.
        request: Sha256Digest,
        /// How it stands.
        state: store::RequestState,
    },
    /// An approval under a grant that a revocation ended.
    #[error("the grant {grant} can no longer be approved: {why}")]
    ApprovalOfEnded {
        /// Which grant.
        grant: Sha256Digest,
        /// The request that it answers.
        request: Sha256Digest,
        /// What ended it.
        why: Box<access::Error>,
    },
    /// An approval of another grant than the one that answers the request already.
    #[error("the request {request} is already granted: the grant {grant} stands")]
    GrantedAlready {
        /// Which request.
        request: Sha256Digest,
        /// The grant that stands.
        grant: Sha256Digest,
    },
    /// An approval in a stage where the registry itself grants.
    #[error(
        "{checkpoint} is in stage `{stage}`, in which the registry grants by itself and no approval is needed"
    )]
    NothingToApprove {
        /// Which checkpoint.
        checkpoint: CheckpointId,
        /// Its stage.
        stage: String,
    },
    /// A revocation of a grant, or a case about one, that never had all its signatures.
    #[error("the grant {grant} is not valid: it lacks required signatures")]
    NeverStood {
        /// Which grant.
        grant: Sha256Digest,
        /// The request that it answers.
        request: Sha256Digest,
    },
    /// What a registrar says of a person, dated before what is here of the same person and organization.
    #[error("a registrar signed a later statement about this person, dated {last}")]
    NotTheLastWord {
        /// The date of the last.
        last: Timestamp,
    },
    /// Nobody signed it.
    #[error("it has no signature")]
    Unsigned,
    /// Dated too far from now.
    #[error("it is dated {created}, but the registry's clock says {now}")]
    Clock {
        /// Its date.
        created: Timestamp,
        /// The clock.
        now: Timestamp,
    },
    /// A challenge that was not handed out here, or was used, or is over.
    #[error("the challenge is unknown, already used, or expired")]
    Challenge,
    /// A newcomer's statement costs work.
    #[error("a newcomer's request requires proof of work")]
    WorkNeeded {
        /// Which work.
        demand: WorkDemand,
    },
    /// A newcomer has nothing of the kind to hand in.
    #[error("statements of kind `{kind}` are accepted only from people who have had a grant")]
    Newcomer {
        /// Which kind.
        kind: &'static str,
    },
    /// It names another checkpoint than what it refers to.
    #[error("the {kind} is about {found}, but refers to {expected} or to other weights")]
    OtherSubject {
        /// The kind of statement.
        kind: &'static str,
        /// What it names.
        found: CheckpointId,
        /// The checkpoint of what it refers to.
        expected: CheckpointId,
    },
    /// Others may not read it.
    #[error("permission denied")]
    NotYours,
}
