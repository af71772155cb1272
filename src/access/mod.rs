//! Access: requests for a checkpoint, the boards' approvals, and what may end a grant.
//!
//! Each step is a signed statement: a *request* by a researcher, the *grant* that board members sign with a *share* of the board's key
//! each, a *denial*, a *withdrawal*, a *revocation*, and the registry's *lease*; an *affiliation* confirms a person's organization. Every
//! program checks a grant with [`verify_grant`] against the catalogue in force (P2). Someone who carries the files can lose or delay them;
//! altered or forged statements fail verification.

mod affiliation;
mod approvals;
mod citation;
mod error;
mod exchange;
mod grant;
mod handover;
mod index;
mod journal;
mod lease;
mod origin;
mod outlook;
mod request;
mod rules;
mod session;
mod state;
mod statements;

pub use affiliation::{
    Affiliation, Affiliations, MAX_AFFILIATION_DAYS, suggest_confirmation, verify_affiliation,
};
pub use approvals::{ApprovalTally, BoardApprovals, count_approvals};
pub use error::{Error, ExchangeError, Fault};
pub use exchange::Exchange;
pub use grant::{
    ApprovalShare, Grant, Revocation, draft_answers, draft_grants, require_affiliated, verify_approval_share,
    verify_grant, verify_granted, verify_revocation,
};
pub use handover::{Handover, handover_context, verify_handover};
pub use index::{Index, KINDS, index};
pub use journal::{JournalId, JournalIdError, JournalMark};
pub use lease::{Lease, check_lease, lease_context, verify_lease};
pub use origin::{Origin, OriginError};
pub use outlook::{Outlook, predict_outlook};
pub use request::{
    Denial, MAX_MEMBERS, Request, Withdrawal, terms_digest, verify_denial, verify_request, verify_withdrawal,
};
pub use rules::{Contacts, Objections, Registrars, RulesInForce};
pub use session::{Session, SessionPlace, verify_session};
pub use state::{Evidence, State, find_last_revocation, find_revocation, request_state, suggest_appeal};
pub use statements::{DigestPrefix, FoundStatement, Statements, Submission, merge_signatures, require_one};

/// Tolerated difference between two clocks, in seconds.
pub const CLOCK_TOLERANCE: i64 = 300;
