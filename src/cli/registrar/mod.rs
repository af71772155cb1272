//! Commands of an organization's registrar.

pub(super) mod affiliation;
