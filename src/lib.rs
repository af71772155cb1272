//! Portcullis: staged release for model weights.
//!
//! A board releases checkpoints step by step under signed policies, researchers request, pull and run them on their own machines, and
//! auditors prove what happened. The `portcullis` command does all of it; this library is what it is made of, for programs that verify,
//! decide or run by themselves.
//!
//! # What to begin with
//!
//! | to | use | example |
//! |---|---|---|
//! | decide whether a policy permits a request | [`policy::decide`] | `examples/decide_policy.rs` |
//! | verify a catalogue from its first root | [`catalogue::Client`] | `examples/verify_grant.rs` |
//! | verify a grant | [`access::verify_grant`] | `examples/verify_grant.rs` |
//! | verify an audit bundle offline | [`report::audit`] | `examples/verify_bundle.rs` |
//! | import, seal and open weights | [`checkpoint::import`], [`seal`] | `examples/run_sealed.rs` |
//! | generate text with GPT-2 or GPT-1 | [`inference::Model`] | `examples/run_sealed.rs` |
//!
//! Bytes from a disk or a network are *parsed* with bounds, signatures are *verified* into a [`statement::Verified`], which has no other
//! constructor, and policies are *decided* without a clock or a file. The same functions answer in the registry, in clients and in audits.
//!
//! # Example
//!
//! A policy with one public stage, and a request for thirty days:
//!
//! ```
//! use portcullis::policy::{Policy, Terms, decide, read_applications};
//!
//! let policy = Policy::parse(
//!     r#"
//!     schema = 1
//!     checkpoint = "gpt2-124m"
//!     version = 1
//!     expires = 2030-01-01T00:00:00Z
//!
//!     [[stage]]
//!     name = "public"
//!     audience = "anyone"
//!     usage = "counts"
//!     "#,
//! )?;
//! let person = "07".repeat(32);
//! let line = format!(r#"{{"checkpoint": "gpt2-124m", "person": "{person}", "uses": ["detection"], "days": 30}}"#);
//! let application = &read_applications(&line)?[0];
//!
//! let stage = "public".parse()?;
//! let now = "2027-01-01T00:00:00Z".parse()?;
//! assert!(decide(&policy, &stage, application, Terms::default(), now).permits());
//!
//! // The policy has ended: the rule says so.
//! let late = "2031-01-01T00:00:00Z".parse()?;
//! let decision = decide(&policy, &stage, application, Terms::default(), late);
//! assert!(!decision.could_permit());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rooms
//!
//! Rooms are domains; an arrow between them points only down the list in `docs/architecture.md` (`tests/architecture.rs` checks it).

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
mod json;
pub mod log;
pub mod misuse;
pub mod name;
pub mod policy;
pub mod progress;
pub mod registry;
pub mod report;
pub mod seal;
mod secret;
pub mod server;
pub mod statement;
pub mod store;
pub mod time;
pub mod usage;
pub mod visible;
mod web;
