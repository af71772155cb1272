//! Seal: a checkpoint's files as ciphertext that two locks hold shut, the board's and the registry's (P1).
//!
//! Formats and standards: AES-256-GCM (SP 800-38D) for chunks, HKDF-SHA256 (RFC 5869) for keys, HPKE (RFC 9180, base mode,
//! X25519-HKDF-SHA256, HKDF-SHA256, AES-256-GCM) for what is sealed to a person, Shamir's sharing over GF(256) for the board's
//! key. `docs/sealing.md` tells the whole story.
//!
//! Invariants: a plain key is in memory only, and zeroized when it is dropped; no two plaintexts are ever encrypted under one
//! key and nonce ([`sealing`]); no byte of a chunk is handed out before its tag was checked, and its SHA-256 since the file last
//! changed (P6).
//!
//! Whoever can change a sealed folder can make it fail to open, and nothing else: the digest of the manifest is in the grant,
//! and everything else hangs from the manifest. Whoever can read it learns the sizes of files and who the board is.

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
pub use sealing::{SealRequest, Sealed, seal_checkpoint};
pub use share::{Share, ShareIndex, combine, split};
pub use shares::{
    ResealedShare, SealedShare, SealedShares, open_registry_key, open_resealed_share, reseal_share,
    seal_registry_key,
};

/// The sealed manifest's name in a sealed folder.
pub const MANIFEST: &str = "manifest.json";
/// The name of the file of sealed shares.
pub const SHARES: &str = "shares.json";
/// The folder of chunks, each under its SHA-256.
pub const CHUNKS: &str = "chunks";
