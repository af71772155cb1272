//! Commands of the researcher.

pub(super) mod model;
pub(super) mod run;
pub(super) mod score;
