//! Commands of the release administrator.

mod approvable;
pub(super) mod approve;
pub(super) mod catalogue;
pub(super) mod deny;
pub(super) mod handover;
pub(super) mod import;
pub(super) mod misuse;
pub(super) mod policy;
pub(super) mod release;
pub(super) mod revoke;
pub(super) mod seal;
pub(super) mod show;
pub(super) mod verify;
