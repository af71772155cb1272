//! Commands of the release administrator.

pub(super) mod catalogue;
pub(super) mod import;
pub(super) mod misuse;
pub(super) mod policy;
pub(super) mod show;
pub(super) mod verify;
