//! The registry of the replay: founded, filled with stand-ins, and moved from stage to stage as in 2019.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::Context as _;

use super::super::embedded::{CHECKPOINTS, MISUSE_RULES};
use super::super::people::People;
use super::cast::{HOUSE, PARTNERS as ORGANIZATIONS};
use crate::access::{Affiliation, Affiliations, ApprovalShare, Handover, RulesInForce, handover_context};
use crate::blob::Blobs;
use crate::catalogue::{
    AUDITORS, BoardPlan, CheckpointFile, Days, Founding, Proposer, Repository, StageTarget, TargetPath,
};
use crate::checkpoint::{self, ImportRequest, ImportSource};
use crate::digest::Sha256Digest;
use crate::identity::{Card, Identity, IdentityFile, Signer};
use crate::name::{CheckpointId, Label};
use crate::progress::NoProgress;
use crate::registry::Registry;
use crate::seal::{
    self, ChunkSize, Locks, Recipient, Recipients, SealRequest, reseal_share, seal_checkpoint,
};
use crate::statement::{CatalogueId, Envelope, Statement, Subject, sign_card};
use crate::store::Store;
use crate::time::Timestamp;

const BOARD: [(&str, &str); 3] = [("ada", "Ada"), ("ben", "Ben"), ("cy", "Cy")];
/// Days for which everything is signed: the report is read years later.
const LONG: u32 = 20 * 365;

/// A checkpoint of 2019: its id, its policy, its agreement, and the stages that it entered.
pub(super) struct Release {
    pub(super) id: &'static str,
    policy: &'static str,
    agreement: &'static str,
    pub(super) stages: &'static [(&'static str, &'static str)],
}

const PARTNERS: &str = include_str!("../../../../policies/agreements/partners.md");

/// Stages and their days, from the shipped policies.
pub(super) const RELEASES: [Release; 4] = [
    Release {
        id: "gpt2-124m",
        policy: include_str!("../../../../policies/gpt2-124m.toml"),
        agreement: PARTNERS,
        stages: &[("public", "2019-02-14")],
    },
    Release {
        id: "gpt2-355m",
        policy: include_str!("../../../../policies/gpt2-355m.toml"),
        agreement: PARTNERS,
        stages: &[("partners", "2019-02-14"), ("public", "2019-05-03")],
    },
    Release {
        id: "gpt2-774m",
        policy: include_str!("../../../../policies/gpt2-774m.toml"),
        agreement: PARTNERS,
        stages: &[("partners", "2019-05-03"), ("public", "2019-08-20")],
    },
    Release {
        id: "gpt2-1.5b",
        policy: include_str!("../../../../policies/gpt2-1.5b.toml"),
        agreement: PARTNERS,
        stages: &[("internal", "2019-02-14"), ("partners", "2019-05-03"), ("public", "2019-11-05")],
    },
];

/// A member of the board.
pub(super) struct Member {
    pub(super) identity: Identity,
    pub(super) signer: Box<dyn Signer>,
}

/// Days for which a registrar of the replay confirms somebody.
const CONFIRMED_DAYS: u32 = 365;

/// The registry and those who hold its gate.
pub(super) struct World {
    pub(super) registry: Registry,
    pub(super) board: Vec<Member>,
    pub(super) auditor: Member,
    /// Who confirms the people of each organization.
    registrars: BTreeMap<Label, Member>,
    folder: PathBuf,
    clock: Arc<AtomicI64>,
    locks: BTreeMap<CheckpointId, Locks>,
    catalogue: Option<CatalogueId>,
}

impl World {
    /// Founds the registry on the first day, and seals the four stand-ins.
    pub(super) async fn set(folder: &Path, people: &People, now: Timestamp) -> anyhow::Result<Self> {
        people.run("oscar", &["registry", "init", "registry", "--name", "Registry"])?;
        for (person, name) in BOARD.into_iter().chain([("august", "August")]) {
            let new = ["identity", "new", "--name", name, "--organization", "OpenAI", "--no-passphrase"];
            people.run(person, &new)?;
        }
        let member = |person: &str| member(&people.home(person).join("identity.age"));
        let board = BOARD.iter().map(|(person, _)| member(person)).collect::<anyhow::Result<_>>()?;
        let place = folder.join("registry");
        let operator = self::member(&place.join("identity.age"))?;
        let store = Store::open(&format!("sqlite:{}", place.join("registry.db").display())).await?;
        let blobs = Blobs::open(&place.join("chunks").display().to_string())?;
        fs::create_dir_all(folder.join("state"))?;
        let clock = Arc::new(AtomicI64::new(now.unix_seconds()));
        let hand = clock.clone();
        let registry = Registry::new(store, blobs, operator.identity, operator.signer, folder.join("state"))
            .with_clock(move || Timestamp::from_unix_seconds(hand.load(Ordering::Relaxed)));
        let mut world = Self {
            registry,
            board,
            auditor: member("august")?,
            registrars: ORGANIZATIONS
                .into_iter()
                .chain([HOUSE])
                .map(|name| registrar(name, now))
                .collect::<Result<_, _>>()?,
            folder: folder.to_owned(),
            clock,
            locks: BTreeMap::new(),
            catalogue: None,
        };
        world.found(&place, now).await?;
        world.catalogue = Some(world.registry.view().await?.catalogue.id());
        for (release, stand_in) in RELEASES.iter().zip(&CHECKPOINTS) {
            world.seal(release, stand_in).await?;
        }
        Ok(world)
    }

    /// Which catalogue everybody signs for.
    pub(super) fn catalogue(&self) -> anyhow::Result<CatalogueId> {
        self.catalogue.context("the catalogue is not founded")
    }

    /// Sets the clock.
    pub(super) fn clock(&self, now: Timestamp) {
        self.clock.store(now.unix_seconds(), Ordering::Relaxed);
    }

    /// Ends it; what was written is on the disk.
    pub(super) async fn close(self) -> anyhow::Result<()> {
        self.registry.renew().await?;
        self.registry.sequence().await?;
        self.registry.store().close().await;
        Ok(())
    }

    /// The rules in force, once there are any.
    pub(super) async fn rules(&self, id: &CheckpointId) -> Option<Arc<RulesInForce>> {
        self.registry.view().await.ok()?.rules(id).ok()
    }

    async fn found(&self, place: &Path, now: Timestamp) -> anyhow::Result<()> {
        let cards: Vec<Envelope> = self
            .board
            .iter()
            .map(|member| sign_card(member.identity.card(), &*member.signer))
            .collect::<Result<_, _>>()?;
        let mut boards: BTreeMap<CheckpointId, BoardPlan> = BTreeMap::new();
        for release in &RELEASES {
            boards.insert(release.id.parse()?, BoardPlan { members: cards.clone(), threshold: 2 });
        }
        let auditor = sign_card(self.auditor.identity.card(), &*self.auditor.signer)?;
        boards.insert(AUDITORS.parse()?, BoardPlan { members: vec![auditor], threshold: 1 });
        let registry = Envelope::parse(&fs::read(place.join("registry.card"))?)?;
        let founding = Founding { owners: cards, threshold: 2, registry, boards };
        let days = Days { root: LONG, targets: LONG, ..Days::default() };
        let repository = self.workshop().await?;
        repository.found(&founding, &self.proposer(), now, days)?;
        self.sign_and_hand_in(&repository).await?;
        let root =
            self.registry.catalogue_file("metadata/1.root.json").await?.context("no root was published")?;
        fs::write(self.folder.join("1.root.json"), root)?;
        let repository = self.workshop().await?;
        let rules = BTreeMap::from([(TargetPath::misuse_rules(), MISUSE_RULES.as_bytes().to_vec())]);
        repository.propose_targets(&rules, now.plus_days(LONG), &self.proposer())?;
        self.sign_and_hand_in(&repository).await?;
        for (organization, registrar) in &self.registrars {
            let repository = self.workshop().await?;
            let card = sign_card(registrar.identity.card(), &*registrar.signer)?;
            repository.add_registrars(organization, &[card], &self.proposer(), now.plus_days(LONG))?;
            self.sign_and_hand_in(&repository).await?;
        }
        Ok(())
    }

    /// What registrars said of somebody.
    pub(super) async fn affiliations(
        &self,
        card: &Card,
        rules: &RulesInForce,
    ) -> anyhow::Result<Affiliations> {
        Ok(self.registry.affiliations([card], rules).await?)
    }

    /// The registrar of the organization on a card confirms its owner.
    pub(super) async fn confirm(&self, card: &Card, now: Timestamp) -> anyhow::Result<()> {
        let Some(organization) = card.organization.clone() else { return Ok(()) };
        let registrar = self.registrars.get(&organization).context("the organization has no registrar")?;
        let until = now.plus_days(CONFIRMED_DAYS);
        let said = Affiliation { organization, person: card.clone(), created: now, until, reason: None };
        let envelope = said.statement(self.catalogue()?).sign(&*registrar.signer)?;
        self.registry.accept(&envelope, now).await?;
        Ok(())
    }

    /// A copy of the catalogue as it is published, to propose changes in.
    async fn workshop(&self) -> anyhow::Result<Repository> {
        let folder = self.folder.join("workshop");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        for path in self.registry.published_files().await?.1 {
            let bytes = self.registry.catalogue_file(&path).await?.context("a file is gone")?;
            let to = folder.join(&path);
            fs::create_dir_all(to.parent().unwrap_or(&folder))?;
            fs::write(to, bytes)?;
        }
        Ok(Repository::new(folder))
    }

    /// The member who proposes everything.
    fn proposer(&self) -> Proposer {
        Proposer::new(self.board[0].signer.verifying_key())
    }

    async fn sign_and_hand_in(&self, repository: &Repository) -> anyhow::Result<()> {
        for member in &self.board[..2] {
            for open in repository.proposal_statuses()? {
                repository.sign(&*member.signer, &open.subject, open.digest)?;
            }
        }
        let proposer = self.board[0].identity.card().verifying_key.id();
        for subject in repository.proposals()? {
            let parcel = repository.parcel(&subject)?;
            self.registry.receive(&subject, &parcel, (Some(proposer), true)).await?;
        }
        Ok(())
    }

    /// Seals a stand-in under an id of 2019.
    async fn seal(
        &mut self,
        release: &Release,
        stand_in: &super::super::embedded::EmbeddedCheckpoint,
    ) -> anyhow::Result<()> {
        let (id, source) = (release.id, self.folder.join("published").join(release.id));
        stand_in.publish(&source)?;
        let destination = self.folder.join("checkpoints").join(id);
        let request = ImportRequest {
            checkpoint: checkpoint::checkpoint_id(stand_in.id)?,
            source: ImportSource::Folder(source),
            destination: destination.clone(),
            unofficial: false,
        };
        checkpoint::import(&request, &NoProgress)?;
        // A stand-in: no digest of the real one is claimed for it.
        let manifest = destination.join("manifest.json");
        let text =
            fs::read_to_string(&manifest)?.replace(&format!("\"{}\"", stand_in.id), &format!("\"{id}\""));
        fs::write(&manifest, text)?;
        let members = self.board.iter().map(|member| Recipient::from(member.identity.card())).collect();
        let registry = self.registry_card()?;
        let recipients =
            Recipients::new(2, members, Recipient::from(&registry)).map_err(seal::Error::from)?;
        let sealed = self.folder.join("sealed").join(id);
        fs::create_dir_all(self.folder.join("sealed"))?;
        let request = SealRequest {
            source: &destination,
            destination: &sealed,
            recipients: &recipients,
            chunk_size: ChunkSize::DEFAULT,
            sealer: self.board[0].identity.opening_key(),
        };
        let done = seal_checkpoint(&request, &mut rand::rng(), &NoProgress)?;
        let keeper = self.board[0].identity.card().verifying_key.id();
        for chunk in done.manifest.chunks() {
            let bytes = fs::read(sealed.join(seal::CHUNKS).join(chunk.sha256.to_string()))?;
            self.registry.put_chunk(chunk.sha256, bytes.into(), keeper).await?;
        }
        let (manifest, shares) =
            (fs::read(sealed.join(seal::MANIFEST))?, fs::read(sealed.join(seal::SHARES))?);
        let locks = Locks::parse(&manifest, &shares, done.digest)?;
        let id: CheckpointId = id.parse()?;
        self.registry.put_seal(&id, (manifest, shares), keeper).await?;
        self.locks.insert(id, locks);
        Ok(())
    }

    fn registry_card(&self) -> anyhow::Result<crate::identity::Card> {
        let card = Envelope::parse(&fs::read(self.folder.join("registry/registry.card"))?)?;
        Ok(crate::statement::verify_card(&card)?.into_inner())
    }

    /// Moves a checkpoint into a stage; a public one takes the board's shares, too.
    pub(super) async fn enter(&self, release: &Release, stage: &str, now: Timestamp) -> anyhow::Result<()> {
        let id: CheckpointId = release.id.parse()?;
        let manifest = fs::read(self.folder.join("sealed").join(release.id).join(seal::MANIFEST))?;
        let target = StageTarget {
            schema: StageTarget::SCHEMA,
            checkpoint: id.clone(),
            stage: stage.parse()?,
            since: now,
            evidence: Vec::new(),
        };
        let files = BTreeMap::from([
            (CheckpointFile::Policy, release.policy.as_bytes().to_vec()),
            (CheckpointFile::Agreement, release.agreement.as_bytes().to_vec()),
            (CheckpointFile::Manifest, manifest),
            (CheckpointFile::Stage, serde_json::to_vec(&target)?),
        ]);
        let repository = self.workshop().await?;
        repository.propose(&id, &files, now.plus_days(LONG), &self.proposer())?;
        self.sign_and_hand_in(&repository).await?;
        if stage == "public" {
            self.hand_over(&id, now).await?;
        }
        Ok(())
    }

    async fn hand_over(&self, id: &CheckpointId, now: Timestamp) -> anyhow::Result<()> {
        let rules = self.rules(id).await.context("no rules are in force")?;
        let registry = self.registry_card()?;
        for member in &self.board[..2] {
            let share = self.share(id, member)?;
            let context = handover_context(rules.manifest, rules.policy_digest, &rules.stage);
            let share = reseal_share(&share, &registry.sealing_key, context, &mut rand::rng())?;
            let handover =
                Handover { policy: rules.policy_digest, stage: rules.stage.clone(), share, created: now };
            let subject = Subject { name: id.to_string(), digest: rules.manifest };
            let envelope = Statement::new(rules.catalogue, subject, handover).sign(&*member.signer)?;
            self.registry.accept(&envelope, now).await?;
        }
        Ok(())
    }

    fn share(&self, id: &CheckpointId, member: &Member) -> anyhow::Result<seal::Share> {
        let locks = self.locks.get(id).context("it is not sealed")?;
        let own = member.identity.card().verifying_key.id();
        Ok(locks.shares.open_share(&locks.manifest, own, member.identity.opening_key())?)
    }

    /// A member's share of the key for a grant, as the member hands it in.
    pub(super) fn approval_share(
        &self,
        (id, subject): (&CheckpointId, Subject),
        (grant, to): (Sha256Digest, &crate::identity::SealingKey),
        member: &Member,
    ) -> anyhow::Result<Envelope> {
        let share = reseal_share(&self.share(id, member)?, to, grant, &mut rand::rng())?;
        let share = ApprovalShare { grant, share };
        Ok(Statement::new(self.catalogue()?, subject, share).sign(&*member.signer)?)
    }
}

fn registrar(organization: &str, now: Timestamp) -> anyhow::Result<(Label, Member)> {
    let organization: Label = organization.parse()?;
    let name = format!("Registrar of {organization}").parse()?;
    let identity = Identity::new(name, Some(organization.clone()), &rand::random(), &rand::random(), now);
    let signer = identity.signer(None)?;
    Ok((organization, Member { identity, signer }))
}

fn member(path: &Path) -> anyhow::Result<Member> {
    let identity = IdentityFile::new(path.to_owned()).read(None)?;
    let signer = identity.signer(None)?;
    Ok(Member { identity, signer })
}
