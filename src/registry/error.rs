//! Errors of the registry.

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

/// The registry refused or failed.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A rule of access forbids it.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The catalogue lacks something that is needed.
    #[error(transparent)]
    Client(#[from] client::Error),
    /// The shares cannot be opened or sealed.
    #[error(transparent)]
    Seal(#[from] seal::Error),
    /// A statement cannot be made or read.
    #[error(transparent)]
    Statement(#[from] statement::Error),
    /// The board has not handed over enough shares.
    #[error("{have} of the {need} shares of {checkpoint} were handed over")]
    TooFewHandovers { checkpoint: CheckpointId, have: usize, need: usize },
    /// A person signs the answer to their own request.
    #[error("members cannot approve their own request")]
    OwnRequest,
    /// The key is not the registry's.
    #[error("the key {key} is not the registry's key in the catalogue")]
    NotTheRegistry { key: KeyId },
    /// A founding proposal names another registry.
    #[error("the founding names another registry key; this registry's key is {own}")]
    FoundedForAnother { own: KeyId },
    /// The registry's catalogue is not valid.
    #[error(transparent)]
    Catalogue(#[from] catalogue::Error),
    /// A change of the catalogue was refused.
    #[error(transparent)]
    Repository(#[from] RepositoryError),
    /// The files of a proposal do not fit together.
    #[error(transparent)]
    Release(#[from] crate::policy::ReleaseError),
    /// The log is not valid, or did not accept an entry.
    #[error(transparent)]
    Log(#[from] log::Error),
    /// The log does not have the part yet.
    #[error("the log has no {part} yet")]
    NoPart { part: Part },
    /// Usage is not valid.
    #[error(transparent)]
    Usage(#[from] usage::Error),
    /// A case or a step in it is not valid.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A text is empty or too long.
    #[error(transparent)]
    Name(#[from] crate::name::NameError),
    /// A word of the program itself is malformed.
    #[error(transparent)]
    Word(#[from] crate::policy::WordError),
    /// The batch does not continue the journal.
    #[error(
        "the registry has {known} records of the journal, but the batch begins at record {first} or with another history"
    )]
    JournalForked { known: u64, first: u64 },
    /// The journal has records that are not synced.
    #[error("the usage journal has {told} records, but {known} are synced: a lease requires all of them")]
    Unsynced { known: u64, told: u64 },
    /// The person has another journal, and did not declare this one.
    #[error(
        "the usage journal {journal} is not declared: your known journal is {known} with {records} records, and this one does not continue it"
    )]
    JournalUndeclared { journal: JournalId, known: JournalId, records: u64 },
    /// The journal is shorter than what was synced, or has another history.
    #[error(
        "{known} records of the usage journal {journal} are synced, but it now has {told} or different ones: it was cut or replaced"
    )]
    JournalCut { journal: JournalId, known: u64, told: u64 },
    /// The journal was declared lost.
    #[error("the usage journal {journal} was declared lost and cannot be continued")]
    JournalGivenUp { journal: JournalId },
    /// The journal had a lease, and its state was not reported since.
    #[error("the usage journal {journal} had a lease until {until}, and its state was not reported since")]
    JournalOverdue { journal: JournalId, until: Timestamp },
    /// The journal is already known.
    #[error("the usage journal {journal} is already known")]
    JournalKnown { journal: JournalId },
    /// The person has no such active journal.
    #[error("you have no usage journal {journal} that could be declared lost")]
    NoSuchJournal { journal: JournalId },
    /// The person has no journal yet.
    #[error("you have no usage journal yet: the first needs no declaration")]
    NothingToDeclare,
    /// The person has too many journals.
    #[error("one person may have at most {max} active usage journals")]
    TooManyJournals { max: usize },
    /// An earlier loss is not decided yet.
    #[error("the case {case} about an earlier lost usage journal is not decided yet")]
    LossUndecided { case: Sha256Digest },
    /// A generation has no end.
    #[error("generation {begin} of the usage journal {journal} began and never ended")]
    GenerationUnended { journal: JournalId, begin: u64 },
    /// The request lacks the journal state.
    #[error("a lease request must include the journal state")]
    JournalUntold,
    /// A case suspends the grant.
    #[error("the grant is suspended until {until} by the case {case}")]
    Suspended { case: Sha256Digest, until: Timestamp, board: access::Contacts },
    /// Too few witnesses have cosigned.
    #[error("the witnesses have not cosigned entry {place} of the log yet: {reason}")]
    NotWitnessed { place: u64, reason: String },
    /// Database error.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Chunk store error.
    #[error(transparent)]
    Blob(#[from] blob::Error),
    /// Disk error.
    #[error("registry disk error")]
    Io { source: io::Error },
    /// The catalogue is not founded yet.
    #[error("the catalogue is not founded yet")]
    Unfounded,
    /// The founding code is wrong or missing.
    #[error("the founding code is wrong, or none was given")]
    FoundingCode,
    /// Too many concurrent changes of the catalogue.
    #[error("too many concurrent changes of the catalogue")]
    Busy,
    /// No lease was issued for the generation.
    #[error("record {seq} is not valid: {reason}")]
    NotLeased { seq: u64, reason: &'static str },
    /// A record keeps more of a text than its stage.
    #[error("record {seq} needs a stage with `usage = \"{holds}\"`, but its stage keeps `{mode}`")]
    NotKept { seq: u64, holds: &'static str, mode: &'static str },
    /// Too many public chunks are open.
    #[error("too many chunks are open for readers")]
    Crowded,
    /// The sealed checkpoint is not uploaded yet.
    #[error("the sealed checkpoint {checkpoint} is not uploaded yet")]
    NotSealed { checkpoint: CheckpointId },
    /// The checkpoint is not public.
    #[error("{checkpoint} is in stage `{stage}`, which requires its board's approval")]
    Gated { checkpoint: CheckpointId, stage: String },
    /// Something that the statement refers to is not known.
    #[error("there is no {what} {digest}")]
    Unknown { what: &'static str, digest: Sha256Digest },
    /// Only the registry issues this kind.
    #[error("only the registry issues statements of kind `{kind}`")]
    NotForPeople { kind: String },
    /// The grant does not match its request under the rules.
    #[error("the grant does not match its request under the rules in force")]
    NotTheDraft,
    /// No member of the board signed it.
    #[error("no member of the board of {checkpoint} signed it")]
    NoMember { checkpoint: CheckpointId },
    /// The request is already decided.
    #[error("the request {request} is already {state}")]
    Over { request: Sha256Digest, state: store::RequestState },
    /// The approval is for a grant that ended.
    #[error("the grant {grant} can no longer be approved: {why}")]
    ApprovalOfEnded { grant: Sha256Digest, request: Sha256Digest, why: Box<access::Error> },
    /// Another grant already answers the request.
    #[error("the request {request} is already granted: the grant {grant} stands")]
    GrantedAlready { request: Sha256Digest, grant: Sha256Digest },
    /// The stage needs no approval.
    #[error(
        "{checkpoint} is in stage `{stage}`, in which the registry grants by itself and no approval is needed"
    )]
    NothingToApprove { checkpoint: CheckpointId, stage: String },
    /// The grant never had all required signatures.
    #[error("the grant {grant} is not valid: it lacks required signatures")]
    NeverStood { grant: Sha256Digest, request: Sha256Digest },
    /// A later affiliation of the same person and organization is stored.
    #[error("a registrar signed a later statement about this person, dated {last}")]
    NotTheLastWord { last: Timestamp },
    /// The statement has no signature.
    #[error("it has no signature")]
    Unsigned,
    /// The date is too far from the registry's clock.
    #[error("it is dated {created}, but the registry's clock says {now}")]
    Clock { created: Timestamp, now: Timestamp },
    /// The challenge is unknown, used or expired.
    #[error("the challenge is unknown, already used, or expired")]
    Challenge,
    /// A newcomer's statement lacks proof of work.
    #[error("a newcomer's request requires proof of work")]
    WorkNeeded { demand: WorkDemand },
    /// Newcomers cannot submit this kind.
    #[error("statements of kind `{kind}` are accepted only from people who have had a grant")]
    Newcomer { kind: &'static str },
    /// The statement names another checkpoint than the object that it refers to.
    #[error("the {kind} is about {found}, but refers to {expected} or to other weights")]
    OtherSubject { kind: &'static str, found: CheckpointId, expected: CheckpointId },
    /// The reader lacks permission.
    #[error("permission denied")]
    NotYours,
}
