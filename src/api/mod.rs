//! The registry's HTTP API: paths and JSON bodies, shared by server and client, described by `/openapi.json`.
//!
//! Statements are DSSE envelopes, digests and key ids lower-case hexadecimal digits, times RFC 3339 in UTC.

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

/// The header with the founding code, which admits the first proposals of a catalogue.
pub const FOUNDING_CODE: &str = "portcullis-founding-code";

/// Maximum size of a statement in bytes.
pub const MAX_STATEMENT_BYTES: usize = 1 << 20;
/// Maximum size of a catalogue proposal in bytes: a manifest of 64 MiB in base64, and the rest.
pub const MAX_PROPOSAL_BYTES: usize = 96 << 20;
/// Maximum size of a chunk in bytes: the largest plaintext and its tag.
pub const MAX_CHUNK_BYTES: usize = (64 << 20) + 16;
/// Maximum size of a sealed manifest with its shares in bytes.
pub const MAX_SEAL_BYTES: usize = 96 << 20;
