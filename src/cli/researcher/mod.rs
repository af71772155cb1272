//! Commands of the researcher.

pub(super) mod model;
pub(super) mod run;
mod sample;
pub(super) mod score;
