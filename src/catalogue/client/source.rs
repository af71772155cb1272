//! Sources of the metadata below the root: a remote, or only the state.

use super::state::State;
use crate::catalogue::schema::{Role, SnapshotRole, TargetsRole, TimestampRole};
use crate::catalogue::{Document, Error, Remote, verify};

/// Returns unverified metadata and stores what was accepted.
pub(super) trait Source {
    fn timestamp(&self) -> Result<Vec<u8>, Error>;
    fn snapshot(&self, version: u64) -> Result<Vec<u8>, Error>;
    fn targets(&self, role: &str, version: u64) -> Result<Vec<u8>, Error>;

    /// Returns a stored copy that may still be current, which saves fetching it.
    fn kept_snapshot(&self) -> Result<Option<Vec<u8>>, Error> {
        Ok(None)
    }

    fn kept_targets(&self, role: &str) -> Result<Option<Vec<u8>>, Error> {
        let _ = role;
        Ok(None)
    }

    fn keep_timestamp(&self, document: &Document<TimestampRole>) -> Result<(), Error> {
        let _ = document;
        Ok(())
    }

    fn keep_snapshot(&self, document: &Document<SnapshotRole>) -> Result<(), Error> {
        let _ = document;
        Ok(())
    }

    fn keep_targets(&self, role: &str, document: &Document<TargetsRole>) -> Result<(), Error> {
        let _ = (role, document);
        Ok(())
    }
}

pub(super) struct Online<'a> {
    pub(super) remote: &'a dyn Remote,
    pub(super) state: &'a State,
    pub(super) epoch: String,
}

impl Online<'_> {
    fn fetch(&self, file: &str, max: u64) -> Result<Vec<u8>, Error> {
        let fetched = self.remote.fetch(&format!("metadata/{file}"), max)?;
        fetched.ok_or_else(|| Error::Missing { file: file.to_owned() })
    }

    /// Writes a file unless it already has these bytes.
    fn keep(&self, name: &str, bytes: &[u8], max: u64) -> Result<(), Error> {
        if self.state.read(name, max).ok().flatten().is_some_and(|kept| kept == bytes) {
            return Ok(());
        }
        self.state.keep(name, bytes)
    }
}

impl Source for Online<'_> {
    fn timestamp(&self) -> Result<Vec<u8>, Error> {
        self.fetch("timestamp.json", TimestampRole::MAX_BYTES)
    }

    fn snapshot(&self, version: u64) -> Result<Vec<u8>, Error> {
        self.fetch(&verify::snapshot_file(version), SnapshotRole::MAX_BYTES)
    }

    fn targets(&self, role: &str, version: u64) -> Result<Vec<u8>, Error> {
        self.fetch(&verify::targets_file(role, version), TargetsRole::MAX_BYTES)
    }

    fn kept_snapshot(&self) -> Result<Option<Vec<u8>>, Error> {
        self.state.read(&format!("{}/snapshot.json", self.epoch), SnapshotRole::MAX_BYTES)
    }

    fn kept_targets(&self, role: &str) -> Result<Option<Vec<u8>>, Error> {
        // A damaged file is only a copy: fetch it again.
        Ok(self.state.read(&format!("targets/{role}.json"), TargetsRole::MAX_BYTES).ok().flatten())
    }

    fn keep_timestamp(&self, document: &Document<TimestampRole>) -> Result<(), Error> {
        let name = format!("{}/timestamp.json", self.epoch);
        self.keep(&name, document.bytes(), TimestampRole::MAX_BYTES)
    }

    fn keep_snapshot(&self, document: &Document<SnapshotRole>) -> Result<(), Error> {
        let name = format!("{}/snapshot.json", self.epoch);
        self.keep(&name, document.bytes(), SnapshotRole::MAX_BYTES)
    }

    fn keep_targets(&self, role: &str, document: &Document<TargetsRole>) -> Result<(), Error> {
        self.state.keep(&format!("targets/{role}.json"), document.bytes())
    }
}

pub(super) struct Offline<'a> {
    pub(super) state: &'a State,
    pub(super) epoch: String,
}

impl Offline<'_> {
    fn read(&self, name: &str, max: u64) -> Result<Vec<u8>, Error> {
        self.state.read(name, max)?.ok_or_else(|| Error::Missing { file: name.to_owned() })
    }
}

impl Source for Offline<'_> {
    fn timestamp(&self) -> Result<Vec<u8>, Error> {
        self.read(&format!("{}/timestamp.json", self.epoch), TimestampRole::MAX_BYTES)
    }

    fn snapshot(&self, _version: u64) -> Result<Vec<u8>, Error> {
        self.read(&format!("{}/snapshot.json", self.epoch), SnapshotRole::MAX_BYTES)
    }

    fn targets(&self, role: &str, _version: u64) -> Result<Vec<u8>, Error> {
        self.read(&format!("targets/{role}.json"), TargetsRole::MAX_BYTES)
    }
}
