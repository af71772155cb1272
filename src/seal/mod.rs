//! Sealing: encrypts a checkpoint's files under two locks, the board's and the registry's (P1).
//!
//! Formats and standards: AES-256-GCM (SP 800-38D) for chunks, HKDF-SHA256 (RFC 5869) for keys, HPKE (RFC 9180, base mode,
//! X25519-HKDF-SHA256, HKDF-SHA256, AES-256-GCM) for what is sealed to a person, Shamir's sharing over GF(256) for the board's
//! key. `docs/sealing.md` describes the design.
//!
//! Invariants: plaintext keys exist only in memory and are zeroized on drop; no key and nonce encrypt two plaintexts ([`sealing`]);
//! plaintext is returned only after the chunk's tag was verified, and its SHA-256 since the file last changed (P6).
//!
//! An attacker who can change a sealed folder can only make it fail to open: the grant names the digest of the manifest, and the manifest
//! the digests of all other files. One who can read it learns the sizes of the files and the members of the board.

mod buffer;
mod checked;
mod chunk;
mod content;
mod encoding;
mod error;
mod hpke;
mod key;
mod manifest;
mod opened;
mod opener;
mod reader;
mod recipients;
pub mod sealing;
mod session;
mod share;
mod shares;
mod staging;
mod unsealing;

pub use checked::CheckedChunks;
pub use chunk::{CHUNK_TAG, ChunkSize};
pub use content::ContentKey;
pub use error::{ChunkName, Error};
pub use hpke::{Purpose, SealedMessage, open_with, seal_to};
pub use key::{BoardKey, RegistryKey};
pub use manifest::{Board, ChunkEntry, Member, Seal, SealedManifest, SealedManifestError};
pub use opened::{Locks, OpenedBytes, OpenedCheckpoint, OpenedWeights, SealedCheckpoint};
pub use opener::ChunkOpener;
pub use recipients::{Recipient, Recipients, RecipientsError};
pub use sealing::{SealOutcome, SealRequest, seal_checkpoint};
pub use share::{Share, ShareIndex, combine, split};
pub use shares::{
    ResealedShare, SealedShare, SealedShares, open_registry_key, open_resealed_share, reseal_share,
    seal_registry_key,
};

/// The file name of the sealed manifest.
pub const MANIFEST: &str = "manifest.json";
/// The file name of the sealed shares.
pub const SHARES: &str = "shares.json";
/// The folder of chunks, each named after its SHA-256.
pub const CHUNKS: &str = "chunks";
