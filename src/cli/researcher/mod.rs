//! Commands of the researcher.

pub(super) mod bench;
pub(super) mod export;
mod gate;
pub(super) mod grant;
pub(super) mod join;
pub(super) mod lease;
mod ledger;
pub(super) mod list;
pub(super) mod model;
mod public;
pub(super) mod pull;
mod recording;
mod renewal;
pub(super) mod request;
pub(super) mod run;
mod sample;
pub(super) mod score;
pub(super) mod serve;
mod speculation;
pub(super) mod usage;
