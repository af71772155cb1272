//! Errors of logs, proofs and tree heads.

use crate::identity;

/// A part of the log is malformed or invalid.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum Error {
    /// The size exceeds [`super::MAX_ENTRIES`], or an empty tree has another root than RFC 6962's.
    #[error("a tree of {size} entries is not possible, or not with this root")]
    Size { size: u64 },
    /// The inclusion proof does not lead to the root of the head.
    #[error("the proof does not show that entry {index} is in the log of {size} entries")]
    NotIncluded { index: u64, size: u64 },
    /// The newer head does not continue the older one: entries were changed, dropped or inserted, or there are two logs.
    #[error(
        "the log of {new} entries does not continue the one of {old}: its history was changed, or the registry keeps two logs"
    )]
    NotConsistent { old: u64, new: u64 },
    /// The newer head is smaller than the older one.
    #[error("the log shrank from {old} to {new} entries")]
    Shrunk { old: u64, new: u64 },
    /// A tile is missing, has the wrong length, or does not match the head.
    #[error("the tile {path} does not match the head: {reason}")]
    Tile { path: String, reason: String },
    /// A path does not name a tile or a bundle; `text` is cut to a few characters.
    #[error("`{text}` is not the path of a tile or of a bundle of entries")]
    Path { text: String },
    /// A bundle is truncated or has too many entries.
    #[error("the bundle of entries is malformed: {reason}")]
    Bundle { reason: String },
    /// The entry is too long for a bundle.
    #[error("the entry has {size} bytes; at most {max} are accepted")]
    TooLong { size: usize, max: usize },
    /// The entry is not in canonical form.
    #[error("the entry is malformed: {reason}")]
    Entry { reason: String },
    /// The text of a proof is malformed.
    #[error("the proof is malformed: {reason}")]
    Proof { reason: String },
    /// The note of a head is malformed.
    #[error("the log's head is malformed: {reason}")]
    Head { reason: String },
    /// The head is of another log.
    #[error("the head is of the log `{found}`, not of `{expected}`")]
    OtherLog { found: String, expected: String },
    /// The log's own key did not sign the head.
    #[error("the head is not signed by the log `{name}`")]
    Unsigned { name: String },
    /// Too few witnesses cosigned the head.
    #[error("the head has the cosignatures of {have} witnesses; {need} are required")]
    TooFewWitnesses { have: usize, need: usize },
    /// The name is not a valid key name; it is cut to a few characters.
    #[error("`{name}` is not a key name: it must not be empty and must not contain spaces or `+`")]
    Name { name: String },
    /// The signer failed.
    #[error(transparent)]
    Signer(#[from] identity::Error),
}
