//! Why a request, a grant or a lease does not count: each refusal names what was refused and the rule that refused it.

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

/// A statement of access does not count.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not signed by those who must, or not of the kind.
    #[error(transparent)]
    Statement(#[from] statement::Error),
    /// The board cannot decide this: without the person who asks, too few are left.
    #[error("nobody may approve their own request, and without them {source}")]
    Board {
        /// Why the rest is too few.
        source: statement::QuorumError,
    },
    /// It is about another checkpoint.
    #[error("it is for {found}, not for {expected}")]
    OtherCheckpoint {
        /// What it is for.
        found: CheckpointId,
        /// What was wanted.
        expected: CheckpointId,
    },
    /// It is about other weights than the catalogue's.
    #[error("it is for the manifest {found}; the catalogue's is {in_force}")]
    OtherManifest {
        /// What it is for.
        found: Sha256Digest,
        /// What the catalogue names.
        in_force: Sha256Digest,
    },
    /// It belongs to another request.
    #[error("it answers the request {found}, not {expected}")]
    OtherRequest {
        /// Which it answers.
        found: Sha256Digest,
        /// Which was wanted.
        expected: Sha256Digest,
    },
    /// It belongs to another grant.
    #[error("it belongs to the grant {found}, not {expected}")]
    OtherGrant {
        /// To which it belongs.
        found: Sha256Digest,
        /// Which was wanted.
        expected: Sha256Digest,
    },
    /// A member delivered another's share.
    #[error("share {index} was not delivered by the member whose it is")]
    NotTheirShare {
        /// Which share.
        index: ShareIndex,
    },
    /// A request names too many people.
    #[error("it names {count} members; at most {max} may be named in one request")]
    TooManyMembers {
        /// How many.
        count: usize,
        /// How many may be.
        max: usize,
    },
    /// A request is for somebody of another organization than its author's.
    #[error("{member} is not of {}, by their card", organization.as_ref().map_or("the author's organization, which has none on record", Label::as_str))]
    OtherOrganization {
        /// Who.
        member: Label,
        /// The author's.
        organization: Option<Label>,
    },
    /// A request names the same key twice.
    #[error("{member} is named twice")]
    NamedTwice {
        /// Who.
        member: Label,
    },
    /// The policy in force is not the one that the statement cites.
    #[error(
        "the policy was replaced since: version {version} is in force, and a change of policy ends every {what} made before it"
    )]
    PolicyReplaced {
        /// A grant or a handover.
        what: &'static str,
        /// The version in force.
        version: u32,
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// The request that a grant answered.
        request: Option<Sha256Digest>,
    },
    /// The policy in force keeps grants of before, and not of so early a version.
    #[error(
        "the policy was replaced since: version {in_force} is in force and keeps grants made under version {from} or later, and this one {}",
        version.map_or_else(|| "names no version".to_owned(), |version| format!("was made under version {version}"))
    )]
    NotKept {
        /// The version in force.
        in_force: u32,
        /// The earliest version whose grants it keeps.
        from: u32,
        /// The version that the grant cites.
        version: Option<u32>,
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// The request that the grant answered.
        request: Sha256Digest,
    },
    /// The policy in force keeps grants of before that it permits, and does not permit this one.
    #[error(
        "the policy was replaced since: version {version} is in force, keeps the grants of before that it permits, and does not permit this one: {}",
        unmet.join("; ")
    )]
    NoLongerPermitted {
        /// The version in force.
        version: u32,
        /// Of which checkpoint.
        checkpoint: CheckpointId,
        /// The request that the grant answered.
        request: Sha256Digest,
        /// What the rules object to, in words, each with the rule's name.
        unmet: Vec<String>,
    },
    /// The version and the digest of the policy that a grant cites do not belong together, or that version is not in force yet.
    #[error(
        "it cites version {cited} of the policy, and version {in_force} is in force here: the version and digest that it cites do not belong together, or the catalogue here is older"
    )]
    PolicyMiscited {
        /// The version that it cites.
        cited: u32,
        /// The version in force.
        in_force: u32,
    },
    /// The policy has no such stage.
    #[error("the policy has no stage `{stage}`")]
    UnknownStage {
        /// Which.
        stage: StageName,
    },
    /// The checkpoint is in an earlier stage than the grant's.
    #[error("it is of stage `{granted}`, and the checkpoint is in stage `{in_force}`, before that")]
    StageMovedBack {
        /// The grant's.
        granted: StageName,
        /// The one in force.
        in_force: StageName,
    },
    /// A rule of the policy says no.
    #[error("the policy does not permit it: {}", unmet.join("; "))]
    NotPermitted {
        /// What the rules object to, in words.
        unmet: Vec<String>,
    },
    /// No rule of the policy says no, and what some want has not come in yet, such as a board's approvals.
    #[error("the policy does not permit it yet: {}", unmet.join("; "))]
    Awaited {
        /// What is missing, in words.
        unmet: Vec<String>,
    },
    /// The policy admits the person's organization, and wants one of its registrars to confirm that they belong to it.
    #[error("the policy does not permit it: {}", unmet.join("; "))]
    NotConfirmed {
        /// Which organization.
        organization: Label,
        /// Whom to ask.
        registrars: Registrars,
        /// What the rule objects to, in words.
        unmet: Vec<String>,
    },
    /// The owners named nobody who could confirm people of an organization.
    #[error("the catalogue names no registrar of {organization}")]
    NoRegistrars {
        /// Which organization.
        organization: Label,
    },
    /// Dated in the future: the clock here runs behind, or the one there ran ahead.
    #[error("the {what} was issued at {issued}, and the clock here says {now}")]
    Incomplete {
        /// A grant or a lease.
        what: &'static str,
        /// When it was issued.
        issued: Timestamp,
        /// What the clock says.
        now: Timestamp,
    },
    /// Its time is over.
    #[error("the {what} expired at {expired}")]
    Expired {
        /// A grant, a lease or an answer.
        what: &'static str,
        /// When.
        expired: Timestamp,
        /// Whom to write to.
        board: Contacts,
    },
    /// A board member or an auditor ended it.
    #[error("the grant was revoked on {on}: {reason}")]
    Revoked {
        /// Whether an auditor did, which they do in a case.
        by_auditor: bool,
        /// Why.
        reason: Prose,
        /// When.
        on: Timestamp,
        /// Whom to write to.
        board: Contacts,
    },
    /// A lease that outlives what the policy or the grant allows.
    #[error(
        "the lease runs until {expires}, longer than the grant or the policy's {lease_hours} hours allow"
    )]
    LeaseTooLong {
        /// Until when it runs.
        expires: Timestamp,
        /// How long it may.
        lease_hours: u32,
    },
    /// An answer to another registry's challenge.
    #[error("it answers the challenge of the registry {found}, not of {expected}")]
    OtherRegistry {
        /// Whose.
        found: KeyId,
        /// Whose was expected.
        expected: KeyId,
    },
    /// An answer to a challenge that does not say where it was given.
    #[error("the sign-in does not name the address at which the registry was asked")]
    NoOrigin,
    /// An answer that was given at an address that is not the registry's.
    #[error("the sign-in was made at {found}, and this registry is at {}", listed(expected))]
    OtherOrigin {
        /// Where.
        found: Origin,
        /// Where the registry is.
        expected: Vec<Origin>,
    },
    /// The grant is made out to other keys than the ones here.
    #[error("the grant is made out to {holder}, whose keys are not those of {found}")]
    OtherHolder {
        /// Whose it is.
        holder: String,
        /// Who tries to use it.
        found: String,
    },
}

/// The place of statements cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// The disk refuses.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// More files than a folder of statements is read with.
    #[error("{} holds more than {max} statements", path.display())]
    TooMany {
        /// Which folder.
        path: PathBuf,
        /// How many are read.
        max: usize,
    },
    /// What no digest begins with.
    #[error("`{typed}` names no {kind}: give 6 to 64 hexadecimal digits, the first of its digest")]
    NoPrefix {
        /// What was looked for.
        kind: &'static str,
        /// What was typed.
        typed: String,
    },
    /// No statement, or several, begin so.
    #[error("{} with `{prefix}`", if *count == 0 { format!("no {kind} begins") } else { format!("{count} {kind}s begin") })]
    Ambiguous {
        /// What was looked for.
        kind: &'static str,
        /// How it begins.
        prefix: String,
        /// How many do.
        count: usize,
    },
    /// The registry does not take the statement, or will not show it.
    #[error("{registry} refuses: {message}")]
    Refused {
        /// Its address.
        registry: String,
        /// Whether the statement or the reader is at fault, rather than a rule that forbids it.
        fault: Fault,
        /// What it says.
        message: String,
        /// What it says to do next.
        next: Option<String>,
    },
    /// The registry cannot be reached, or fails.
    #[error("cannot reach {registry}: {reason}")]
    Unreachable {
        /// Its address.
        registry: String,
        /// What happened.
        reason: String,
    },
}

/// Why a registry refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// What was asked makes no sense, or is not there.
    Request,
    /// A rule forbids it.
    Rule,
    /// It does not verify.
    Proof,
    /// Not now.
    Busy,
}

fn listed(origins: &[Origin]) -> String {
    let origins: Vec<_> = origins.iter().map(ToString::to_string).collect();
    origins.join(", ")
}
