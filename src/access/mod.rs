//! Access: who asked for a checkpoint, who consented, and what stands between a grant and its use.
//!
//! Each step is a statement in a file (design, section 5): a *request* by a researcher, the *grant* that board members sign
//! with a *share* of the board's key each, a *denial*, a *withdrawal*, a *revocation*, and the registry's *lease*; an *affiliation* confirms whom somebody belongs to. Everyone checks
//! a grant the same way, with [`verify_grant`], against what the catalogue says now: nobody's word replaces that check (P2).
//! Whoever carries the files can lose or delay them; what they alter or make up counts for nothing.

mod affiliation;
mod approvals;
mod cited;
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
    Affiliation, Affiliations, MAX_AFFILIATION_DAYS, how_to_be_confirmed, verify_affiliation,
};
pub use approvals::{ApprovalTally, BoardApprovals, approvals};
pub use error::{Error, ExchangeError, Fault};
pub use exchange::Exchange;
pub use grant::{
    ApprovalShare, Grant, Revocation, draft_answers, draft_grants, require_affiliated, verify_approval_share,
    verify_claimed_grant, verify_grant, verify_granted, verify_revocation,
};
pub use handover::{Handover, handover_context, verify_handover};
pub use index::{Index, KINDS, index};
pub use journal::{JournalId, JournalIdError, JournalMark};
pub use lease::{Lease, check_lease, lease_context, verify_lease};
pub use origin::{Origin, OriginError};
pub use outlook::{Outlook, outlook};
pub use request::{
    Denial, MAX_MEMBERS, Request, Withdrawal, asks, verify_denial, verify_request, verify_withdrawal,
};
pub use rules::{Contacts, Objections, Registrars, RulesInForce};
pub use session::{Session, SessionPlace, verify_session};
pub use state::{Evidence, State, how_to_object, last_revocation_of, revocation_of, state_of};
pub use statements::{DigestPrefix, Found, HandedIn, Statements, merge, only};

/// How far a clock may run behind the one that dated a statement, in seconds.
pub const CLOCK_TOLERANCE: i64 = 300;
