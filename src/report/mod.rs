//! Audits: what a registry's log and statements prove, what they do not, and reports of what happened.
//!
//! [`gather`] brings the log, the statements that it records and the catalogue's files into one file, the *bundle*; [`audit`] reads a bundle from its
//! first line to its last, rebuilds the tree, and replays what happened in the order of the log: each grant against the rules then in force,
//! each lease against its grant, each usage batch against its lease. It believes the first root, and nobody's word. A bundle verifies offline,
//! years later.

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
