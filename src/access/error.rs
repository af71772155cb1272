//! Why a request, a grant or a lease is not valid: each error names what was refused and by which rule.

use std::io;
use std::path::PathBuf;

use super::{Contacts, Origin, Registrars};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::{CheckpointId, Label, Prose};
use crate::policy::StageName;
use crate::seal::ShareIndex;
use crate::statement;
use crate::time::Timestamp;

/// A statement of access is not valid.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Wrong kind of statement, or missing signatures.
    #[error(transparent)]
    Statement(#[from] statement::Error),
    /// Without the person who asks, the board has too few members to decide.
    #[error("members cannot approve their own request; without them {source}")]
    Board { source: statement::QuorumError },
    /// The statement is for another checkpoint.
    #[error("it is for {found}, not for {expected}")]
    OtherCheckpoint { found: CheckpointId, expected: CheckpointId },
    /// The statement is for other weights than the catalogue's.
    #[error("it is for the manifest {found}; the catalogue's is {in_force}")]
    OtherManifest { found: Sha256Digest, in_force: Sha256Digest },
    /// The statement belongs to another request.
    #[error("it answers the request {found}, not {expected}")]
    OtherRequest { found: Sha256Digest, expected: Sha256Digest },
    /// The statement belongs to another grant.
    #[error("it belongs to the grant {found}, not {expected}")]
    OtherGrant { found: Sha256Digest, expected: Sha256Digest },
    /// A member submitted another member's share.
    #[error("share {index} was not delivered by its own member")]
    NotTheirShare { index: ShareIndex },
    /// A request names too many people.
    #[error("it names {count} members; at most {max} may be named in one request")]
    TooManyMembers { count: usize, max: usize },
    /// A request names a member of another organization than its author's.
    #[error("the card of {member} does not name {}", organization.as_ref().map_or("the author's organization, which is not known", Label::as_str))]
    OtherOrganization { member: Label, organization: Option<Label> },
    /// A request names the same key twice.
    #[error("{member} is named twice")]
    NamedTwice { member: Label },
    /// The statement cites a replaced policy.
    #[error(
        "the policy was replaced: version {version} is in force, and a change of policy ends every earlier {what}"
    )]
    PolicyReplaced {
        what: &'static str,
        version: u32,
        checkpoint: CheckpointId,
        request: Option<Sha256Digest>,
    },
    /// The grant's policy version is earlier than those that the policy in force keeps.
    #[error(
        "the policy was replaced: version {in_force} is in force and keeps grants made under version {from} or later; this grant {}",
        version.map_or_else(|| "names no version".to_owned(), |version| format!("was made under version {version}"))
    )]
    NotKept {
        in_force: u32,
        from: u32,
        version: Option<u32>,
        checkpoint: CheckpointId,
        request: Sha256Digest,
    },
    /// The policy in force keeps earlier grants that it permits, but does not permit this one.
    #[error(
        "the policy was replaced: version {version} is in force, keeps earlier grants that it permits, and does not permit this grant: {}",
        unmet.join("; ")
    )]
    NoLongerPermitted { version: u32, checkpoint: CheckpointId, request: Sha256Digest, unmet: Vec<String> },
    /// The cited policy version and digest do not match, or that version is not in force yet.
    #[error(
        "it cites version {cited} of the policy, but version {in_force} is in force here: the cited version and digest do not match, or the local catalogue is out of date"
    )]
    PolicyMiscited { cited: u32, in_force: u32 },
    /// The policy has no such stage.
    #[error("the policy has no stage `{stage}`")]
    UnknownStage { stage: StageName },
    /// The checkpoint was moved back to an earlier stage than the grant's.
    #[error("it is for stage `{granted}`, but the checkpoint is in the earlier stage `{in_force}`")]
    StageMovedBack { granted: StageName, in_force: StageName },
    /// A rule of the policy forbids it.
    #[error("the policy does not permit it: {}", unmet.join("; "))]
    NotPermitted { unmet: Vec<String> },
    /// Something required is still missing, such as a board's approvals, and no rule forbids the grant.
    #[error("the policy does not permit it yet: {}", unmet.join("; "))]
    Awaited { unmet: Vec<String> },
    /// The policy requires that a registrar of the organization confirms the person.
    #[error("the policy does not permit it: {}", unmet.join("; "))]
    NotConfirmed { organization: Label, registrars: Registrars, unmet: Vec<String> },
    /// The catalogue names no registrars for the organization.
    #[error("the catalogue names no registrar of {organization}")]
    NoRegistrars { organization: Label },
    /// The statement is dated in the future: one of the two clocks is wrong.
    #[error("the {what} was issued at {issued}, but the local clock says {now}")]
    NotYet { what: &'static str, issued: Timestamp, now: Timestamp },
    /// The statement has expired.
    #[error("the {what} expired at {expired}")]
    Expired { what: &'static str, expired: Timestamp, board: Contacts },
    /// A board member or an auditor revoked the grant.
    #[error("the grant was revoked on {on}: {reason}")]
    Revoked { by_auditor: bool, reason: Prose, on: Timestamp, board: Contacts },
    /// The lease outlives what the policy or the grant allows.
    #[error(
        "the lease runs until {expires}, longer than the grant or the policy's {lease_hours} hours allow"
    )]
    LeaseTooLong { expires: Timestamp, lease_hours: u32 },
    /// The answer is for another registry's challenge.
    #[error("it answers the challenge of the registry {found}, not of {expected}")]
    OtherRegistry { found: KeyId, expected: KeyId },
    /// The answer to a challenge does not name the registry's address.
    #[error("the sign-in does not name the registry's address")]
    NoOrigin,
    /// The answer names an address that is not the registry's.
    #[error("the sign-in was made for {found}, but this registry is at {}", join_origins(expected))]
    OtherOrigin { found: Origin, expected: Vec<Origin> },
    /// The grant belongs to other keys than those at hand.
    #[error("the grant was issued to {holder}, whose keys are not those of {found}")]
    OtherHolder { holder: String, found: String },
}

/// Statements cannot be read or stored.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// Reading or writing failed.
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    /// A folder holds more statements than are read.
    #[error("{} holds more than {max} statements", path.display())]
    TooMany { path: PathBuf, max: usize },
    /// The text is not the beginning of a digest.
    #[error("`{typed}` names no {kind}: give the first 6 to 64 hexadecimal digits of its digest")]
    NoPrefix { kind: &'static str, typed: String },
    /// No statement, or more than one, begins with the digits.
    #[error("{} with `{prefix}`", if *count == 0 { format!("no {kind} begins") } else { format!("{count} {kind}s begin") })]
    Ambiguous { kind: &'static str, prefix: String, count: usize },
    /// The registry refused to accept or to show the statement.
    #[error("{registry} refuses: {message}")]
    Refused { registry: String, fault: Fault, message: String, next: Option<String> },
    /// The registry cannot be reached, or failed.
    #[error("cannot reach {registry}: {reason}")]
    Unreachable { registry: String, reason: String },
}

/// Why a registry refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Malformed request, or unknown object.
    Request,
    /// Forbidden by a rule.
    Rule,
    /// Verification failed.
    Proof,
    /// Temporarily unavailable.
    Busy,
}

fn join_origins(origins: &[Origin]) -> String {
    let origins: Vec<_> = origins.iter().map(ToString::to_string).collect();
    origins.join(", ")
}
