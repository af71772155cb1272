//! A verified catalogue with where its files come from, and the rules in force that it holds for a checkpoint.

use std::collections::BTreeMap;
use std::ops::Deref;

use super::Error;
use crate::access::{Contacts, RulesInForce};
use crate::catalogue::{self, AUDITORS, CheckpointFile, Remote, StageTarget, TrustedCatalogue};
use crate::digest::Sha256Digest;
use crate::identity::{Card, VerifyingKey};
use crate::misuse::{Rules, Scorer};
use crate::name::{CheckpointId, Label};
use crate::policy::{BoardName, Policy};
use crate::statement::{Quorum, Verified};

/// A verified catalogue, and the place from which its files are fetched when they are wanted.
pub struct Catalogue {
    trusted: TrustedCatalogue,
    remote: Box<dyn Remote>,
}

impl Deref for Catalogue {
    type Target = TrustedCatalogue;

    fn deref(&self) -> &TrustedCatalogue {
        &self.trusted
    }
}

impl Catalogue {
    /// Files of `trusted` are fetched from `remote`, and checked against it.
    pub fn new(trusted: TrustedCatalogue, remote: Box<dyn Remote>) -> Self {
        Self { trusted, remote }
    }

    /// What the catalogue says of `checkpoint` now.
    ///
    /// # Errors
    /// [`Error::UnknownCheckpoint`], [`Error::NotPublished`], [`Error::Policy`], [`Error::NotText`], [`Error::Catalogue`].
    pub fn rules_in_force(&self, checkpoint: &CheckpointId) -> Result<RulesInForce, Error> {
        let board = self.board_of(checkpoint)?.clone();
        let text = self.required(checkpoint, CheckpointFile::Policy, "policy")?;
        let policy_digest = Sha256Digest::compute(&text);
        let text = String::from_utf8(text)
            .map_err(|_| Error::NotText { checkpoint: checkpoint.clone(), what: "policy" })?;
        let policy = Policy::parse(&text)
            .map_err(|source| Error::Policy { checkpoint: checkpoint.clone(), source: Box::new(source) })?;
        let stage = self
            .stage(checkpoint)?
            .ok_or_else(|| Error::NotPublished { checkpoint: checkpoint.clone(), what: "stage" })?;
        let stage = stage.stage.as_str().parse().map_err(|_| Error::UnknownStage {
            checkpoint: checkpoint.clone(),
            stage: stage.stage.to_string(),
        })?;
        let stage_digest =
            Sha256Digest::compute(&self.required(checkpoint, CheckpointFile::Stage, "stage")?);
        let agreement = self.optional(checkpoint, CheckpointFile::Agreement)?;
        let organizations = self.organizations()?;
        let registrars = organizations.values().flat_map(Quorum::keys);
        let registrar_names = registrars.map(|key| (*key, self.name_of(key))).collect();
        Ok(RulesInForce {
            catalogue: self.trusted.id(),
            checkpoint: checkpoint.clone(),
            manifest: Sha256Digest::compute(&self.required(
                checkpoint,
                CheckpointFile::Manifest,
                "manifest",
            )?),
            policy_digest,
            stage,
            stage_digest,
            auditors: self.auditors().cloned(),
            agreement: agreement.map(|text| Sha256Digest::compute(&text)),
            boards: self.boards_of(&policy, &board),
            contacts: self.contacts(&board),
            board,
            policy,
            registry: self.trusted.registry().clone(),
            organizations,
            registrar_names,
        })
    }

    /// The board of a checkpoint.
    ///
    /// # Errors
    /// [`Error::UnknownCheckpoint`].
    pub fn board_of(&self, checkpoint: &CheckpointId) -> Result<&Quorum, Error> {
        self.trusted.board(checkpoint).ok_or_else(|| unknown_checkpoint(checkpoint, &self.trusted))
    }

    /// Who audits, where the owners named auditors.
    pub fn auditors(&self) -> Option<&Quorum> {
        self.trusted.board(&AUDITORS.parse().ok()?)
    }

    /// The cards of those who audit.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn auditor_cards(&self) -> Result<Vec<Card>, Error> {
        let keys = self.auditors().into_iter().flat_map(Quorum::keys);
        keys.map(|key| Ok(self.card(key)?.into_inner())).collect()
    }

    /// The registrars of each organization for which the owners named some.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn organizations(&self) -> Result<BTreeMap<Label, Quorum>, Error> {
        Ok(self.trusted.organizations(&*self.remote)?)
    }

    /// The rules of misuse that the owners signed, ready to score; none where they signed none.
    ///
    /// # Errors
    /// [`Error::Catalogue`], [`Error::MisuseRules`].
    pub fn scorer(&self) -> Result<Option<Scorer>, Error> {
        let text = match self.trusted.misuse_rules(&*self.remote) {
            Err(catalogue::Error::NoTarget { .. }) => return Ok(None),
            text => text?,
        };
        let unusable = |reason: String| Error::MisuseRules { reason };
        let rules =
            Rules::parse(&String::from_utf8_lossy(&text)).map_err(|error| unusable(error.to_string()))?;
        Scorer::new(rules).map(Some).map_err(|error| unusable(error.to_string()))
    }

    /// Every board that the policy asks for: its own by the name `board`, others by the role that the owners gave them. One
    /// that nobody founded approves nothing.
    pub fn boards_of(&self, policy: &Policy, own: &Quorum) -> BTreeMap<BoardName, Quorum> {
        let names = policy.stages.iter().flat_map(|stage| stage.approvals.keys());
        let boards = names.filter_map(|name| {
            if name == BoardName::own() {
                return Some((name.clone(), own.clone()));
            }
            let role = name.as_str().parse().ok()?;
            Some((name.clone(), self.trusted.board(&role)?.clone()))
        });
        boards.collect()
    }

    /// The names and organizations of a board's members.
    fn contacts(&self, board: &Quorum) -> Contacts {
        let contact = |key: &VerifyingKey| match self.card(key) {
            Ok(card) => match &card.organization {
                Some(organization) => format!("{} ({organization})", card.name),
                None => card.name.to_string(),
            },
            Err(_) => self.name_of(key),
        };
        let mut names: Vec<_> = board.keys().iter().map(contact).collect();
        names.sort();
        Contacts(names)
    }

    /// The stage that `checkpoint` is in, if its board put it in one.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn stage(&self, checkpoint: &CheckpointId) -> Result<Option<StageTarget>, Error> {
        match self.trusted.stage(&*self.remote, checkpoint) {
            Ok(stage) => Ok(Some(stage)),
            Err(catalogue::Error::NoTarget { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The agreement's text, if the catalogue has one for `checkpoint`.
    ///
    /// # Errors
    /// [`Error::NotText`], [`Error::Catalogue`].
    pub fn agreement(&self, checkpoint: &CheckpointId) -> Result<Option<String>, Error> {
        let not_text = |_| Error::NotText { checkpoint: checkpoint.clone(), what: "agreement" };
        let text = self.optional(checkpoint, CheckpointFile::Agreement)?;
        text.map(|text| String::from_utf8(text).map_err(not_text)).transpose()
    }

    /// The sealed manifest's text.
    ///
    /// # Errors
    /// [`Error::NotPublished`], [`Error::Catalogue`].
    pub fn sealed_manifest(&self, checkpoint: &CheckpointId) -> Result<Vec<u8>, Error> {
        self.required(checkpoint, CheckpointFile::Manifest, "manifest")
    }

    /// The card of a key that has a part in the catalogue.
    ///
    /// # Errors
    /// [`Error::Catalogue`].
    pub fn card(&self, key: &VerifyingKey) -> Result<Verified<Card>, Error> {
        Ok(self.trusted.card(&*self.remote, key)?)
    }

    /// What the owner of a key is called; the beginning of its id where no card tells.
    pub fn name_of(&self, key: &VerifyingKey) -> String {
        self.card(key).map_or_else(|_| format!("key {}", key.id().short()), |card| card.name.to_string())
    }

    fn required(
        &self,
        checkpoint: &CheckpointId,
        file: CheckpointFile,
        what: &'static str,
    ) -> Result<Vec<u8>, Error> {
        let found = self.optional(checkpoint, file)?;
        found.ok_or_else(|| Error::NotPublished { checkpoint: checkpoint.clone(), what })
    }

    fn optional(&self, checkpoint: &CheckpointId, file: CheckpointFile) -> Result<Option<Vec<u8>>, Error> {
        match self.trusted.checkpoint_file(&*self.remote, checkpoint, file) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(catalogue::Error::NoTarget { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// Letters that may be wrong in a name that is guessed.
const MAX_MISTAKES: usize = 3;

/// A checkpoint that a catalogue does not have, with the one of its own that may be meant.
pub fn unknown_checkpoint(checkpoint: &CheckpointId, catalogue: &TrustedCatalogue) -> Error {
    let distance = |known: &CheckpointId| strsim::levenshtein(known.as_str(), checkpoint.as_str());
    let nearest = catalogue.checkpoints().min_by_key(|known| distance(known));
    // A name of which nothing is right is no guess.
    let is_near = |known: &&CheckpointId| distance(known) <= MAX_MISTAKES.min(checkpoint.as_str().len() / 2);
    Error::UnknownCheckpoint { checkpoint: checkpoint.clone(), nearest: nearest.filter(is_near).cloned() }
}
