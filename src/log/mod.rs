//! The transparency log: an append-only Merkle tree (RFC 6962, section 2.1) whose head is signed, kept in tiles that any cache may hold.
//!
//! Formats are C2SP's, to the letter: [tlog-tiles](https://c2sp.org/tlog-tiles) for tiles and bundles of entries,
//! [tlog-checkpoint](https://c2sp.org/tlog-checkpoint) for heads in [signed notes](https://c2sp.org/signed-note), and
//! [tlog-cosignature](https://c2sp.org/tlog-cosignature) for witnesses. What is here is pure: it reads tiles through [`Tiles`] and writes none.
//!
//! Who has a [`TreeHead`] that was verified can check of any entry that it is in the log ([`InclusionProof`]), and of any later head that
//! nothing before it changed ([`ConsistencyProof`]); that is promise P7.

mod entry;
mod error;
mod growth;
mod head;
mod proof;
mod receipt;
mod tile;
mod witness;
mod witnessing;

pub use entry::{Entry, EntryKind};
pub use error::Error;
pub use growth::{Grown, Growth};
pub use head::{HeadNote, LogKey, TreeHead};
pub use proof::{
    ConsistencyProof, InclusionProof, Tiles, leaf_hash, prove_consistency, prove_inclusion, require_entries,
};
pub use receipt::Receipt;
pub use tile::{Bundle, MAX_ENTRY_BYTES, Part, TILE_WIDTH};
pub use witness::{Cosigned, WitnessKey, WitnessRule, cosign};
pub use witnessing::{Offered, WitnessRefusal};

use crate::digest::Sha256Digest;

/// The name of the log of a catalogue that begins with this root: no two catalogues' logs have the same.
pub fn origin(first_root: Sha256Digest) -> String {
    let digits: String = first_root.to_string().chars().take(32).collect();
    format!("portcullis.dev/log/{digits}")
}

/// Most entries of a log; sizes beyond it are refused wherever they come from.
pub const MAX_ENTRIES: u64 = 1 << 48;
