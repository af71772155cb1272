//! Commands of the auditor.

pub(super) mod audit;
mod board_report;
pub(super) mod case;
pub(super) mod docket;
pub(super) mod witness;
