//! Processes that are killed at any instant, and load: apart from the other tests, whose work would move the instants.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod endpoint_load;
mod pull_kill;
mod registry_kill;
mod seal_kill;
#[path = "../support/mod.rs"]
mod support;
