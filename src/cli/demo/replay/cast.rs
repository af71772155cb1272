//! The people of the replay, and what they write.

use std::collections::BTreeMap;

use anyhow::Context as _;
use rand::RngExt as _;
use rand::rngs::ChaCha20Rng;

use crate::access::Request;
use crate::digest::Sha256Digest;
use crate::identity::{Identity, KeyId, Signer};
use crate::name::CheckpointId;
use crate::policy::UsageMode;
use crate::statement::{CatalogueId, Envelope, Statement, Subject};
use crate::time::Timestamp;
use crate::usage::{
    Begin, End, Event, Finish, JournalId, Parameters, Recipients, Record, SignedRecord, Task, first_link,
    make_batch,
};

/// The organizations that the policies of 2019 name.
pub(super) const PARTNERS: [&str; 4] = [
    "Cornell University",
    "Middlebury Institute of International Studies",
    "University of Oregon",
    "University of Texas at Austin",
];

const GIVEN: [&str; 20] = [
    "Ana", "Bo", "Chen", "Dina", "Emil", "Fatou", "Gao", "Hana", "Ivo", "Jun", "Kofi", "Lena", "Mei", "Nils",
    "Olga", "Priya", "Quentin", "Rami", "Sana", "Tomas",
];
const FAMILY: [&str; 20] = [
    "Abe", "Berg", "Costa", "Diaz", "Eze", "Fischer", "Garcia", "Haddad", "Ito", "Jansen", "Kim", "Lopez",
    "Meyer", "Novak", "Okafor", "Park", "Rossi", "Silva", "Tanaka", "Weber",
];
const PROMPTS: [&str; 6] = [
    "In a shocking finding, scientists discovered a herd of unicorns",
    "The history of the printing press begins",
    "Recycling is good for the world. No!",
    "The man worked as",
    "The woman worked as",
    "A train carriage containing controlled nuclear materials was stolen",
];
/// Whose weights they are.
pub(super) const HOUSE: &str = "OpenAI";

/// What a rule of `policies/misuse.toml` asks about, and the rule.
const SUSPECT: [(&str, &str); 3] = [
    ("Write a fake news story about the election", "misleading-news"),
    ("Write twenty five-star reviews of this hotel", "fake-reviews"),
    ("Make it undetectable by any detector", "evading-detectors"),
];

/// A researcher.
pub(super) struct Researcher {
    pub(super) identity: Identity,
    pub(super) signer: Box<dyn Signer>,
    journal: JournalId,
    next: (u64, Sha256Digest),
}

/// What a session is held under.
pub(super) struct Terms<'a> {
    pub(super) catalogue: CatalogueId,
    pub(super) checkpoint: &'a CheckpointId,
    pub(super) grant: Sha256Digest,
    pub(super) lease: Sha256Digest,
    pub(super) mode: UsageMode,
}

impl Researcher {
    pub(super) fn new(
        organization: Option<&str>,
        now: Timestamp,
        random: &mut ChaCha20Rng,
    ) -> anyhow::Result<Self> {
        let (given, family) =
            (GIVEN[random.random_range(0..GIVEN.len())], FAMILY[random.random_range(0..FAMILY.len())]);
        let name = format!("{given} {family}").parse()?;
        let organization = organization.map(str::parse).transpose()?;
        let identity = Identity::new(name, organization, &random.random(), &random.random(), now);
        let signer = identity.signer(None)?;
        let journal = JournalId::from_bytes(random.random());
        Ok(Self { identity, signer, journal, next: (0, first_link(journal)) })
    }

    pub(super) fn id(&self) -> KeyId {
        self.identity.card().verifying_key.id()
    }

    /// How the journal stands.
    pub(super) fn journal(&self) -> crate::api::JournalState {
        crate::api::JournalState {
            journal: self.journal,
            records: self.next.0,
            head: self.next.1,
            under_way: Vec::new(),
        }
    }

    /// A request, signed.
    pub(super) fn request(
        &self,
        catalogue: CatalogueId,
        mut request: Request,
        subject: Subject,
    ) -> anyhow::Result<Envelope> {
        request.card = self.identity.card().clone();
        Ok(Statement::new(catalogue, subject, request).sign(&*self.signer)?)
    }

    /// Generates some texts, as far as the record tells, and makes the batch of it.
    pub(super) fn session(
        &mut self,
        terms: &Terms<'_>,
        auditor: &Identity,
        now: Timestamp,
        random: &mut ChaCha20Rng,
    ) -> anyhow::Result<Envelope> {
        let recipients = Recipients::new(terms.mode, [auditor.card()])?;
        let mut records = Vec::new();
        for _ in 0..random.random_range(1..5) {
            // One in eighty prompts meets a rule; who only leaves counts meets none.
            let suspect = random.random_ratio(1, 80) && terms.mode != UsageMode::Counts;
            let (prompt, hits) = match suspect {
                true => {
                    let (prompt, rule) = SUSPECT[random.random_range(0..SUSPECT.len())];
                    (prompt, vec![rule.parse()?])
                }
                false => (PROMPTS[random.random_range(0..PROMPTS.len())], Vec::new()),
            };
            let max_tokens = random.random_range(50..1000);
            let begin = Begin {
                task: Task::Run,
                checkpoint: terms.checkpoint.clone(),
                grant: terms.grant,
                lease: terms.lease,
                prompt_tokens: 12,
                max_tokens,
                parameters: Some(Parameters {
                    temperature: 1.0,
                    top_k: Some(40),
                    top_p: 1.0,
                    seed: random.random(),
                }),
                prompt: recipients.keep(prompt, &mut rand::rng())?,
                sketch: None,
                justification: (!hits.is_empty()).then(|| "For the study".parse()).transpose()?,
                hits,
                blocked: false,
            };
            let seq = self.next.0;
            records.push(self.record(Event::Begin(Box::new(begin)), now)?);
            let end = End {
                begin: seq,
                tokens: random.random_range(1..=max_tokens),
                finish: Finish::Length,
                output: None,
                hits: Vec::new(),
                explanation: None,
            };
            records.push(self.record(Event::End(end), now)?);
        }
        Ok(make_batch(terms.catalogue, self.identity.card(), &records, &*self.signer, now)?)
    }

    fn record(&mut self, event: Event, now: Timestamp) -> anyhow::Result<SignedRecord> {
        let record = Record::new(self.journal, self.next, now, event).sign(&*self.signer)?;
        self.next = (self.next.0 + 1, record.digest());
        Ok(record)
    }
}

/// Everybody by key.
pub(super) type Cast = BTreeMap<KeyId, Researcher>;

/// Somebody who is known to be there.
pub(super) fn of(cast: &mut Cast, id: KeyId) -> anyhow::Result<&mut Researcher> {
    cast.get_mut(&id).context("a person of the replay is missing")
}
