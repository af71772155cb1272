//! Servers that lie, stall, break off and change their minds.

mod hostile_registry;
mod pull_faults;
