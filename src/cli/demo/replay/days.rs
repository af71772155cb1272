//! What happens on each day: stages are entered, people ask, the board decides, texts are generated, cases are reviewed.

use std::collections::BTreeSet;

use rand::rngs::ChaCha20Rng;
use rand::{RngExt as _, SeedableRng as _};

use super::super::super::output::Output;
use super::cast::{self, Cast, HOUSE, PARTNERS, Researcher, Terms};
use super::stage::{RELEASES, World};
use crate::access::{Denial, Grant, Request, Revocation, RulesInForce, draft_grants, verify_request};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::misuse::{Case, CaseStep, Outcome, Step};
use crate::name::CheckpointId;
use crate::policy::Stage;
use crate::registry::{Slice, StatementQuery};
use crate::statement::{Envelope, Predicate as _, Statement, Subject};
use crate::store::RequestState;
use crate::time::Timestamp;

/// A request that waits for the board.
struct PendingRequest {
    due: Timestamp,
    envelope: Envelope,
}

/// A grant with its holder.
struct HeldGrant {
    person: KeyId,
    checkpoint: CheckpointId,
    grant: Sha256Digest,
    expires: Timestamp,
    /// One in so many days brings a session.
    every: u32,
}

/// Days, one after another.
pub(super) struct Days {
    random: ChaCha20Rng,
    cast: Cast,
    pending: Vec<PendingRequest>,
    grants: Vec<HeldGrant>,
    reviewed: BTreeSet<Sha256Digest>,
    counts: Counts,
}

/// What happened so far.
#[derive(Debug, Default)]
struct Counts {
    requests: u64,
    grants: u64,
    denials: u64,
    sessions: u64,
    refused: u64,
    cases: u64,
    revoked: u64,
}

impl Days {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            random: ChaCha20Rng::seed_from_u64(seed),
            cast: Cast::new(),
            pending: Vec::new(),
            grants: Vec::new(),
            reviewed: BTreeSet::new(),
            counts: Counts::default(),
        }
    }

    /// In one line, what happened so far.
    pub(super) fn summary(&self) -> String {
        let Counts { requests, grants, denials, sessions, refused, cases, revoked } = self.counts;
        format!(
            "{} people, {requests} requests, {grants} grants, {denials} denials, {sessions} sessions, {refused} leases refused, {cases} cases, {revoked} grants revoked",
            self.cast.len()
        )
    }

    pub(super) async fn simulate(
        &mut self,
        world: &mut World,
        now: Timestamp,
        output: Output,
    ) -> anyhow::Result<()> {
        for release in &RELEASES {
            for (stage, day) in release.stages {
                if *day == now.date() {
                    world.enter(release, stage, now).await?;
                    output.piece(format_args!("  {day}  {} enters stage `{stage}`\n", release.id))?;
                }
            }
        }
        // The timestamp is good for fourteen days.
        world.registry.renew().await?;
        self.ask(world, now).await?;
        self.decide(world, now).await?;
        self.generate(world, now).await?;
        self.review(world, now).await
    }

    /// New people come, and ask for what is there.
    async fn ask(&mut self, world: &World, now: Timestamp) -> anyhow::Result<()> {
        for release in &RELEASES {
            let id: CheckpointId = release.id.parse()?;
            let Some(rules) = world.rules(&id).await else { continue };
            let stage = rules.policy.stage(&rules.stage).cloned();
            let Some(stage) = stage else { continue };
            let (comes, organization) = match (stage.is_public(), rules.stage.as_str()) {
                (true, _) => (self.random.random_ratio(2, 5), None),
                (false, "internal") => (self.random.random_ratio(1, 25), Some(HOUSE)),
                (false, _) => {
                    let partner = PARTNERS[self.random.random_range(0..PARTNERS.len())];
                    (self.random.random_ratio(1, 4), Some(partner))
                }
            };
            if comes {
                let person = Researcher::new(organization, now, &mut self.random)?;
                let id = person.id();
                world.confirm(person.identity.card(), now).await?;
                self.cast.insert(id, person);
                self.request(world, id, &rules, &stage, now).await?;
            }
        }
        Ok(())
    }

    async fn request(
        &mut self,
        world: &World,
        person: KeyId,
        rules: &RulesInForce,
        stage: &Stage,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let subject = Subject { name: rules.checkpoint.to_string(), digest: rules.manifest };
        let researcher = cast::find(&mut self.cast, person)?;
        let wanted = stage.uses.len().min(self.random.random_range(1..3));
        let max = stage.limits.max_days.unwrap_or(365);
        let request = Request {
            checkpoint: rules.checkpoint.clone(),
            purpose: "How well can its text be told from people's?".parse()?,
            uses: stage.uses.iter().take(wanted).cloned().collect(),
            days: max.min([30, 60, 90, 180][self.random.random_range(0..4)]),
            agreement: stage.agreement.as_ref().and(rules.agreement),
            renews: None,
            card: researcher.identity.card().clone(),
            members: Vec::new(),
            created: now,
        };
        let envelope = researcher.request(world.catalogue()?, request, subject)?;
        world.registry.accept(&envelope, now).await?;
        self.counts.requests += 1;
        if stage.approvals.is_empty() {
            // The registry has answered.
            self.hold(world, &envelope, 30, now).await?;
        } else {
            let due = now.plus_days(self.random.random_range(1..10));
            self.pending.push(PendingRequest { due, envelope });
        }
        Ok(())
    }

    /// Notes the grants that answer a request.
    async fn hold(
        &mut self,
        world: &World,
        request: &Envelope,
        every: u32,
        now: Timestamp,
    ) -> anyhow::Result<()> {
        let rows = world.registry.store().grants_that_answer(request.digest()).await?;
        let digests: BTreeSet<_> = rows.iter().map(|row| row.digest).collect();
        for row in rows.iter().filter(|row| digests.contains(&row.digest)).take(1) {
            let grant = Envelope::parse(row.envelope.as_bytes())?.claim::<Grant>()?.predicate;
            self.counts.grants += 1;
            self.grants.push(HeldGrant {
                person: row.holder,
                checkpoint: grant.checkpoint,
                grant: row.digest,
                expires: grant.expires.max(now),
                every,
            });
        }
        Ok(())
    }

    /// The board decides what is due: one in seven it denies.
    async fn decide(&mut self, world: &World, now: Timestamp) -> anyhow::Result<()> {
        let (due, pending) = std::mem::take(&mut self.pending)
            .into_iter()
            .partition(|pending: &PendingRequest| pending.due <= now);
        self.pending = pending;
        for PendingRequest { envelope, .. } in due {
            let request = verify_request(&envelope, world.catalogue()?)?;
            let Some(rules) = world.rules(&request.predicate.checkpoint).await else { continue };
            let standing = world.registry.store().request(request.digest()).await?;
            if standing.is_some_and(|row| row.state != RequestState::Pending) {
                // The stage became public meanwhile, and the registry answered.
                self.hold(world, &envelope, 30, now).await?;
                continue;
            }
            let subject = Subject { name: rules.checkpoint.to_string(), digest: rules.manifest };
            if self.random.random_ratio(1, 7) {
                let reason = "The purpose does not fit what the stage is for".parse()?;
                let denial = Denial { request: request.digest(), reason, created: now };
                let denial =
                    Statement::new(world.catalogue()?, subject, denial).sign(&*world.board[2].signer)?;
                world.registry.accept(&denial, now).await?;
                self.counts.denials += 1;
                continue;
            }
            // A stage that was entered meanwhile may want another request.
            let affiliations = world.affiliations(&request.predicate.card, &rules).await?;
            let Ok(drafts) = draft_grants(&request, &rules, &affiliations, now) else { continue };
            for draft in drafts {
                for member in &world.board[..2] {
                    let mut grant = draft.to_envelope()?;
                    grant.sign(&*member.signer)?;
                    let to = &draft.predicate.researcher.sealing_key;
                    let share = world.approval_share(
                        &rules.checkpoint,
                        subject.clone(),
                        grant.digest(),
                        to,
                        member,
                    )?;
                    world.registry.accept(&share, now).await?;
                    if world.registry.accept(&grant, now).await.is_err() {
                        break;
                    }
                }
            }
            self.hold(world, &envelope, 8, now).await?;
        }
        Ok(())
    }

    /// Those who have something to do today lease, generate and sync.
    async fn generate(&mut self, world: &World, now: Timestamp) -> anyhow::Result<()> {
        self.grants.retain(|grants| grants.expires > now);
        for place in 0..self.grants.len() {
            let HeldGrant { person, grant, every, .. } = self.grants[place];
            if !self.random.random_ratio(1, every) {
                continue;
            }
            let checkpoint = self.grants[place].checkpoint.clone();
            let Some(rules) = world.rules(&checkpoint).await else { continue };
            let researcher = cast::find(&mut self.cast, person)?;
            let journal = researcher.journal();
            let Ok(lease) = world.registry.lease(grant, person, Some(&journal), now).await else {
                self.counts.refused += 1;
                continue;
            };
            let rows = world.registry.store().statement(grant).await?;
            let stage = rows.first().map(|row| Envelope::parse(row.envelope.as_bytes())).transpose()?;
            let stage =
                stage.map(|grant| grant.claim::<Grant>()).transpose()?.map(|grant| grant.predicate.stage);
            let mode = stage.and_then(|stage| rules.policy.stage(&stage)).map(|stage| stage.limits.usage);
            let Some(mode) = mode else { continue };
            let terms = Terms {
                catalogue: world.catalogue()?,
                checkpoint: &checkpoint,
                grant,
                lease: lease.digest(),
                mode,
            };
            let batch = researcher.session(&terms, &world.auditor.identity, now, &mut self.random)?;
            world.registry.accept(&batch, now).await?;
            self.counts.sessions += 1;
        }
        Ok(())
    }

    /// The auditor looks at the cases once a week.
    async fn review(&mut self, world: &World, now: Timestamp) -> anyhow::Result<()> {
        if now.unix_seconds() / (24 * 3600) % 7 != 0 {
            return Ok(());
        }
        let auditor = world.auditor.identity.card().verifying_key.id();
        let query = StatementQuery { kind: Case::KIND.to_owned(), ..StatementQuery::default() };
        for row in world.registry.statements(&query, Slice::FIRST, auditor).await?.into_inner().items {
            if !self.reviewed.insert(row.digest) {
                continue;
            }
            self.counts.cases += 1;
            let case = Envelope::parse(row.envelope.as_bytes())?.claim::<Case>()?;
            let (outcome, reason, until) = match self.random.random_range(0..20) {
                0..11 => (Outcome::NoFinding, "A test of a detector, as granted", None),
                11..16 => (Outcome::Warn, "Say in the purpose what such prompts are for", None),
                16..18 => (Outcome::Suspend, "Until the purpose is explained", Some(now.plus_days(14))),
                _ => (Outcome::Revoke, "Not in the granted uses", None),
            };
            if outcome == Outcome::Revoke {
                let revocation =
                    Revocation { grant: case.predicate.grant, reason: reason.parse()?, created: now };
                let revocation = Statement::new(world.catalogue()?, case.subject.clone(), revocation)
                    .sign(&*world.auditor.signer)?;
                world.registry.accept(&revocation, now).await?;
                self.counts.revoked += 1;
            }
            let step = CaseStep {
                case: row.digest,
                step: Step::Decide { outcome, reason: reason.parse()?, until },
                created: now,
            };
            let step = Statement::new(world.catalogue()?, case.subject, step).sign(&*world.auditor.signer)?;
            world.registry.accept(&step, now).await?;
        }
        Ok(())
    }
}
