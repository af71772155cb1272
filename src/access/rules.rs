//! The rules in force for a checkpoint, from the verified catalogue: the basis of every check of a grant.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::grant::Grant;
use super::{Affiliations, Error};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::name::{CheckpointId, Label};
use crate::policy::{
    self, Application, BoardName, Organization, PersonKey, Policy, Rule, StageName, Terms, Verdict,
};
use crate::statement::{CatalogueId, Quorum};
use crate::time::Timestamp;

/// Hours of a lease if the stage sets none.
const DEFAULT_LEASE_HOURS: u32 = 24;

/// Objections of a policy's rules, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objections {
    /// Failed rules, which no approval can change.
    pub failed: Vec<String>,
    /// Missing requirements, which may still be met.
    pub awaited: Vec<String>,
    /// Both, each with its rule's name.
    pub named: Vec<String>,
    /// The organization whose registrars must confirm the person, and their names, if nothing else failed.
    pub unconfirmed: Option<(Label, Registrars)>,
}

impl Objections {
    /// Returns the failed rules as an error, or else the unmet ones; `Ok` if there are neither.
    pub(super) fn require_none(self) -> Result<(), Error> {
        if self.failed.is_empty() && !self.awaited.is_empty() {
            return Err(Error::Awaited { unmet: self.awaited });
        }
        self.require_possible()
    }

    /// As `require_none` for a new request, to which approvals may still come.
    pub(super) fn require_possible(self) -> Result<(), Error> {
        match self.unconfirmed {
            Some((organization, registrars)) => {
                Err(Error::NotConfirmed { organization, registrars, unmet: self.failed })
            }
            None if self.failed.is_empty() => Ok(()),
            None => Err(Error::NotPermitted { unmet: self.failed }),
        }
    }
}

/// What the catalogue states about a checkpoint now. The caller has verified every part.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone)]
pub struct RulesInForce {
    /// The catalogue's id; statements for another catalogue are refused.
    pub catalogue: CatalogueId,
    pub checkpoint: CheckpointId,
    /// The digest of the sealed manifest.
    pub manifest: Sha256Digest,
    pub policy: Policy,
    /// The digest of the policy's text.
    pub policy_digest: Sha256Digest,
    /// The stage in force.
    pub stage: StageName,
    /// The digest of the stage's file.
    pub stage_digest: Sha256Digest,
    /// The digest of the agreement in force, if the stage has one.
    pub agreement: Option<Sha256Digest>,
    /// The checkpoint's own board.
    pub board: Quorum,
    /// Boards by their names in the policy; `board` is the checkpoint's own.
    pub boards: BTreeMap<BoardName, Quorum>,
    /// The auditors, if the catalogue names any.
    pub auditors: Option<Quorum>,
    /// The registry's key.
    pub registry: Quorum,
    /// The registrars of each organization that has any.
    pub organizations: BTreeMap<Label, Quorum>,
    /// The registrars' names.
    pub registrar_names: BTreeMap<VerifyingKey, String>,
    /// People to contact about a decision.
    pub contacts: Contacts,
}

/// The board's members by name, for messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Contacts(pub Vec<String>);

impl fmt::Display for Contacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("the board"),
            [one] => write!(f, "{one} of the board"),
            [others @ .., last] => write!(f, "{} or {last} of the board", others.join(", ")),
        }
    }
}

/// An organization's registrars by name, for messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registrars(pub Vec<String>);

impl fmt::Display for Registrars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("a registrar, once the owners of the catalogue have named one"),
            [one] => write!(f, "{one}, its registrar"),
            [others @ .., last] => write!(f, "{} or {last}, its registrars", others.join(", ")),
        }
    }
}

impl RulesInForce {
    /// The quorum that makes a grant of `stage` to `researcher` valid: the board without the researcher, or the registry if the policy
    /// requires no approval.
    pub(super) fn quorum_for(&self, stage: &StageName, researcher: VerifyingKey) -> Result<Quorum, Error> {
        let stage = self.policy.stage(stage).ok_or_else(|| Error::UnknownStage { stage: stage.clone() })?;
        if stage.approvals.is_empty() {
            return Ok(self.registry.clone());
        }
        self.board.without(&researcher).map_err(|source| Error::Board { source })
    }

    /// What the policy objects to in a grant with these signers: rules that failed, and requirements that are not met yet.
    pub(super) fn objections(
        &self,
        grant: &Grant,
        signers: &BTreeSet<VerifyingKey>,
        affiliations: &Affiliations,
        now: Timestamp,
    ) -> Objections {
        // Members cannot approve their own request.
        let mut approvers = self.people(signers);
        approvers.remove(&PersonKey::from_bytes(*grant.researcher.verifying_key.as_bytes()));
        let confirmed_until =
            affiliations.find_last(&grant.researcher, self, now).map(|said| said.effective_end(now));
        let is_confirmed = confirmed_until.is_some_and(|until| now < until);
        let application = Application {
            checkpoint: grant.checkpoint.clone(),
            person: PersonKey::from_bytes(*grant.researcher.verifying_key.as_bytes()),
            organization: self.organization_of(grant, is_confirmed),
            confirmed_until,
            uses: grant.uses.clone(),
            days: grant.days(),
            agreement: grant.agreement,
            approvals: BTreeMap::new(),
            approvers,
        };
        let decision = policy::decide(&self.policy, &grant.stage, &application, self.terms(), now);
        let words = |verdict| {
            let rules = decision.rules().iter().filter(move |rule| rule.verdict == verdict);
            rules.map(ToString::to_string).collect()
        };
        let unmet = decision.rules().iter().filter(|rule| rule.verdict != Verdict::Passed);
        let named = unmet.map(|rule| format!("{}: {rule}", rule.rule.as_str())).collect();
        let mut failed = decision.rules().iter().filter(|rule| rule.verdict == Verdict::Failed);
        let only_unconfirmed =
            failed.next().is_some_and(|rule| rule.rule == Rule::Affiliation) && failed.next().is_none();
        let unconfirmed = grant.researcher.organization.clone().filter(|_| only_unconfirmed);
        let unconfirmed = unconfirmed.map(|organization| {
            let registrars = self.registrars_of(&organization);
            (organization, registrars)
        });
        Objections { failed: words(Verdict::Failed), awaited: words(Verdict::Awaits), named, unconfirmed }
    }

    /// What the catalogue states beside the policy.
    pub fn terms(&self) -> Terms {
        let threshold = u32::try_from(self.board.threshold()).unwrap_or(u32::MAX);
        Terms { agreement: self.agreement, board_threshold: Some(threshold) }
    }

    /// People by their keys, with the boards on which each sits.
    pub(super) fn people(&self, keys: &BTreeSet<VerifyingKey>) -> BTreeMap<PersonKey, BTreeSet<BoardName>> {
        keys.iter().map(|key| (PersonKey::from_bytes(*key.as_bytes()), self.boards_with(key))).collect()
    }

    /// The boards of a key, by their names in the policy.
    fn boards_with(&self, key: &VerifyingKey) -> BTreeSet<BoardName> {
        let own = self.board.keys().contains(key).then(|| BoardName::own().clone());
        let others = self.boards.iter().filter(|(_, board)| board.keys().contains(key));
        own.into_iter().chain(others.map(|(name, _)| name.clone())).collect()
    }

    /// The organization of the grant's holder. The card alone proves nothing: a registrar confirms it, or board members by their approval.
    fn organization_of(&self, grant: &Grant, is_confirmed: bool) -> Option<Organization> {
        let stage = self.policy.stage(&grant.stage)?;
        let claimed = grant.researcher.organization.clone();
        claimed.filter(|_| is_confirmed || !stage.approvals.is_empty()).map(Organization::from)
    }

    /// The registrars of an organization by name.
    pub fn registrars_of(&self, organization: &Label) -> Registrars {
        let keys = self.organizations.get(organization).into_iter().flat_map(Quorum::keys);
        let name = |key| self.registrar_names.get(key).cloned();
        Registrars(keys.map(|key| name(key).unwrap_or_else(|| format!("key {}", key.id().short()))).collect())
    }

    /// The end of the holder's confirmed affiliation, if the grant's stage requires one.
    pub fn confirmed_until(
        &self,
        grant: &Grant,
        affiliations: &Affiliations,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let stage = self.policy.stage(&grant.stage).filter(|stage| stage.depends_on_registrars())?;
        let person = PersonKey::from_bytes(*grant.researcher.verifying_key.as_bytes());
        if stage.audience.admits(person, None) {
            return None;
        }
        affiliations.find_current(&grant.researcher, self, now).map(|said| said.until)
    }

    /// Whether affiliations can change any decision of the policy.
    pub fn depends_on_registrars(&self) -> bool {
        !self.organizations.is_empty() && self.policy.stages.iter().any(policy::Stage::depends_on_registrars)
    }

    /// The members of all deciding boards; any one may deny.
    pub fn denial_quorum(&self) -> Quorum {
        let keys = self.boards.values().chain([&self.board]).flat_map(Quorum::keys).copied();
        let keys: BTreeSet<VerifyingKey> = keys.collect();
        if keys.len() == self.board.keys().len() {
            return self.board.any_one();
        }
        let name = format!("one member of the boards that decide on {}", self.checkpoint);
        // Boards have members, so a quorum of one is possible.
        let deciders = Quorum::new(name, keys, 1).unwrap_or_else(|_| self.board.any_one());
        deciders.in_catalogue(self.catalogue)
    }

    /// Hours of a lease in this stage.
    pub fn lease_hours(&self, stage: &StageName) -> u32 {
        let stage = self.policy.stage(stage);
        stage.and_then(|stage| stage.limits.lease_hours).unwrap_or(DEFAULT_LEASE_HOURS)
    }

    pub(super) fn require_subject(
        &self,
        checkpoint: &CheckpointId,
        manifest: Sha256Digest,
    ) -> Result<(), Error> {
        if *checkpoint != self.checkpoint {
            return Err(Error::OtherCheckpoint {
                found: checkpoint.clone(),
                expected: self.checkpoint.clone(),
            });
        }
        if manifest != self.manifest {
            return Err(Error::OtherManifest { found: manifest, in_force: self.manifest });
        }
        Ok(())
    }

    /// The error for a statement that cites an earlier policy.
    pub(super) fn policy_replaced(&self, what: &'static str, request: Option<Sha256Digest>) -> Error {
        Error::PolicyReplaced {
            what,
            version: self.policy.version,
            checkpoint: self.checkpoint.clone(),
            request,
        }
    }

    /// Refuses a stage that the checkpoint has not reached, or was moved back from.
    pub(super) fn require_stage_reached(&self, stage: &StageName) -> Result<(), Error> {
        let place = |name: &StageName| self.policy.stages.iter().position(|stage| stage.name == *name);
        match (place(stage), place(&self.stage)) {
            (Some(granted), Some(reached)) if granted <= reached => Ok(()),
            _ => Err(Error::StageMovedBack { granted: stage.clone(), in_force: self.stage.clone() }),
        }
    }
}
