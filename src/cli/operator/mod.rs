//! The operator's commands.

pub(super) mod answer;
pub(super) mod lease;
pub(super) mod registry;
