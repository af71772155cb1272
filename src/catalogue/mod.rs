//! The catalogue: a TUF 1.0 repository of policies, manifests and stages, and the only root of trust.
//!
//! Owners sign `root` and `targets`; each checkpoint's board signs the role that `targets` delegates `<checkpoint>/*` to; the
//! registry's one online key signs `snapshot` and `timestamp`. Specification: TUF 1.0.x (theupdateframework.github.io), section
//! 5 in particular; Ed25519 keys, OLPC canonical JSON, consistent snapshots.
//!
//! - Only [`Client`] hands out a [`TrustedCatalogue`], and only after the whole chain held.
//! - Thresholds count distinct public keys, through `crate::statement::Quorum` and nothing else.
//! - What a client accepted once is the floor of what it accepts later (promise P5); see `client/`.
//!
//! Who controls the server or the folder can withhold news until the timestamp expires, and no more. Who holds the registry's
//! key can, besides, choose which of the versions that boards signed is current, but cannot go back behind one a client saw. A
//! board's threshold can change its own checkpoint only; the owners' threshold can change everything, in public.

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
    BoardPlan, Change, Days, Founding, Held, Offer, Parcel, Proposer, Publication, Received, Repository,
    RepositoryError, Review, Roster, Rotation, Standing, Status, Subject, Tally,
};
pub use role_name::{AUDITORS, RoleName, RoleNameError};
pub use schema::MAX_ROOT_BYTES;
pub use schema::{
    Delegation, Delegations, FileMeta, Hashes, Key, Role, RoleKeys, RootRole, SnapshotOnly, SnapshotRole,
    TargetFile, TargetsRole, TimestampRole, TopLevel,
};
pub use target::{CheckpointFile, StageTarget, TargetPath, TargetPathError};
pub use trusted::{RoleSummary, TargetInfo, TrustedCatalogue};
