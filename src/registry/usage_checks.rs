//! What a usage record requires: a lease issued to its owner, and a stage that keeps the record's texts.
//!
//! Records are written by their owner. Without these checks anyone could fill the log with arbitrary bytes, and open cases about
//! generations that never happened.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::{Error, Registry};
use crate::access::{CLOCK_TOLERANCE, Grant, Lease};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::policy::{Policy, UsageMode};
use crate::statement::{Envelope, Predicate as _};
use crate::usage::{ChainedBatch, Event};

/// The grant of each generation, by the record with which it began.
type Grants = BTreeMap<u64, Sha256Digest>;

impl Registry {
    /// Refuses a batch with a generation without a lease, or with texts that the stage does not keep.
    ///
    /// # Errors
    /// [`Error::NotLeased`], [`Error::NotKept`], [`Error::Store`].
    pub(super) async fn require_leased(
        &self,
        batch: &ChainedBatch,
        holder: KeyId,
        grants: &Grants,
    ) -> Result<(), Error> {
        let mut leases: BTreeMap<Sha256Digest, (CheckpointId, Lease)> = BTreeMap::new();
        for (record, _) in &batch.records {
            let Event::Begin(begin) = &record.event else { continue };
            let lease = match leases.entry(begin.lease) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(place) => {
                    let lease = self.find_lease(begin.lease, holder).await?;
                    let reason = "no lease for it was issued to this person";
                    place.insert(lease.ok_or(Error::NotLeased { seq: record.seq, reason })?)
                }
            };
            let (checkpoint, lease) = lease;
            let refused = |reason| Err(Error::NotLeased { seq: record.seq, reason });
            if *checkpoint != begin.checkpoint {
                return refused("its lease is for another checkpoint");
            }
            if lease.grant != begin.grant {
                return refused("its lease is for another grant");
            }
            if lease.journal.is_some_and(|mark| mark.journal != batch.journal) {
                return refused("its lease is for another journal");
            }
            let (begun, ended) =
                (lease.issued.plus_seconds(-CLOCK_TOLERANCE), lease.expires.plus_seconds(CLOCK_TOLERANCE));
            if record.at < begun || record.at >= ended {
                return refused("its lease was not active at that time");
            }
        }
        self.require_kept(batch, grants).await
    }

    /// The lease that a generation cites, if it was issued to this person, and its checkpoint.
    async fn find_lease(
        &self,
        lease: Sha256Digest,
        holder: KeyId,
    ) -> Result<Option<(CheckpointId, Lease)>, Error> {
        let rows = self.store.statement(lease).await?;
        let row = rows.into_iter().find(|row| row.kind == Lease::KIND && !row.is_erased());
        let Some(row) = row.filter(|row| row.holder == holder) else { return Ok(None) };
        let lease = Envelope::parse(row.envelope.as_bytes())?.claim::<Lease>()?.predicate;
        Ok(Some((row.checkpoint, lease)))
    }

    /// Refuses texts if the stage under which they were written keeps less.
    async fn require_kept(&self, batch: &ChainedBatch, grants: &Grants) -> Result<(), Error> {
        let mut modes: BTreeMap<Sha256Digest, UsageMode> = BTreeMap::new();
        for (record, _) in &batch.records {
            let holds = record.event.holds();
            if holds == UsageMode::Counts {
                continue;
            }
            let begin = match &record.event {
                Event::Begin(_) => record.seq,
                Event::End(end) => end.begin,
            };
            let unknown = "it ends a generation that never began";
            let grant = *grants.get(&begin).ok_or(Error::NotLeased { seq: record.seq, reason: unknown })?;
            let mode = match modes.get(&grant) {
                Some(mode) => *mode,
                None => self.find_usage_mode(grant).await?,
            };
            modes.insert(grant, mode);
            if mode > holds {
                return Err(Error::NotKept { seq: record.seq, holds: holds.as_str(), mode: mode.as_str() });
            }
        }
        Ok(())
    }

    /// The most that a grant's stage keeps or ever kept: a record may date from an earlier policy.
    async fn find_usage_mode(&self, grant: Sha256Digest) -> Result<UsageMode, Error> {
        let grant = self.grant(grant).await?.claim::<Grant>()?.predicate;
        let files = self.files().await?;
        let folder = format!("targets/{}/", grant.checkpoint);
        let published = files.files.iter().filter(|(path, _)| {
            path.strip_prefix(&folder)
                .is_some_and(|name| name == "policy.toml" || name.ends_with(".policy.toml"))
        });
        let policies = published
            .filter_map(|(_, bytes)| Policy::parse(std::str::from_utf8(bytes).ok()?).ok())
            .filter(|policy| policy.checkpoint == grant.checkpoint);
        let modes = policies.filter_map(|policy| Some(policy.stage(&grant.stage)?.limits.usage));
        Ok(modes.min().unwrap_or(UsageMode::Counts))
    }
}
