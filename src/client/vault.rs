//! The vault: what a researcher keeps to run offline. Sealed checkpoints, and copies of the statements that open them.

use std::path::{Path, PathBuf};

use super::Error;
use crate::access::{Exchange, Grant, Statements};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::name::CheckpointId;

/// The kinds of statements that a grant needs to be used, beside itself.
const OF_A_GRANT: [&str; 3] = ["share", "lease", "revocation"];

/// A researcher's vault.
#[derive(Debug, Clone)]
pub struct Vault {
    folder: PathBuf,
}

impl Vault {
    /// The vault in this folder, which need not be there yet.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Where the sealed checkpoint of a manifest lies, or will.
    pub fn sealed(&self, checkpoint: &CheckpointId, manifest: Sha256Digest) -> PathBuf {
        self.folder.join("sealed").join(checkpoint.as_str()).join(manifest.to_string())
    }

    /// The statements that it keeps.
    pub fn statements(&self) -> Exchange {
        Exchange::at(self.folder.join("statements"))
    }

    /// Where its files are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Copies from an exchange the grants that are made out to `holder`, and what belongs to them. Returns how many files are new.
    ///
    /// # Errors
    /// [`Error::Exchange`].
    pub fn collect(&self, from: &dyn Statements, holder: VerifyingKey) -> Result<usize, Error> {
        let mut new = 0;
        let mine = from.list("grant")?;
        let mine = mine.iter().filter(|found| {
            let claim = found.envelope.claim::<Grant>();
            claim.is_ok_and(|claim| claim.predicate.researcher.verifying_key == holder)
        });
        let own = self.statements();
        let mut grants = Vec::new();
        for found in mine {
            grants.push(found.digest.to_string());
            new += usize::from(own.copy("grant", found)?);
        }
        if grants.is_empty() {
            return Ok(0);
        }
        for kind in OF_A_GRANT {
            for found in from.list(kind)? {
                // Each of them names its grant; which of them hold is decided when they are used.
                let text = String::from_utf8_lossy(found.envelope.payload());
                if grants.iter().any(|grant| text.contains(grant.as_str())) {
                    new += usize::from(own.copy(kind, &found)?);
                }
            }
        }
        Ok(new)
    }
}
