//! What registrars say of people: taken in, looked up where somebody's organization is decided, and shown to whom it concerns.

use std::collections::{BTreeMap, BTreeSet};

use super::accept::{require_fresh, signer_of};
use super::index::Index;
use super::{Error, Registry, View};
use crate::access::{Affiliation, Affiliations, Grant, RulesInForce, verify_affiliation};
use crate::identity::{Card, KeyId};
use crate::log::{Entry, EntryKind};
use crate::name::Label;
use crate::statement::{Envelope, Predicate as _, Quorum};
use crate::store::{Filed, Filing, StatementRow};
use crate::time::Timestamp;

impl Registry {
    /// Takes in what a registrar says of a person; whether it is new. It must be later than what is here about the same person and
    /// organization: the last word counts, so none slips in behind another.
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
        for (_, row) in self.store.newest_about((Affiliation::KIND, about), 1).await? {
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
        // Whom it is about is nobody's to read in the log.
        let entry = Entry::new(EntryKind::Affiliation, now, digest).with_signer(signer);
        Ok(self.store.put(Filing::one(Filed { row, entry: Some(entry) })).await?)
    }

    /// What the present registrars said last of the people on these cards, as far as the rules look at it.
    ///
    /// # Errors
    /// [`Error::Store`]; [`Error::Statement`] if what is kept cannot be read.
    pub async fn affiliations<'a>(
        &self,
        cards: impl IntoIterator<Item = &'a Card>,
        rules: &RulesInForce,
    ) -> Result<Affiliations, Error> {
        let mut envelopes = Vec::new();
        if !rules.heeds_registrars() {
            return Ok(Affiliations::default());
        }
        for card in cards {
            let Some(registrars) = card.organization.as_ref().and_then(|name| rules.organizations.get(name))
            else {
                continue;
            };
            let Some(about) = Affiliation::id_of(card) else { continue };
            // The state, and no list: the last word of each, of whom there are few.
            for registrar in registrars.keys() {
                let row = self.store.newest_about_by((Affiliation::KIND, about), registrar.id()).await?;
                if let Some(row) = row.filter(|row| !row.is_erased()) {
                    envelopes.push(Envelope::parse(row.envelope.as_bytes())?);
                }
            }
        }
        Ok(Affiliations::among(&envelopes, &rules.organizations))
    }

    /// The same of the person to whom a grant is made out.
    pub(super) async fn affiliations_of_grant(
        &self,
        envelope: &Envelope,
        rules: &RulesInForce,
    ) -> Result<Affiliations, Error> {
        if !rules.heeds_registrars() {
            return Ok(Affiliations::default());
        }
        let researcher = envelope.claim::<Grant>()?.predicate.researcher;
        self.affiliations([&researcher], rules).await
    }

    /// Whether somebody may read what registrars said of others: they decide on requests, or are a registrar, or of the same organization.
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

    /// The organization to which a registrar says that somebody belongs now.
    async fn own_organizations(&self, person: KeyId) -> Result<BTreeSet<Label>, Error> {
        let newest = self.store.newest_of(Affiliation::KIND, person).await?;
        // A card names one organization, and a key has one card.
        let Some(row) = newest.filter(|row| !row.is_erased()) else { return Ok(BTreeSet::new()) };
        let said = claim(&row)?;
        let now = Timestamp::now();
        let stands = !said.withdraws() && now < said.until;
        Ok(stands.then_some(said.organization).into_iter().collect())
    }

    /// Whether somebody may find others than themselves among what registrars said.
    pub(super) async fn sees_affiliations(&self, reader: KeyId, decides: bool) -> Result<bool, Error> {
        let is_registrar = !self.view().await?.organizations_of(reader).is_empty();
        Ok(decides || is_registrar || self.store.newest_of(Affiliation::KIND, reader).await?.is_some())
    }
}

impl View {
    /// The registrars of each organization.
    pub(super) fn organizations(&self) -> &BTreeMap<Label, Quorum> {
        // The repository refuses a file that cannot be read, so an unreadable one names nobody here.
        self.organizations.get_or_init(|| self.catalogue.organizations().unwrap_or_default())
    }

    /// The organizations of which a key is a registrar's.
    pub(super) fn organizations_of(&self, key: KeyId) -> BTreeSet<Label> {
        let is_theirs = |registrars: &Quorum| registrars.keys().iter().any(|one| one.id() == key);
        let theirs = self.organizations().iter().filter(|(_, registrars)| is_theirs(registrars));
        theirs.map(|(name, _)| name.clone()).collect()
    }
}

fn claim(row: &StatementRow) -> Result<Affiliation, Error> {
    Ok(Envelope::parse(row.envelope.as_bytes())?.claim::<Affiliation>()?.predicate)
}
