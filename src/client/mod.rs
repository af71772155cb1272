//! The researcher's side: the rules in force from a verified catalogue, the vault, and the gate that weights pass to be run.
//!
//! The registry is not trusted: what it says is used only as far as the owners, the board or, for leases, its own key signed it.
//! Someone who can write to the vault can make it refuse, and nothing else: every statement and chunk in it is verified again each
//! time it is used.

mod error;
mod gate;
mod invitation;
mod pull;
mod record;
mod recorder;
mod recorders;
mod recovery;
pub mod remote;
mod rules;
mod sync;
mod upload;
mod vault;

pub use error::Error;
pub use gate::{Opened, Pass, find_grant, find_lease, find_pass};
pub use invitation::{Fingerprint, Invitation, InvitationError};
pub use pull::{ChunkSource, Mirror, Pace, Parallel, PullOptions, Pulled, SetAside, pull};
pub use record::Record;
pub use recorder::{Outcome, Prompt, Recorder};
pub use recorders::{OpenRecord, Recorders};
pub use recovery::Recovery;
pub use rules::{Catalogue, unknown_checkpoint};
pub use sync::sync;
pub use upload::{Uploaded, upload};
pub use vault::Vault;

use std::path::Path;

use crate::digest::Sha256Digest;
use crate::seal::SealedCheckpoint;

/// The sealed checkpoint in `folder`, whose manifest must be the one that the catalogue names.
///
/// # Errors
/// [`Error::Seal`].
pub fn sealed(folder: &Path, manifest: Sha256Digest) -> Result<SealedCheckpoint, Error> {
    let bytes = SealedCheckpoint::manifest_bytes(folder)?;
    Ok(SealedCheckpoint::open(folder, &bytes, manifest)?)
}
