//! The registry's API on the wire: paths and JSON bodies, shared by server and client. `/openapi.json` describes them.
//!
//! Statements travel as DSSE envelopes; digests and key ids as lower-case hexadecimal digits; times as RFC 3339 in UTC.

mod audit;
mod catalogue;
mod grant;
mod log;
mod problem;
mod request;
mod session;
mod statement;
mod usage;
mod work;

pub use audit::{AuditPage, AuditRecord};
pub use catalogue::{CatalogueListing, ProposalReceipt};
pub use grant::{Decision, SealParcel, SealReceipt};
pub use log::LogReceipt;
pub use problem::{PROBLEM_JSON, Problem};
pub use request::{
    ApprovalItem, Assignment, RequestEvent, RequestItem, RequestPage, RequestStanding, SanctionItem,
};
pub use session::{Bearer, Challenge, RegistryInfo};
pub use statement::{StatementItem, StatementPage, StatementReceipt};
pub use usage::JournalState;
pub use work::{WORK, WorkDemand, WorkProof, WorkProofError};

/// The header that lets the first proposals of a catalogue in, before there is anybody to be known.
pub const FOUNDING_CODE: &str = "portcullis-founding-code";

/// Maximum size of an accepted statement, in bytes.
pub const MAX_STATEMENT_BYTES: usize = 1 << 20;
/// Maximum size of an accepted proposal of the catalogue, in bytes: a manifest of 64 MiB in base64, and the rest.
pub const MAX_PROPOSAL_BYTES: usize = 96 << 20;
/// Maximum size of an accepted chunk, in bytes: the largest plaintext and its tag.
pub const MAX_CHUNK_BYTES: usize = (64 << 20) + 16;
/// Maximum size of an accepted sealed manifest with its shares, in bytes.
pub const MAX_SEAL_BYTES: usize = 96 << 20;
