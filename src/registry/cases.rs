//! Cases at the registry: openings by auditors, steps, and what a suspension stops.

use super::accept::Incoming;
use super::{Error, Registry};
use crate::access::{Grant, RulesInForce};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::log::{Entry, EntryKind};
use crate::misuse::{Case, CaseError, CaseStep, Standing, Step, verify_case, verify_step};
use crate::statement::{Envelope, Predicate as _};
use crate::store::{Filed, Filing, Page};
use crate::time::Timestamp;

impl Registry {
    /// Takes in a case that an auditor opens; whether it was new.
    pub(super) async fn accept_case(&self, incoming: &Incoming<'_>) -> Result<bool, Error> {
        let case = verify_case(incoming.envelope, incoming.rules)?;
        let grant = self.grant_and_revocations(case.predicate.grant).await?.0.claim::<Grant>()?.predicate;
        let holder = grant.researcher.verifying_key.id();
        if case.predicate.person != holder || grant.checkpoint != incoming.index.checkpoint {
            return Err(Error::Case(CaseError::NotTheirs {
                who: "whoever names another person than the grant's",
            }));
        }
        let signer = super::accept::signer_of(case.signers())?;
        let entry = Entry::new(EntryKind::Case, incoming.now, incoming.envelope.digest())
            .of(&incoming.index.checkpoint)
            .about(incoming.index.about)
            .by(signer);
        let filed = Filed { row: incoming.row(signer, holder), entry: Some(entry) };
        Ok(self.store.put(Filing::one(filed)).await?)
    }

    /// Takes in a step in a case; whether it was new.
    pub(super) async fn accept_step(&self, incoming: &Incoming<'_>) -> Result<bool, Error> {
        let digest = incoming.envelope.claim::<CaseStep>()?.predicate.case;
        let rows = self.store.statement(digest).await?;
        let row = rows.iter().find(|row| row.kind == Case::KIND);
        let row = row.ok_or(Error::Unknown { what: "case", digest })?;
        let person = self.person_of(row.about).await?;
        let step = verify_step(incoming.envelope, &person, incoming.rules)?;
        if matches!(step.step, Step::Appeal { .. }) && self.standing_of(digest).await?.outcome.is_none() {
            return Err(Error::Case(CaseError::Undecided));
        }
        let signer = super::accept::signer_of(step.signers())?;
        // What auditors note among themselves is not the person's to read.
        let holder = match step.step {
            Step::Assign { .. } | Step::Comment { .. } => signer,
            Step::Decide { .. } | Step::Appeal { .. } => row.holder,
        };
        let mut entry = Entry::new(EntryKind::Case, incoming.now, incoming.envelope.digest())
            .of(&incoming.index.checkpoint)
            .about(incoming.index.about);
        if !matches!(step.step, Step::Appeal { .. }) {
            entry = entry.by(signer);
        }
        let filed = Filed { row: incoming.row(signer, holder), entry: Some(entry) };
        Ok(self.store.put(Filing::one(filed)).await?)
    }

    async fn person_of(&self, grant: Option<Sha256Digest>) -> Result<VerifyingKey, Error> {
        let digest = grant.ok_or(Error::Unsigned)?;
        let grant = self.grant_and_revocations(digest).await?.0.claim::<Grant>()?;
        Ok(grant.predicate.researcher.verifying_key)
    }

    async fn standing_of(&self, case: Sha256Digest) -> Result<Standing, Error> {
        let rows = self.store.statements_about((CaseStep::KIND, case), Page::FIRST).await?;
        let mut steps = Vec::new();
        for (_, row) in rows.iter().filter(|(_, row)| !row.is_erased()) {
            steps.push(Envelope::parse(row.envelope.as_bytes())?.claim::<CaseStep>()?.predicate);
        }
        Ok(Standing::after(&steps))
    }

    /// Refuses a lease while a case suspends the grant.
    pub(super) async fn require_not_suspended(
        &self,
        grant: Sha256Digest,
        rules: &RulesInForce,
        now: Timestamp,
    ) -> Result<(), Error> {
        for (_, row) in self.store.statements_about((Case::KIND, grant), Page::FIRST).await? {
            if let Some(until) = self.standing_of(row.digest).await?.suspended_until(now) {
                return Err(Error::Suspended { case: row.digest, until, board: rules.contacts.clone() });
            }
        }
        Ok(())
    }
}
