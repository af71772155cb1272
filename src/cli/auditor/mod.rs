//! Commands of the auditor.

pub(super) mod audit;
pub(super) mod case;
pub(super) mod docket;
pub(super) mod witness;
