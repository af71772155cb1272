//! Audits: what a registry's log and statements prove, what they do not, and reports of what happened.
//!
//! [`gather`] collects the log, its statements and the catalogue's files in one file, the *bundle*. [`audit`] reads a bundle, rebuilds the tree,
//! and replays the log in its order: each grant against the rules in force at its time, each lease against its grant, each usage batch against
//! its lease. It trusts the first root only. A bundle can be verified offline, years later.

mod ahead;
mod attention;
mod bundle;
mod chart;
mod conclude;
mod csv;
mod decisions;
mod error;
mod facts;
mod gather;
mod html;
mod page;
mod replay;
mod replay_access;
mod replay_use;
mod spending;
mod summary;
mod text;
mod verification;

pub use bundle::{BundleReader, BundleWriter, Header, Line};
pub use csv::to_csv;
pub use error::Error;
pub use facts::{CaseFact, ErasedFact, Facts, GrantFact, RequestFact, StageFact, UsageFact};
pub use gather::gather;
pub use html::to_html;
pub use replay::{Depth, audit};
pub use summary::{Report, summarize};
pub use text::{report_text, verification_text};
pub use verification::{Finding, Verification};
