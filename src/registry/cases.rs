//! Cases at the registry: openings by auditors, and steps.

use super::accept::Incoming;
use super::sanctions::change_by;
use super::{Error, Registry};
use crate::access::Grant;
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::log::{Entry, EntryKind};
use crate::misuse::{CaseError, Step, verify_case, verify_step};
use crate::store::{Filed, Filing, SanctionChange, SanctionedGrant};

impl Registry {
    /// Takes in a case that an auditor opens; whether it was new.
    pub(super) async fn accept_case(&self, incoming: &Incoming<'_>) -> Result<bool, Error> {
        let case = verify_case(incoming.envelope, incoming.rules)?;
        let statement = incoming.envelope.digest();
        if self.store.case(statement).await?.is_some() {
            return Ok(false);
        }
        let grant = self.grant(case.predicate.grant).await?.claim::<Grant>()?.predicate;
        self.require_stood(case.predicate.grant, &grant).await?;
        let holder = grant.researcher.verifying_key.id();
        if case.predicate.person != holder {
            return Err(Error::Case(CaseError::NotTheirs {
                who: "whoever names another person than the grant's",
            }));
        }
        let rules: Vec<String> = case.predicate.rules.iter().map(ToString::to_string).collect();
        self.require_none_open(case.predicate.grant, &rules).await?;
        let signer = super::accept::signer_of(case.signers())?;
        let entry = Entry::new(EntryKind::Case, incoming.now, statement)
            .with_checkpoint(&incoming.index.checkpoint)
            .with_about(incoming.index.about)
            .with_signer(signer);
        let filed = Filed { row: incoming.row(signer, holder), entry: Some(entry) };
        let grant =
            SanctionedGrant { grant: case.predicate.grant, holder, checkpoint: grant.checkpoint.clone() };
        let opened = SanctionChange::CaseOpened { statement, grant, rules, at: incoming.now };
        self.file(Filing::one(filed).with_sanction(opened)).await
    }

    /// There is one open case a grant and rule; of those that are opened by hand, one a grant.
    async fn require_none_open(&self, grant: Sha256Digest, rules: &[String]) -> Result<(), Error> {
        let by_hand = [String::new()];
        for rule in if rules.is_empty() { &by_hand } else { rules } {
            if let Some(case) = self.store.open_case(grant, rule).await? {
                return Err(Error::Case(CaseError::AlreadyOpen { case }));
            }
        }
        Ok(())
    }

    /// Takes in a step in a case; whether it was new.
    pub(super) async fn accept_step(&self, incoming: &Incoming<'_>) -> Result<bool, Error> {
        let digest = incoming.index.about.ok_or(Error::Unsigned)?;
        let case = self.store.case(digest).await?.ok_or(Error::Unknown { what: "case", digest })?;
        let person = self.person_of(case.grant.grant).await?;
        let step = verify_step(incoming.envelope, &person, incoming.rules)?;
        if !self.store.statement(incoming.envelope.digest()).await?.is_empty() {
            return Ok(false);
        }
        if matches!(step.step, Step::Appeal { .. }) {
            match case.outcome {
                None => return Err(Error::Case(CaseError::Undecided)),
                Some(_) if case.is_appealed => return Err(Error::Case(CaseError::AlreadyAppealed)),
                Some(_) => {}
            }
        }
        let signer = super::accept::signer_of(step.signers())?;
        // What auditors note among themselves is not the person's to read.
        let holder = match step.step {
            Step::Assign { .. } | Step::Comment { .. } => signer,
            Step::Decide { .. } | Step::Appeal { .. } => case.grant.holder,
        };
        let mut entry = Entry::new(EntryKind::Case, incoming.now, incoming.envelope.digest())
            .with_checkpoint(&incoming.index.checkpoint)
            .with_about(incoming.index.about);
        if !matches!(step.step, Step::Appeal { .. }) {
            entry = entry.with_signer(signer);
        }
        let mut filing = Filing::one(Filed { row: incoming.row(signer, holder), entry: Some(entry) });
        filing.sanctions.extend(change_by(&step, incoming.now));
        let new = self.file(filing).await?;
        if matches!(step.step, Step::Decide { .. }) {
            // Who decided was not shown what came in meanwhile.
            self.raise_later(case.grant.grant, incoming.now).await?;
        }
        Ok(new)
    }

    async fn person_of(&self, grant: Sha256Digest) -> Result<VerifyingKey, Error> {
        let grant = self.grant(grant).await?.claim::<Grant>()?;
        Ok(grant.predicate.researcher.verifying_key)
    }
}
