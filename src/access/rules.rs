//! The rules in force for one checkpoint, as the verified catalogue states them: what every check of a grant rests on.

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
use crate::statement::{CatalogueId, KnownSignatures, Quorum};
use crate::time::Timestamp;

/// Hours of a lease where the stage sets none.
const DEFAULT_LEASE_HOURS: u32 = 24;

/// What the rules of a policy object to, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objections {
    /// What no approval can mend.
    pub failed: Vec<String>,
    /// What is missing and may still come in.
    pub awaited: Vec<String>,
    /// Both, with the rules' names.
    pub named: Vec<String>,
    /// The organization whose registrars have to confirm the person, and what they are called, if that is all that failed.
    pub unconfirmed: Option<(Label, Registrars)>,
}

impl Objections {
    /// The rules that failed, or those that wait where none failed; `Ok` where there are neither.
    pub(super) fn require_none(self) -> Result<(), Error> {
        if self.failed.is_empty() && !self.awaited.is_empty() {
            return Err(Error::Awaited { unmet: self.awaited });
        }
        self.require_possible()
    }

    /// The same, for one who only asks: approvals may still come in.
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

/// What the catalogue says of a checkpoint now. Whoever fills it in must have verified every part.
#[derive(Debug, Clone)]
pub struct RulesInForce {
    /// Which catalogue says so: a statement for another counts for nothing here.
    pub catalogue: CatalogueId,
    /// Which checkpoint.
    pub checkpoint: CheckpointId,
    /// The digest of its sealed manifest.
    pub manifest: Sha256Digest,
    /// Its policy.
    pub policy: Policy,
    /// The digest of the policy's text.
    pub policy_digest: Sha256Digest,
    /// The stage it is in.
    pub stage: StageName,
    /// The digest of the file that says so.
    pub stage_digest: Sha256Digest,
    /// The agreement in force, if there is one.
    pub agreement: Option<Sha256Digest>,
    /// The checkpoint's own board.
    pub board: Quorum,
    /// Every board that the policy may ask for, by the policy's name for it; `board` is the checkpoint's own.
    pub boards: BTreeMap<BoardName, Quorum>,
    /// Who audits, where the owners named auditors.
    pub auditors: Option<Quorum>,
    /// The registry.
    pub registry: Quorum,
    /// The registrars of each organization for which the owners named some.
    pub organizations: BTreeMap<Label, Quorum>,
    /// What registrars are called.
    pub registrar_names: BTreeMap<VerifyingKey, String>,
    /// Whom to write to about it.
    pub contacts: Contacts,
}

/// The board's members by name, to tell people whom to write to.
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

/// The registrars of an organization by name, to tell people whom to ask.
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
    /// The same; what members and the registry signed is verified once, if it is among `known`.
    #[must_use]
    pub fn with_known_signatures(mut self, known: &KnownSignatures) -> Self {
        self.board = self.board.with_known(known);
        self.registry = self.registry.with_known(known);
        for board in self.boards.values_mut() {
            *board = board.clone().with_known(known);
        }
        self
    }

    /// Whose signatures make a grant of `stage` to `researcher` stand: the board without the researcher, who cannot consent to
    /// their own request; or the registry, where the board's policy asks for no approval.
    pub(super) fn quorum_for(&self, stage: &StageName, researcher: VerifyingKey) -> Result<Quorum, Error> {
        let stage = self.policy.stage(stage).ok_or_else(|| Error::UnknownStage { stage: stage.clone() })?;
        if stage.approvals.is_empty() {
            return Ok(self.registry.clone());
        }
        self.board.exclude(&researcher).map_err(|source| Error::Board { source })
    }

    /// What the policy does not permit of a grant with these signers, in words: what can never be permitted, and what is
    /// only missing so far.
    pub(super) fn objections(
        &self,
        grant: &Grant,
        signers: &BTreeSet<VerifyingKey>,
        affiliations: &Affiliations,
        now: Timestamp,
    ) -> Objections {
        // Nobody approves their own request.
        let mut approvers = self.people(signers);
        approvers.remove(&PersonKey::from_bytes(*grant.researcher.verifying_key.as_bytes()));
        let confirmed_until = affiliations.last(&grant.researcher, self, now).map(|said| said.ends(now));
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

    /// What the catalogue says outside the policy.
    pub fn terms(&self) -> Terms {
        let threshold = u32::try_from(self.board.threshold()).unwrap_or(u32::MAX);
        Terms { agreement: self.agreement, board_threshold: Some(threshold) }
    }

    /// People by their keys, with the boards on which each sits.
    pub(super) fn people(&self, keys: &BTreeSet<VerifyingKey>) -> BTreeMap<PersonKey, BTreeSet<BoardName>> {
        keys.iter().map(|key| (PersonKey::from_bytes(*key.as_bytes()), self.boards_with(key))).collect()
    }

    /// The boards on which a key sits, by the policy's names for them.
    fn boards_with(&self, key: &VerifyingKey) -> BTreeSet<BoardName> {
        let own = self.board.keys().contains(key).then(|| BoardName::own().clone());
        let others = self.boards.iter().filter(|(_, board)| board.keys().contains(key));
        own.into_iter().chain(others.map(|(name, _)| name.clone())).collect()
    }

    /// The organization on a card is its owner's own word. A registrar confirms it, or board members do by approving; if none of them
    /// looks, it counts for nothing.
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

    /// Until when a registrar confirms the holder of a grant, if the grant's stage wants that of them.
    pub fn confirmed_until(
        &self,
        grant: &Grant,
        affiliations: &Affiliations,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let stage = self.policy.stage(&grant.stage).filter(|stage| stage.heeds_registrars())?;
        let person = PersonKey::from_bytes(*grant.researcher.verifying_key.as_bytes());
        if stage.audience.admits(person, None) {
            return None;
        }
        affiliations.standing(&grant.researcher, self, now).map(|said| said.until)
    }

    /// Whether what registrars confirmed bears on anything that the policy decides.
    pub fn heeds_registrars(&self) -> bool {
        !self.organizations.is_empty() && self.policy.stages.iter().any(policy::Stage::heeds_registrars)
    }

    /// The members of every board that decides on requests, any one of whom may deny.
    pub fn deciders(&self) -> Quorum {
        let keys = self.boards.values().chain([&self.board]).flat_map(Quorum::keys).copied();
        let keys: BTreeSet<VerifyingKey> = keys.collect();
        if keys.len() == self.board.keys().len() {
            return self.board.with_threshold_one();
        }
        let name = format!("one member of the boards that decide on {}", self.checkpoint);
        // A board has members, so one of them can be asked for.
        let deciders = Quorum::new(name, keys, 1).unwrap_or_else(|_| self.board.with_threshold_one());
        deciders.with_catalogue(self.catalogue)
    }

    /// Hours for which a lease of this stage may run.
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

    /// Why a statement that cites an earlier policy is over.
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
