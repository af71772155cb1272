//! Commands of the release administrator.

pub(super) mod catalogue;
pub(super) mod import;
pub(super) mod revoke;
pub(super) mod seal;
pub(super) mod show;
pub(super) mod verify;
