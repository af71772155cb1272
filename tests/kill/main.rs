//! Processes that are killed at any instant, and load: apart from the other tests, whose work would move the instants.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

mod endpoint_load;
mod pull_kill;
mod registry_kill;
mod seal_kill;
#[path = "../support/mod.rs"]
mod support;

/// Keeps the other tests of this binary waiting: each has the processors for itself.
fn alone() -> std::sync::MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    // A test that failed leaves nothing behind that the next could trip over.
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
