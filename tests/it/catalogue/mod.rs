//! The catalogue and its policies.

mod policy_rules;
mod repository;
mod tuf_search;
