//! What a log, a proof or a head is refused for.

use crate::identity;

/// A part of the log does not hold.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A size beyond what a log may have, or an empty tree with another root than RFC 6962's.
    #[error("a tree of {size} entries cannot be, or not with that root")]
    Size {
        /// The size.
        size: u64,
    },
    /// The entry is not below the head, as far as the proof shows.
    #[error("the proof does not show that entry {index} is in the log of {size} entries")]
    NotIncluded {
        /// The entry's place.
        index: u64,
        /// The head's size.
        size: u64,
    },
    /// The newer head does not continue the older one: entries were changed, dropped or put in between, or there are two logs.
    #[error(
        "the log of {new} entries does not continue the one of {old}: its history changed, or it shows two faces"
    )]
    NotConsistent {
        /// The older size.
        old: u64,
        /// The newer size.
        new: u64,
    },
    /// The newer head is smaller than the older one.
    #[error("the log has {new} entries, and had {old} before")]
    Shrunk {
        /// The older size.
        old: u64,
        /// The newer size.
        new: u64,
    },
    /// A tile is missing, has a wrong length, or does not fit the head.
    #[error("the tile {path} does not fit the head: {reason}")]
    Tile {
        /// Which, as it is named in a log.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A path that names no tile.
    #[error("`{text}` names no tile and no bundle of entries")]
    Path {
        /// The text, cut.
        text: String,
    },
    /// A bundle of entries is cut or has too many.
    #[error("the bundle of entries is malformed: {reason}")]
    Bundle {
        /// What is wrong.
        reason: String,
    },
    /// An entry that is too long for a bundle.
    #[error("an entry of {size} bytes; at most {max} fit")]
    TooLong {
        /// How long it is.
        size: usize,
        /// How long it may be.
        max: usize,
    },
    /// An entry that this program would not have written.
    #[error("the entry is malformed: {reason}")]
    Entry {
        /// What is wrong.
        reason: String,
    },
    /// A proof's text has not the form.
    #[error("the proof is malformed: {reason}")]
    Proof {
        /// What is wrong.
        reason: String,
    },
    /// A head's text or signatures have not the form.
    #[error("the log's head is malformed: {reason}")]
    Head {
        /// What is wrong.
        reason: String,
    },
    /// A head of another log.
    #[error("the head is of the log `{found}`, not of `{expected}`")]
    OtherLog {
        /// Whose it is.
        found: String,
        /// Whose was wanted.
        expected: String,
    },
    /// The log's own key did not sign the head.
    #[error("the head is not signed by the log `{name}`")]
    Unsigned {
        /// The log's name.
        name: String,
    },
    /// Too few witnesses vouch for the head; nothing is believed without them.
    #[error("{have} of the {need} witnesses that must have seen it cosigned the head")]
    TooFewWitnesses {
        /// How many did.
        have: usize,
        /// How many must.
        need: usize,
    },
    /// A name that no key can have.
    #[error("`{name}` cannot name a key: it must not be empty, and have no spaces and no `+`")]
    Name {
        /// The name, cut.
        name: String,
    },
    /// Signing failed.
    #[error(transparent)]
    Signer(#[from] identity::Error),
}
