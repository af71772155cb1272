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
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule of access says no.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The catalogue does not say what is needed.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The locks cannot be opened or sealed again.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// A statement cannot be made or read.
    #[error(transparent)]
    Statement(#[from] statement::Error),
    /// The board has not handed its lock over.
    #[error("{have} of the {need} shares of {checkpoint} were handed over")]
    TooFewHandovers { checkpoint: CheckpointId, have: usize, need: usize },
    /// Somebody for whom a request asks signs its answer.
    #[error("members cannot approve their own request")]
    OwnRequest,
    /// The key is not the registry's.
    #[error("the key {key} is not the registry's key in the catalogue")]
    NotTheRegistry { key: KeyId },
    /// A founding names another registry.
    #[error("the founding names another registry key; this registry's key is {own}")]
    FoundedForAnother { own: KeyId },
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
    NoPart { part: Part },
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
    JournalForked { known: u64, first: u64 },
    /// Usage that did not come in.
    #[error("the usage journal has {told} records, but {known} are synced: a lease requires all of them")]
    Unsynced { known: u64, told: u64 },
    /// A journal that a registry which knows others of the person was not told of.
    #[error(
        "the usage journal {journal} is not declared: your known journal is {known} with {records} records, and this one does not continue it"
    )]
    JournalUndeclared { journal: JournalId, known: JournalId, records: u64 },
    /// A journal that is shorter than what came in, or has another history.
    #[error(
        "{known} records of the usage journal {journal} are synced, but it now has {told} or different ones: it was cut or replaced"
    )]
    JournalCut { journal: JournalId, known: u64, told: u64 },
    /// A journal that its owner gave up.
    #[error("the usage journal {journal} was declared lost and cannot be continued")]
    JournalGivenUp { journal: JournalId },
    /// A journal was leased for, and nobody told since how it stands.
    #[error("the usage journal {journal} had a lease until {until}, and its state was not reported since")]
    JournalOverdue { journal: JournalId, until: Timestamp },
    /// A journal that is known already.
    #[error("the usage journal {journal} is already known")]
    JournalKnown { journal: JournalId },
    /// No such journal of this person, or one that was given up.
    #[error("you have no usage journal {journal} that could be declared lost")]
    NoSuchJournal { journal: JournalId },
    /// Whoever used nothing has nothing to declare.
    #[error("you have no usage journal yet: the first needs no declaration")]
    NothingToDeclare,
    /// More journals than one person may have.
    #[error("one person may have at most {max} active usage journals")]
    TooManyJournals { max: usize },
    /// A loss while the case about an earlier one is open.
    #[error("the case {case} about an earlier lost usage journal is not decided yet")]
    LossUndecided { case: Sha256Digest },
    /// A generation without an end.
    #[error("generation {begin} of the usage journal {journal} began and never ended")]
    GenerationUnended { journal: JournalId, begin: u64 },
    /// Nobody told how the usage journal stands.
    #[error("a lease request must include the journal state")]
    JournalUntold,
    /// A case suspends the grant.
    #[error("the grant is suspended until {until} by the case {case}")]
    Suspended { case: Sha256Digest, until: Timestamp, board: access::Contacts },
    /// Too few witnesses answer.
    #[error("the witnesses have not cosigned entry {place} of the log yet: {reason}")]
    NotWitnessed { place: u64, reason: String },
    /// The database fails.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// The store of chunks fails.
    #[error(transparent)]
    Blob(#[from] blob::Error),
    /// The disk fails.
    #[error("registry disk error")]
    Io { source: io::Error },
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
    NotLeased { seq: u64, reason: &'static str },
    /// A record holds more of a text than its stage keeps.
    #[error("record {seq} needs a stage with `usage = \"{holds}\"`, but its stage keeps `{mode}`")]
    NotKept { seq: u64, holds: &'static str, mode: &'static str },
    /// Many read from public checkpoints.
    #[error("too many chunks are open for readers")]
    Crowded,
    /// The sealed checkpoint was not handed in.
    #[error("the sealed checkpoint {checkpoint} is not uploaded yet")]
    NotSealed { checkpoint: CheckpointId },
    /// Not for anybody: the board decides.
    #[error("{checkpoint} is in stage `{stage}`, which requires its board's approval")]
    Gated { checkpoint: CheckpointId, stage: String },
    /// It is about something that is not here.
    #[error("there is no {what} {digest}")]
    Unknown { what: &'static str, digest: Sha256Digest },
    /// Only the registry makes statements of this kind.
    #[error("only the registry issues statements of kind `{kind}`")]
    NotForPeople { kind: String },
    /// A grant that is not what the rules make of its request.
    #[error("the grant does not match its request under the rules in force")]
    NotTheDraft,
    /// None of the board signed it.
    #[error("no member of the board of {checkpoint} signed it")]
    NoMember { checkpoint: CheckpointId },
    /// The request stands otherwise already.
    #[error("the request {request} is already {state}")]
    Over { request: Sha256Digest, state: store::RequestState },
    /// An approval under a grant that a revocation ended.
    #[error("the grant {grant} can no longer be approved: {why}")]
    ApprovalOfEnded { grant: Sha256Digest, request: Sha256Digest, why: Box<access::Error> },
    /// An approval of another grant than the one that answers the request already.
    #[error("the request {request} is already granted: the grant {grant} stands")]
    GrantedAlready { request: Sha256Digest, grant: Sha256Digest },
    /// An approval in a stage where the registry itself grants.
    #[error(
        "{checkpoint} is in stage `{stage}`, in which the registry grants by itself and no approval is needed"
    )]
    NothingToApprove { checkpoint: CheckpointId, stage: String },
    /// A revocation of a grant, or a case about one, that never had all its signatures.
    #[error("the grant {grant} is not valid: it lacks required signatures")]
    NeverStood { grant: Sha256Digest, request: Sha256Digest },
    /// What a registrar says of a person, dated before what is here of the same person and organization.
    #[error("a registrar signed a later statement about this person, dated {last}")]
    NotTheLastWord { last: Timestamp },
    /// Nobody signed it.
    #[error("it has no signature")]
    Unsigned,
    /// Dated too far from now.
    #[error("it is dated {created}, but the registry's clock says {now}")]
    Clock { created: Timestamp, now: Timestamp },
    /// A challenge that was not handed out here, or was used, or is over.
    #[error("the challenge is unknown, already used, or expired")]
    Challenge,
    /// A newcomer's statement costs work.
    #[error("a newcomer's request requires proof of work")]
    WorkNeeded { demand: WorkDemand },
    /// A newcomer has nothing of the kind to hand in.
    #[error("statements of kind `{kind}` are accepted only from people who have had a grant")]
    Newcomer { kind: &'static str },
    /// It names another checkpoint than what it refers to.
    #[error("the {kind} is about {found}, but refers to {expected} or to other weights")]
    OtherSubject { kind: &'static str, found: CheckpointId, expected: CheckpointId },
    /// Others may not read it.
    #[error("permission denied")]
    NotYours,
}
