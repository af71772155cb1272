//! Affiliations at the registry: accepting them, looking them up for decisions, and showing them to the people concerned.

use std::collections::{BTreeMap, BTreeSet};

use super::accept::{require_fresh, signer_of};
use super::index::Index;
use super::{Error, Registry, View};
use crate::access::{Affiliation, Affiliations, Grant, RulesInForce, verify_affiliation};
use crate::identity::{Card, KeyId};
use crate::log::{Entry, EntryKind};
use crate::name::Label;
use crate::statement::{Envelope, Predicate as _, Quorum};
use crate::store::{FiledStatement, Filing, StatementRow};
use crate::time::Timestamp;

impl Registry {
    /// Accepts an affiliation; returns whether it is new. It must be later than the stored ones about the same person and organization.
    pub(super) async fn accept_affiliation(
        &self,
        envelope: &Envelope,
        index: &Index,
        now: Timestamp,
    ) -> Result<bool, Error> {
        let view = self.view().await?;
        let said = verify_affiliation(envelope, view.organizations())?;
        let digest = envelope.digest();
        if !self.store.statement(digest).await?.is_empty() {
            return Ok(false);
        }
        require_fresh(said.created, now)?;
        let about = Affiliation::id(&said.person.verifying_key, &said.organization);
        for (_, row) in self.store.newest_about(Affiliation::KIND, about, 1).await? {
            if row.is_erased() {
                continue;
            }
            let last = claim(&row)?.created;
            if said.created <= last {
                return Err(Error::NotTheLastWord { last });
            }
        }
        let signer = signer_of(said.signers())?;
        let row = StatementRow {
            digest,
            signer,
            kind: Affiliation::KIND.to_owned(),
            checkpoint: index.checkpoint.clone(),
            about: Some(about),
            holder: said.person.verifying_key.id(),
            envelope: envelope.to_json(),
            received: now,
        };
        // The log does not name the person.
        let entry = Entry::new(EntryKind::Affiliation, now, digest).by(signer);
        Ok(self.store.put(Filing::one(FiledStatement { row, entry: Some(entry) })).await?)
    }

    /// The latest affiliations of these cards' people by present registrars, as far as the rules use them.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Statement`] if what is kept cannot be read.
    pub async fn affiliations<'a>(
        &self,
        cards: impl IntoIterator<Item = &'a Card>,
        rules: &RulesInForce,
    ) -> Result<Affiliations, Error> {
        let mut envelopes = Vec::new();
        if !rules.depends_on_registrars() {
            return Ok(Affiliations::default());
        }
        for card in cards {
            let Some(registrars) = card.organization.as_ref().and_then(|name| rules.organizations.get(name))
            else {
                continue;
            };
            let Some(about) = Affiliation::id_for_card(card) else { continue };
            // Only the latest statement of each person is read.
            for registrar in registrars.keys() {
                let row = self.store.newest_about_by(Affiliation::KIND, about, registrar.id()).await?;
                if let Some(row) = row.filter(|row| !row.is_erased()) {
                    envelopes.push(Envelope::parse(row.envelope.as_bytes())?);
                }
            }
        }
        Ok(Affiliations::verify_all(&envelopes, &rules.organizations))
    }

    /// The affiliations of a grant's holder.
    pub(super) async fn affiliations_of_grant(
        &self,
        envelope: &Envelope,
        rules: &RulesInForce,
    ) -> Result<Affiliations, Error> {
        if !rules.depends_on_registrars() {
            return Ok(Affiliations::default());
        }
        let researcher = envelope.claim::<Grant>()?.predicate.researcher;
        self.affiliations([&researcher], rules).await
    }

    /// Whether the reader may see other people's affiliations: as a decider, a registrar, or a member of the same organization.
    pub(super) async fn may_read_affiliation(
        &self,
        row: &StatementRow,
        reader: KeyId,
        decides: bool,
    ) -> Result<bool, Error> {
        if decides {
            return Ok(true);
        }
        let organization = claim(row)?.organization;
        if self.view().await?.organizations_of(reader).contains(&organization) {
            return Ok(true);
        }
        Ok(self.own_organizations(reader).await?.contains(&organization))
    }

    /// The organizations to which the person has a confirmed affiliation now.
    async fn own_organizations(&self, person: KeyId) -> Result<BTreeSet<Label>, Error> {
        let newest = self.store.newest_of(Affiliation::KIND, person).await?;
        // A card names one organization, and a key has one card.
        let Some(row) = newest.filter(|row| !row.is_erased()) else { return Ok(BTreeSet::new()) };
        let said = claim(&row)?;
        let now = Timestamp::now();
        let stands = !said.is_withdrawal() && now < said.until;
        Ok(stands.then_some(said.organization).into_iter().collect())
    }

    /// Whether the reader may find any affiliations but their own.
    pub(super) async fn sees_affiliations(&self, reader: KeyId, decides: bool) -> Result<bool, Error> {
        let is_registrar = !self.view().await?.organizations_of(reader).is_empty();
        Ok(decides || is_registrar || self.store.newest_of(Affiliation::KIND, reader).await?.is_some())
    }
}

impl View {
    /// The registrars of each organization.
    pub(super) fn organizations(&self) -> &BTreeMap<Label, Quorum> {
        // The repository refuses unreadable files, so this is empty only without registrars.
        self.organizations.get_or_init(|| self.catalogue.organizations().unwrap_or_default())
    }

    /// The organizations that have this key as a registrar.
    pub(super) fn organizations_of(&self, key: KeyId) -> BTreeSet<Label> {
        let is_theirs = |registrars: &Quorum| registrars.keys().iter().any(|one| one.id() == key);
        let theirs = self.organizations().iter().filter(|(_, registrars)| is_theirs(registrars));
        theirs.map(|(name, _)| name.clone()).collect()
    }
}

fn claim(row: &StatementRow) -> Result<Affiliation, Error> {
    Ok(Envelope::parse(row.envelope.as_bytes())?.claim::<Affiliation>()?.predicate)
}
