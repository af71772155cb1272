//! The vault: what a researcher keeps to run offline. Sealed checkpoints, and copies of the statements that open them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::{Error, Record};
use crate::access::{Affiliation, Exchange, Grant, JournalId, Lease, RulesInForce, Statements, verify_lease};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::name::CheckpointId;
use crate::statement::{Envelope, Predicate as _, Statement, Verified};
use crate::time::Timestamp;

/// The kinds of statements that a grant needs to be used, beside itself.
const OF_A_GRANT: [&str; 3] = ["share", "lease", "revocation"];

/// A researcher's vault.
#[derive(Debug, Clone)]
pub struct Vault {
    folder: PathBuf,
    record: Option<Record>,
    journal: Option<JournalId>,
}

impl Vault {
    /// The vault in this folder, which need not be there yet.
    pub fn at(folder: PathBuf) -> Self {
        Self { folder, record: None, journal: None }
    }

    /// The same, of a registry that keeps a log: nothing takes effect here that is not proved to be in it (P3).
    #[must_use]
    pub fn with_record(mut self, record: Record) -> Self {
        self.record = Some(record);
        self
    }

    /// The same on a machine with this usage journal: leases for it are preferred to those for another machine's.
    #[must_use]
    pub fn with_journal(mut self, journal: Option<JournalId>) -> Self {
        self.journal = journal;
        self
    }

    /// Which of two leases that live is the better: one for this machine's journal, then the newer, which knows more of it.
    pub(super) fn preference(&self, lease: &Lease) -> (bool, Timestamp, u64) {
        let fits = lease.journal.is_none_or(|mark| Some(mark.journal) == self.journal);
        (fits, lease.issued, lease.journal.map_or(0, |mark| mark.records))
    }

    /// What is known of the registry's log, if it keeps one.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
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
        let mut grants = BTreeSet::new();
        let mut affiliations = BTreeSet::new();
        for found in mine {
            grants.insert(found.digest);
            let claim = found.envelope.claim::<Grant>();
            affiliations.extend(claim.ok().and_then(|claim| Affiliation::id_of(&claim.predicate.researcher)));
            new += usize::from(own.copy("grant", found)?);
        }
        for id in affiliations {
            for found in from.about(Affiliation::KIND, id)? {
                new += usize::from(own.copy(Affiliation::KIND, &found)?);
            }
        }
        for grant in grants {
            for kind in OF_A_GRANT {
                // Which of them hold is decided when they are used.
                // A grant of months has a lease for every day of them, of which the last is the one to use.
                let found = match kind {
                    Lease::KIND => from.newest(kind, grant)?,
                    kind => from.about(kind, grant)?,
                };
                for found in found {
                    new += usize::from(own.copy(kind, &found)?);
                }
            }
        }
        Ok(new)
    }

    /// Keeps a lease that the registry issued, if it is one of `grant` and live.
    ///
    /// # Errors
    /// [`Error::LeaseRefused`], [`Error::Exchange`].
    pub fn keep_lease(
        &self,
        lease: &Envelope,
        grant: &Verified<Statement<Grant>>,
        rules: &RulesInForce,
        now: Timestamp,
    ) -> Result<Verified<Lease>, Error> {
        let verified = verify_lease(lease, grant, rules, now)
            .map_err(|source| Error::LeaseRefused { source: Box::new(source) })?;
        let registry =
            rules.registry.keys().first().copied().unwrap_or(grant.predicate.researcher.verifying_key);
        self.statements().put("lease", lease, &registry)?;
        Ok(verified)
    }
}
