//! The gate: what must hold before sealed weights are opened in memory, and the opening.
//!
//! In this order: the catalogue's rules are verified, the grant counts under them, it is made out to this very identity, a lease is
//! live, enough shares hold, and both locks together open the manifest's commitment. Only then is a chunk read.

use super::{Error, Vault, sealed};
use crate::access::{
    self, Affiliation, Affiliations, ApprovalShare, Grant, Lease, Revocation, RulesInForce, Statements as _,
    lease_context,
};
use crate::digest::Sha256Digest;
use crate::identity::{Card, OpeningKey};
use crate::log::EntryKind;
use crate::seal::{self, BoardKey, ContentKey, OpenedCheckpoint, SealedManifest, Share};
use crate::statement::{Envelope, Predicate as _, Statement, Verified};
use crate::time::Timestamp;

/// A grant and a lease that stand now: leave to open one checkpoint.
#[derive(Debug)]
pub struct Pass {
    /// The grant.
    pub grant: Verified<Statement<Grant>>,
    /// The lease.
    pub lease: Verified<Lease>,
    shares: Vec<Envelope>,
}

/// A checkpoint whose two locks are open.
#[derive(Debug)]
pub struct Opened {
    /// What let it be opened.
    pub pass: Pass,
    /// The checkpoint, its chunks opened as they are read.
    pub checkpoint: OpenedCheckpoint,
}

/// Finds a grant for the checkpoint of `rules` that counts and is made out to `card`, and a live lease of it.
///
/// # Errors
/// [`Error::NoGrant`], [`Error::GrantRefused`] with the rule, [`Error::NoLease`], [`Error::Exchange`].
pub fn find_pass(vault: &Vault, rules: &RulesInForce, card: &Card, now: Timestamp) -> Result<Pass, Error> {
    let statements = vault.statements();
    let own = OwnGrants::read(vault, rules, card)?;
    let mut refused = None;
    for found in &own.grants {
        match own.verify(&found.envelope, rules, card, now) {
            Ok(grant) => match live_lease(vault, &grant, rules, now)? {
                Ok(lease) => return Ok(Pass { grant, lease, shares: envelopes(statements.list("share")?) }),
                Err(newest) => {
                    let (checkpoint, grant) = (rules.checkpoint.clone(), short(&found.digest.to_string()));
                    refused = Some(Error::NoLease { checkpoint, grant, newest: newest.map(Box::new) });
                }
            },
            // A grant that stands and only wants a lease is the better news.
            Err(source) if refused.is_none() => {
                let (checkpoint, grant) = (rules.checkpoint.clone(), short(&found.digest.to_string()));
                refused = Some(Error::GrantRefused { checkpoint, grant, source: Box::new(source) });
            }
            Err(_) => {}
        }
    }
    let missing = if refused.is_none() { "grant" } else { "lease" };
    require_undamaged(vault, missing)?;
    Err(refused.unwrap_or_else(|| Error::NoGrant {
        checkpoint: rules.checkpoint.clone(),
        name: card.name.to_string(),
    }))
}

/// A grant for the checkpoint of `rules` that counts and is made out to `card`.
///
/// # Errors
/// [`Error::NoGrant`], [`Error::GrantRefused`] with the rule, [`Error::Exchange`].
pub fn find_grant(
    vault: &Vault,
    rules: &RulesInForce,
    card: &Card,
    now: Timestamp,
) -> Result<Verified<Statement<Grant>>, Error> {
    let own = OwnGrants::read(vault, rules, card)?;
    let checkpoint = &rules.checkpoint;
    let mut refused = None;
    for found in &own.grants {
        match own.verify(&found.envelope, rules, card, now) {
            Ok(grant) => return Ok(grant),
            Err(source) => {
                let grant = short(&found.digest.to_string());
                let (checkpoint, source) = (checkpoint.clone(), Box::new(source));
                refused = Some(Error::GrantRefused { checkpoint, grant, source });
            }
        }
    }
    Err(refused
        .unwrap_or_else(|| Error::NoGrant { checkpoint: checkpoint.clone(), name: card.name.to_string() }))
}

/// The grants for a checkpoint in a vault, and the last revocation of one that is made out to its owner.
struct OwnGrants {
    grants: Vec<access::Found>,
    revocations: Vec<Envelope>,
    affiliations: Affiliations,
    last: Option<Verified<Revocation>>,
}

impl OwnGrants {
    fn read(vault: &Vault, rules: &RulesInForce, card: &Card) -> Result<Self, Error> {
        let statements = vault.statements();
        let mut grants = statements.merged("grant")?;
        grants.retain(|found| {
            let claim = found.envelope.claim::<Grant>();
            claim.is_ok_and(|claim| claim.predicate.checkpoint == rules.checkpoint)
        });
        let revocations = envelopes(statements.list("revocation")?);
        let affiliations = envelopes(statements.list(Affiliation::KIND)?);
        let affiliations = Affiliations::among(&affiliations, &rules.organizations);
        let last = access::last_revocation_of(&card.verifying_key, &grants, &revocations, rules);
        Ok(Self { grants, revocations, affiliations, last })
    }

    /// The grant of an envelope, if it counts for the owner of `card`. A revocation ends every grant of its person for the checkpoint that
    /// was issued by then, whichever it names.
    fn verify(
        &self,
        envelope: &Envelope,
        rules: &RulesInForce,
        card: &Card,
        now: Timestamp,
    ) -> Result<Verified<Statement<Grant>>, access::Error> {
        let grant = access::verify_grant(envelope, rules, &self.revocations, &self.affiliations, now)?;
        require_holder(&grant.predicate, card)?;
        match self.last.as_ref().filter(|last| grant.predicate.issued <= last.created) {
            Some(last) => Err(rules.revoked(last)),
            None => Ok(grant),
        }
    }
}

/// A live lease of a grant, if there is one.
///
/// # Errors
/// [`Error::Exchange`].
pub fn find_lease(
    vault: &Vault,
    grant: &Verified<Statement<Grant>>,
    rules: &RulesInForce,
    now: Timestamp,
) -> Result<Option<Verified<Lease>>, Error> {
    Ok(live_lease(vault, grant, rules, now)?.ok())
}

/// Where something is missing, a damaged file of its kind is the likelier cause than that nobody sent it.
fn require_undamaged(vault: &Vault, kind: &'static str) -> Result<(), Error> {
    let damaged = vault.statements().damaged(kind)?;
    damaged.into_iter().next().map_or(Ok(()), |path| Err(Error::Damaged { kind, path }))
}

fn short(digest: &str) -> String {
    digest.chars().take(12).collect()
}

fn envelopes(found: Vec<access::Found>) -> Vec<Envelope> {
    found.into_iter().map(|found| found.envelope).collect()
}

fn require_holder(grant: &Grant, card: &Card) -> Result<(), access::Error> {
    let holder = &grant.researcher;
    if (holder.verifying_key, holder.sealing_key) == (card.verifying_key, card.sealing_key) {
        return Ok(());
    }
    let (holder, found) = (holder.name.to_string(), card.name.to_string());
    Err(access::Error::OtherHolder { holder, found })
}

/// A lease of the grant that is live, or why the newest is not.
fn live_lease(
    vault: &Vault,
    grant: &Verified<Statement<Grant>>,
    rules: &RulesInForce,
    now: Timestamp,
) -> Result<Result<Verified<Lease>, Option<access::Error>>, Error> {
    let mut newest: Option<(Timestamp, access::Error)> = None;
    let mut live: Option<Verified<Lease>> = None;
    for found in vault.statements().list("lease")? {
        let Ok(claim) = found.envelope.claim::<Lease>() else { continue };
        if claim.predicate.grant != grant.digest() {
            continue;
        }
        match access::verify_lease(&found.envelope, grant, rules, now) {
            Ok(lease) => {
                let better = |other: &Verified<Lease>| vault.preference(other) < vault.preference(&lease);
                if live.as_ref().is_none_or(better) {
                    live = Some(lease);
                }
            }
            Err(error) => {
                let issued = claim.predicate.issued;
                if newest.as_ref().is_none_or(|(other, _)| *other < issued) {
                    newest = Some((issued, error));
                }
            }
        }
    }
    Ok(live.ok_or(newest.map(|(_, error)| error)))
}

impl Pass {
    /// What must be in the log for this to take effect: the rules that it rests on, the grant, the lease.
    pub fn logged(&self, rules: &RulesInForce) -> [(EntryKind, Sha256Digest); 5] {
        [
            (EntryKind::Policy, rules.policy_digest),
            (EntryKind::Stage, rules.stage_digest),
            (EntryKind::Manifest, rules.manifest),
            (EntryKind::Grant, self.grant.digest()),
            (EntryKind::Lease, self.lease.digest()),
        ]
    }

    /// Opens the sealed checkpoint of the vault in memory.
    ///
    /// # Errors
    /// [`Error::NotLogged`], [`Error::Log`], [`Error::NotPulled`], [`Error::TooFewShares`], [`Error::Seal`].
    pub fn open(self, vault: &Vault, rules: &RulesInForce, key: &OpeningKey) -> Result<Opened, Error> {
        if let Some(record) = vault.record() {
            for logged in self.logged(rules) {
                record.require(logged, &rules.registry)?;
            }
        }
        let folder = vault.sealed(&rules.checkpoint, rules.manifest);
        if !folder.join(seal::MANIFEST).exists() {
            return Err(Error::NotPulled { checkpoint: rules.checkpoint.clone() });
        }
        let sealed = sealed(&folder, rules.manifest)?.with_checked_chunks();
        let board_key = self.board_key(sealed.manifest(), (vault, rules), key)?;
        let lease = &*self.lease;
        let context = lease_context(lease.grant, lease.issued, lease.expires);
        let registry_key = seal::open_registry_key(&lease.registry_key, key, context)?;
        let content_key = ContentKey::derive(&board_key, &registry_key, &rules.checkpoint);
        let checkpoint = sealed.unlock(&content_key)?;
        Ok(Opened { pass: self, checkpoint })
    }

    /// Combines the delivered shares; those that do not hold are named if too few are left.
    fn board_key(
        &self,
        manifest: &SealedManifest,
        (vault, rules): (&Vault, &RulesInForce),
        key: &OpeningKey,
    ) -> Result<BoardKey, Error> {
        let mut shares: Vec<Share> = Vec::new();
        let mut last = None;
        for envelope in &self.shares {
            let Ok(claim) = envelope.claim::<ApprovalShare>() else { continue };
            if claim.predicate.grant != self.grant.digest() {
                continue;
            }
            let opened = access::verify_approval_share(envelope, &self.grant, (rules, manifest))
                .map_err(Error::Share)
                .and_then(|delivered| {
                    Ok(seal::open_resealed_share(&delivered.share, key, self.grant.digest(), manifest)?)
                });
            match opened {
                Ok(share) if shares.iter().any(|other| other.index() == share.index()) => {}
                Ok(share) => shares.push(share),
                Err(error) => last = Some(Box::new(error)),
            }
        }
        let need = usize::from(manifest.seal.board.threshold);
        if shares.len() < need {
            require_undamaged(vault, "share")?;
            let checkpoint = rules.checkpoint.clone();
            return Err(Error::TooFewShares { checkpoint, have: shares.len(), need, last });
        }
        Ok(seal::combine(shares, &manifest.seal.board, &rules.checkpoint, &mut rand::rng())?)
    }
}
