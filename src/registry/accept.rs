//! Taking in statements: each is its own proof, checked as every client checks it, before it is kept.

use std::collections::BTreeSet;

use super::index::{Index, index};
use super::intake::{Standing, Weighed};
use super::{AnswerTerms, Error, Registry, answer_request, answers_itself};
use crate::access::{
    self, Affiliation, CLOCK_TOLERANCE, Denial, Grant, Request, Revocation, RulesInForce, Withdrawal,
    draft_grants, verify_denial, verify_handover, verify_request, verify_revocation, verify_withdrawal,
};
use crate::digest::Sha256Digest;
use crate::identity::{KeyId, VerifyingKey};
use crate::log::{Entry, EntryKind};
use crate::misuse::{Case, CaseStep};
use crate::statement::{Envelope, Predicate as _, Statement, Verified};
use crate::store::{
    self, Effect, Filed, Filing, IntakeRefusal, Page, RequestFilter, RequestState, SanctionChange,
    SanctionedGrant, StatementRow,
};
use crate::time::Timestamp;
use crate::usage::{JournalDeclaration, UsageBatch};

/// How often a grant's signatures are merged with others that come in meanwhile.
const TRIES: usize = 20;

/// What became of a statement that was handed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// Its digest.
    pub digest: Sha256Digest,
    /// Its kind.
    pub kind: &'static str,
    /// Whether it was not known before.
    pub new: bool,
    /// How the request that it bears on stands now.
    pub state: Option<RequestState>,
    /// The pending request that asks for the same, in whose place this one is not kept.
    pub same_as: Option<Sha256Digest>,
}

/// One statement on its way in.
pub(super) struct Incoming<'a> {
    pub(super) envelope: &'a Envelope,
    pub(super) index: Index,
    pub(super) standing: Standing,
    pub(super) network: Option<Vec<u8>>,
    pub(super) rules: &'a RulesInForce,
    pub(super) now: Timestamp,
}

impl Incoming<'_> {
    pub(super) fn row(&self, signer: KeyId, holder: KeyId) -> StatementRow {
        StatementRow {
            digest: self.envelope.digest(),
            signer,
            kind: self.index.kind.to_owned(),
            checkpoint: self.index.checkpoint.clone(),
            about: self.index.about,
            holder,
            envelope: self.envelope.to_json(),
            received: self.now,
        }
    }

    /// The statement with its entry of the log; of what a member signed, the entry names them, whose keys are public.
    fn filed(&self, signer: KeyId, holder: KeyId) -> Filed {
        let row = self.row(signer, holder);
        Filed { entry: entry_of(&row), row }
    }

    /// The entry that says that a grant has all its approvals.
    pub(super) fn stands(&self) -> Entry {
        Entry::new(EntryKind::Grant, self.now, self.envelope.digest())
            .with_checkpoint(&self.index.checkpoint)
            .with_about(self.index.about)
    }
}

impl Registry {
    /// Takes in a statement of any kind that people hand in; one that is here already changes nothing.
    ///
    /// # Errors
    /// [`Error::Access`] with the rule that refuses it, [`Error::Unknown`] where it is about something that is not here,
    /// [`Error::NotForPeople`] for what only the registry makes.
    pub async fn accept(&self, envelope: &Envelope, now: Timestamp) -> Result<Receipt, Error> {
        let weighed = self.weigh(envelope).await?;
        self.accept_weighed(envelope, weighed, now).await
    }

    /// Takes in a statement that was weighed.
    ///
    /// # Errors
    /// Those of [`Self::accept`].
    pub async fn accept_weighed(
        &self,
        envelope: &Envelope,
        Weighed { index, standing, author, network, .. }: Weighed,
        now: Timestamp,
    ) -> Result<Receipt, Error> {
        let view = self.view().await?;
        let receipt =
            |kind, new, state| Receipt { digest: envelope.digest(), kind, new, state, same_as: None };
        if index.kind == UsageBatch::KIND {
            let person = author.filter(|_| standing != Standing::Named);
            if let Some(person) = person {
                self.require_room_for_usage(person, standing, now).await?;
            }
            let new = self.accept_usage(envelope, now).await?;
            if let Some(person) = person.filter(|_| new) {
                self.store.count_usage(person, envelope.payload().len() as u64, now).await?;
            }
            return Ok(receipt(UsageBatch::KIND, new, None));
        }
        if index.kind == JournalDeclaration::KIND {
            let new = self.accept_declaration(envelope, now).await?;
            return Ok(receipt(JournalDeclaration::KIND, new, None));
        }
        if index.kind == Affiliation::KIND {
            let new = self.accept_affiliation(envelope, &index, now).await?;
            return Ok(receipt(Affiliation::KIND, new, None));
        }
        let rules = view.rules(&self.checkpoint_referred_to(&index).await?)?;
        let incoming = Incoming { envelope, index, standing, network, rules: &rules, now };
        let (new, state) = match incoming.index.kind {
            Request::KIND => match self.accept_request(&incoming).await {
                Err(Error::Store(store::Error::Intake(IntakeRefusal::Repeated { request }))) => {
                    let repeated = receipt(Request::KIND, false, Some(RequestState::Pending));
                    return Ok(Receipt { same_as: Some(request), ..repeated });
                }
                taken => taken?,
            },
            Withdrawal::KIND => self.accept_withdrawal(&incoming).await?,
            Denial::KIND => self.accept_denial(&incoming).await?,
            Grant::KIND => self.accept_grant(&incoming).await?,
            access::ApprovalShare::KIND => (self.accept_share(&incoming).await?, None),
            Revocation::KIND => self.accept_revocation(&incoming).await?,
            access::Handover::KIND => (self.accept_handover(&incoming).await?, None),
            Case::KIND => (self.accept_case(&incoming).await?, None),
            CaseStep::KIND => (self.accept_step(&incoming).await?, None),
            kind => return Err(Error::NotForPeople { kind: kind.to_owned() }),
        };
        Ok(receipt(incoming.index.kind, new, state))
    }

    async fn accept_request(&self, incoming: &Incoming<'_>) -> Result<(bool, Option<RequestState>), Error> {
        let request = verify_request(incoming.envelope, incoming.rules.catalogue)?;
        if let Some(known) = self.store.request(request.digest()).await? {
            return Ok((false, Some(known.state)));
        }
        require_fresh(request.predicate.created, incoming.now)?;
        // Answered at once where no approval could ever permit it.
        let holders = request.predicate.holders()?;
        let affiliations = self.affiliations(&holders, incoming.rules).await?;
        draft_grants(&request, incoming.rules, &affiliations, incoming.now)?;
        if answers_itself(incoming.rules) {
            self.require_answerable(&request.predicate, incoming.rules, incoming.now).await?;
        }
        let asks = request.predicate.card.verifying_key.id();
        if let Some(earlier) = request.predicate.renews {
            let known = self.store.request(earlier).await?;
            known
                .filter(|known| known.holder == asks)
                .ok_or(Error::Unknown { what: "request", digest: earlier })?;
        }
        let intake = self.intake_of(&request, incoming.standing, incoming.network.as_deref()).await?;
        let (stage, renews) = (incoming.rules.stage.to_string(), request.predicate.renews);
        let effect = Effect::Opens { stage, renews, intake };
        let new = self.file(Filing::one(incoming.filed(asks, asks)).with(effect)).await?;
        if answers_itself(incoming.rules) && self.answer(&request, incoming).await? {
            return Ok((new, Some(RequestState::Granted)));
        }
        Ok((new, Some(RequestState::Pending)))
    }

    /// Answers a request of a stage that needs no approval; `false` where the board has not handed its lock over yet.
    async fn answer(
        &self,
        request: &Verified<Statement<Request>>,
        incoming: &Incoming<'_>,
    ) -> Result<bool, Error> {
        let rules = incoming.rules;
        let handovers = self.handovers(rules).await?;
        let locks = match self.locks(rules).await {
            Err(Error::NotSealed { .. }) => return Ok(false),
            locks => locks?,
        };
        let affiliations = self.affiliations(&request.predicate.holders()?, rules).await?;
        let terms = AnswerTerms { rules, locks: &locks, handovers: &handovers, affiliations: &affiliations };
        let answers = match answer_request(request, &terms, self.keys(), incoming.now) {
            Err(Error::TooFewHandovers { .. }) => return Ok(false),
            answers => answers?,
        };
        let (mut statements, mut entries) = (Vec::new(), Vec::new());
        for answer in &answers {
            let holder = answer.grant.claim::<Grant>()?.predicate.researcher.verifying_key.id();
            for envelope in answer.shares.iter().chain([&answer.grant]) {
                let index = index(envelope)?;
                let standing = Standing::Named;
                let answer = Incoming { envelope, index, standing, network: None, rules, now: incoming.now };
                statements.push(answer.filed(self.key_id(), holder));
                if answer.index.kind == Grant::KIND {
                    entries.push(answer.stands());
                }
            }
        }
        let effect = Effect::Changes {
            request: request.digest(),
            state: RequestState::Granted,
            note: format!("by the policy of stage `{}`", rules.stage),
        };
        let sanctions = Vec::new();
        let charge = None;
        let filing = Filing { statements, effect, entries, usage: None, expected: None, sanctions, charge };
        self.file(filing).await?;
        Ok(true)
    }

    async fn accept_withdrawal(
        &self,
        incoming: &Incoming<'_>,
    ) -> Result<(bool, Option<RequestState>), Error> {
        let request = self.request_about(incoming).await?;
        verify_withdrawal(incoming.envelope, &request)?;
        // A request is taken back once: whoever says it again, with another date, is not recorded again.
        let known = self.store.request(request.digest()).await?.map(|known| known.state);
        if known == Some(RequestState::Withdrawn) {
            return Ok((false, known));
        }
        if let Some(known) = self.require_open(incoming, request.digest(), RequestState::Withdrawn).await? {
            return Ok((false, Some(known)));
        }
        let holder = request.predicate.card.verifying_key.id();
        let state = RequestState::Withdrawn;
        let effect = Effect::Changes { request: request.digest(), state, note: String::new() };
        let filing = Filing::one(incoming.filed(holder, holder)).with(effect);
        Ok((self.file(filing).await?, Some(state)))
    }

    async fn accept_denial(&self, incoming: &Incoming<'_>) -> Result<(bool, Option<RequestState>), Error> {
        let request = self.request_about(incoming).await?;
        let denial = verify_denial(incoming.envelope, request.digest(), incoming.rules)?;
        if let Some(known) = self.require_open(incoming, request.digest(), RequestState::Denied).await? {
            return Ok((false, Some(known)));
        }
        require_fresh(denial.created, incoming.now)?;
        let holder = request.predicate.card.verifying_key.id();
        let state = RequestState::Denied;
        let note = denial.reason.as_str().to_owned();
        let effect = Effect::Changes { request: request.digest(), state, note };
        let signer = signer_of(denial.signers())?;
        let filing = Filing::one(incoming.filed(signer, holder)).with(effect);
        Ok((self.file(filing).await?, Some(state)))
    }

    async fn accept_grant(&self, incoming: &Incoming<'_>) -> Result<(bool, Option<RequestState>), Error> {
        let (envelope, rules) = (incoming.envelope, incoming.rules);
        let request = self.request_about(incoming).await?;
        let claim = envelope.claim::<Grant>()?;
        // What the board signs is what the rules and the request make of it, to the letter.
        let affiliations = self.affiliations(&request.predicate.holders()?, rules).await?;
        if !draft_grants(&request, rules, &affiliations, claim.predicate.issued)?.contains(&claim) {
            return Err(Error::NotTheDraft);
        }
        let signers: Vec<_> =
            rules.boards.values().chain([&rules.board]).flat_map(|board| envelope.signers(board)).collect();
        if signers.is_empty() {
            return Err(Error::NoMember { checkpoint: rules.checkpoint.clone() });
        }
        if request.predicate.holders()?.iter().any(|holder| signers.contains(&holder.verifying_key)) {
            return Err(Error::OwnRequest);
        }
        let holder = claim.predicate.researcher.verifying_key.id();
        // Of each copy only the boards' signatures that hold are kept: others could crowd out those that are to come.
        let statements: Vec<_> = signers
            .iter()
            .map(|signer| {
                let mut filed = incoming.filed(signer.id(), holder);
                filed.row.envelope = envelope.with_signatures_by(&rules.deciders()).to_json();
                filed
            })
            .collect();
        // Another member's signature may come in meanwhile.
        for _ in 0..TRIES {
            let answers = self.store.grants_that_answer(request.digest()).await?;
            let known: Vec<_> =
                answers.iter().filter(|row| row.digest == envelope.digest()).cloned().collect();
            if statements.iter().all(|filed| known.iter().any(|known| known.signer == filed.row.signer)) {
                let state = self.store.request(request.digest()).await?.map(|request| request.state);
                return Ok((false, state));
            }
            let (effect, entries) = self.effect_of_grant(incoming, &request, &known).await?;
            let stands = effect != Effect::None;
            let expected = Some((request.digest(), answers.len()));
            let statements = statements.clone();
            let sanctions = Vec::new();
            let filing =
                Filing { statements, effect, entries, usage: None, expected, sanctions, charge: None };
            if self.file(filing).await? {
                return Ok((true, Some(if stands { RequestState::Granted } else { RequestState::Pending })));
            }
        }
        Err(Error::Busy)
    }

    /// A share may come before the grant that its member signs; whose it is, the grant tells.
    async fn accept_share(&self, incoming: &Incoming<'_>) -> Result<bool, Error> {
        let board = &incoming.rules.board;
        let member = board.with_threshold_one();
        let share = incoming.envelope.statement::<access::ApprovalShare>(&member)?;
        if share.subject.digest != incoming.rules.manifest {
            let (found, in_force) = (share.subject.digest, incoming.rules.manifest);
            return Err(access::Error::OtherManifest { found, in_force }.into());
        }
        let signer = signer_of(share.signers())?;
        self.file(Filing::one(incoming.filed(signer, signer))).await
    }

    async fn accept_revocation(
        &self,
        incoming: &Incoming<'_>,
    ) -> Result<(bool, Option<RequestState>), Error> {
        let revocation = verify_revocation(incoming.envelope, incoming.rules)?;
        require_fresh(revocation.created, incoming.now)?;
        let claim = self.grant(revocation.grant).await?.claim::<Grant>()?.predicate;
        self.require_stood(revocation.grant, &claim).await?;
        let mut others = self.holders_with_grants(claim.request, incoming).await?;
        others.remove(&claim.researcher.verifying_key.id());
        let (state, note) = if others.is_empty() {
            (RequestState::Ended, revocation.reason.as_str().to_owned())
        } else {
            let note = format!("but no longer for {}: {}", claim.researcher.name, revocation.reason);
            (RequestState::Granted, note)
        };
        let effect = Effect::Changes { request: claim.request, state, note };
        let holder = claim.researcher.verifying_key.id();
        let filed = incoming.filed(signer_of(revocation.signers())?, holder);
        let grant = SanctionedGrant { grant: revocation.grant, holder, checkpoint: claim.checkpoint };
        let statement = incoming.envelope.digest();
        // A grant whose signer's clock ran ahead ends as well.
        let at = incoming.now.max(claim.issued);
        let revoked = SanctionChange::Revoked { statement, grant, at };
        let filing = Filing::one(filed).with(effect).with_sanction(revoked);
        Ok((self.file(filing).await?, Some(state)))
    }

    async fn accept_handover(&self, incoming: &Incoming<'_>) -> Result<bool, Error> {
        let rules = incoming.rules;
        let locks = self.locks(rules).await?;
        let handover = verify_handover(incoming.envelope, (rules, &locks.manifest))?;
        let signer = signer_of(handover.signers())?;
        let new = self.file(Filing::one(incoming.filed(signer, signer))).await?;
        if answers_itself(rules) {
            self.answer_waiting(incoming).await?;
        }
        Ok(new)
    }

    /// Answers every request that waits for the registry, the oldest first.
    async fn answer_waiting(&self, incoming: &Incoming<'_>) -> Result<(), Error> {
        let waiting = RequestFilter::Queue(incoming.rules.checkpoint.clone(), RequestState::Pending);
        let mut page = Page::FIRST;
        loop {
            let rows = self.store.requests(&waiting, page).await?;
            let Some(last) = rows.last() else { return Ok(()) };
            page.after = last.seq;
            for row in &rows {
                let request = self.request(row.digest).await?;
                let may = self.require_answerable(&request.predicate, incoming.rules, incoming.now).await;
                match may {
                    Err(Error::Access(_) | Error::Suspended { .. }) => continue,
                    may => may?,
                }
                match self.answer(&request, incoming).await {
                    // One that the rules of today refuse keeps nobody else waiting.
                    Err(Error::Access(_)) => {}
                    answered => {
                        if !answered? {
                            return Ok(());
                        }
                    }
                }
            }
        }
    }

    /// Refuses to change a request that stands otherwise already; its state where this very statement did it before.
    async fn require_open(
        &self,
        incoming: &Incoming<'_>,
        request: Sha256Digest,
        wanted: RequestState,
    ) -> Result<Option<RequestState>, Error> {
        let state = self.store.request(request).await?.map(|row| row.state);
        let is_known = !self.store.statement(incoming.envelope.digest()).await?.is_empty();
        match state {
            Some(state) if is_known => Ok(Some(state)),
            Some(state) if state != RequestState::Pending && state != wanted => {
                Err(Error::Over { request, state })
            }
            _ => Ok(None),
        }
    }

    async fn request_about(&self, incoming: &Incoming<'_>) -> Result<Verified<Statement<Request>>, Error> {
        let digest = incoming.index.about.unwrap_or_else(|| incoming.envelope.digest());
        self.request(digest).await
    }

    pub(super) async fn request(&self, digest: Sha256Digest) -> Result<Verified<Statement<Request>>, Error> {
        let rows = self.store.statement(digest).await?;
        let row = rows.iter().find(|row| !row.is_erased());
        let row = row.ok_or(Error::Unknown { what: "request", digest })?;
        let catalogue = self.view().await?.catalogue.id();
        Ok(verify_request(&Envelope::parse(row.envelope.as_bytes())?, catalogue)?)
    }

    /// The newest handover of each member of the board.
    pub(super) async fn handovers(&self, rules: &RulesInForce) -> Result<Vec<Envelope>, Error> {
        let mut handovers = Vec::new();
        for member in rules.board.keys() {
            let kind = access::Handover::KIND;
            let row = self.store.newest_by(kind, &rules.checkpoint, member.id()).await?;
            if let Some(row) = row.filter(|row| !row.is_erased()) {
                handovers.push(Envelope::parse(row.envelope.as_bytes())?);
            }
        }
        Ok(handovers)
    }
}

/// The entry of the log that records a statement of access; a share has none, being part of a grant.
pub(super) fn entry_of(row: &StatementRow) -> Option<Entry> {
    let entry = |kind| {
        Entry::new(kind, row.received, row.digest).with_checkpoint(&row.checkpoint).with_about(row.about)
    };
    match row.kind.as_str() {
        Request::KIND => Some(entry(EntryKind::Request)),
        Withdrawal::KIND => Some(entry(EntryKind::Withdrawal)),
        Denial::KIND => Some(entry(EntryKind::Denial).with_signer(row.signer)),
        Grant::KIND => Some(entry(EntryKind::Approval).with_signer(row.signer)),
        Revocation::KIND => Some(entry(EntryKind::Revocation).with_signer(row.signer)),
        access::Handover::KIND => Some(entry(EntryKind::Handover).with_signer(row.signer)),
        access::Lease::KIND => Some(entry(EntryKind::Lease)),
        _ => None,
    }
}

/// The one who signed a statement that one signature carries; of several, the first.
pub(super) fn signer_of(signers: &BTreeSet<VerifyingKey>) -> Result<KeyId, Error> {
    signers.first().map(VerifyingKey::id).ok_or(Error::Unsigned)
}

/// Refuses what was dated long ago, or in the future: an old statement that was kept back must not surprise anybody.
pub(super) fn require_fresh(created: Timestamp, now: Timestamp) -> Result<(), Error> {
    if now.seconds_since(created).abs() <= CLOCK_TOLERANCE {
        return Ok(());
    }
    Err(Error::Clock { created, now })
}
