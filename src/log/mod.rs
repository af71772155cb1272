//! The transparency log: an append-only Merkle tree (RFC 6962, section 2.1) with a signed head, stored in tiles that any cache may hold.
//!
//! The formats are C2SP's: [tlog-tiles](https://c2sp.org/tlog-tiles) for tiles and bundles of entries,
//! [tlog-checkpoint](https://c2sp.org/tlog-checkpoint) for heads in [signed notes](https://c2sp.org/signed-note), and
//! [tlog-cosignature](https://c2sp.org/tlog-cosignature) for witnesses. The module does no I/O: it reads tiles through [`Tiles`].
//!
//! With a verified [`TreeHead`], a client can verify that an entry is in the log ([`InclusionProof`]) and that a later head continues the
//! log ([`ConsistencyProof`]). This is promise P7.

mod appender;
mod cosign_request;
mod entry;
mod error;
mod head;
mod proof;
mod receipt;
mod tile;
mod witness;

pub use appender::{LogAppender, LogUpdate};
pub use cosign_request::{CosignRequest, WitnessRefusal};
pub use entry::{Entry, EntryKind};
pub use error::Error;
pub use head::{HeadNote, LogKey, TreeHead};
pub use proof::{
    ConsistencyProof, InclusionProof, Tiles, leaf_hash, prove_consistency, prove_inclusion, require_entries,
};
pub use receipt::Receipt;
pub use tile::{Bundle, MAX_ENTRY_BYTES, Part, TILE_WIDTH};
pub use witness::{Cosignature, WitnessKey, WitnessRule, cosign};

use crate::digest::Sha256Digest;

/// The name of a catalogue's log, derived from the catalogue's first root and therefore unique.
pub fn origin(first_root: Sha256Digest) -> String {
    let digits: String = first_root.to_string().chars().take(32).collect();
    format!("portcullis.dev/log/{digits}")
}

/// Maximum number of entries in a log; all parsers refuse larger sizes.
pub const MAX_ENTRIES: u64 = 1 << 48;
