//! Portcullis: staged release for model weights.
//!
//! Rooms are domains; an arrow between them points only down this list (`tests/architecture.rs` checks it).

pub mod access;
pub mod api;
pub mod blob;
pub mod catalogue;
pub mod checkpoint;
pub mod cli;
pub mod client;
pub mod digest;
mod endpoint;
mod hex;
pub mod identity;
pub mod inference;
pub mod json;
pub mod log;
pub mod misuse;
pub mod name;
pub mod policy;
pub mod progress;
pub mod registry;
pub mod report;
pub mod seal;
pub mod secret;
pub mod server;
pub mod statement;
pub mod store;
pub mod time;
pub mod usage;
pub mod visible;
mod web;
