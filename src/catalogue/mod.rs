//! The catalogue: a TUF 1.0 repository of policies, manifests and stages, and the only root of trust.
//!
//! The owners sign `root` and `targets`. Each checkpoint's board signs the role to which `targets` delegates `<checkpoint>/*`. The
//! registry's online key signs `snapshot` and `timestamp`. Specification: TUF 1.0.x (theupdateframework.github.io), in particular section
//! 5; Ed25519 keys, OLPC canonical JSON, consistent snapshots.
//!
//! - Only [`Client`] makes a [`TrustedCatalogue`], after it verified the whole chain.
//! - Thresholds count distinct public keys, only with `crate::statement::Quorum`.
//! - A client never accepts older metadata than it accepted before (promise P5); see `client/`.
//!
//! An attacker who controls the server or the folder can only withhold updates until the timestamp expires. One who holds the registry's
//! key can also choose which of the versions signed by the boards is current, but none older than a client saw. A board's threshold can
//! change only its own checkpoint; the owners' threshold can change everything, in public.

mod canonical;
mod client;
mod document;
mod durable;
mod error;
mod history;
mod organizations;
mod pattern;
mod remote;
mod repository;
mod role_name;
mod schema;
mod target;
mod trusted;
mod verify;
mod walk;

pub use canonical::canonical_json;
pub use client::{CLOCK_TOLERANCE, Client, Search};
pub use document::{Document, Keyring};
pub use error::Error;
pub use history::History;
pub use organizations::{MAX_REGISTRARS, Organizations};
pub use remote::{Folder, NoRemote, Remote};
pub use repository::{
    BoardPlan, Change, Days, Founding, Offer, Parcel, PendingProposal, ProposalStatus, Proposer, Publication,
    ReceiveOutcome, Repository, RepositoryError, Review, Roster, Rotation, Status, Subject, Tally,
};
pub use role_name::{AUDITORS, RoleName, RoleNameError};
pub use schema::MAX_ROOT_BYTES;
pub use schema::{
    Delegation, Delegations, FileMeta, Hashes, Key, Role, RoleKeys, RootRole, SnapshotOnly, SnapshotRole,
    TargetFile, TargetsRole, TimestampRole, TopLevel,
};
pub use target::{CheckpointFile, StageTarget, TargetPath, TargetPathError};
pub use trusted::{RoleSummary, TargetInfo, TrustedCatalogue};
