//! All integration tests in one binary: one link in place of fifty. What kills processes or needs the processors for itself is in `tests/kill`.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod attacks;
mod catalogue;
mod checkpoint;
mod cli;
mod faults;
mod inference;
mod promises;
mod registry;
#[path = "../support/mod.rs"]
mod support;
