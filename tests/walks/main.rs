//! Walks: what people do one step after the other, as they would type it, and what they are told.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod admin;
mod ended;
mod mistyped;
mod policies;
mod researcher;
#[path = "../support/mod.rs"]
mod support;
mod told;
