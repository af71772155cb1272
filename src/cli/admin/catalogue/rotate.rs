//! `portcullis catalogue rotate`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::init::cards;
use super::submit::Submission;
use super::working_copy::WorkingCopy;
use crate::catalogue::{Days, Roster, Rotation};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Consent, Signatory};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// Propose other owners, another registry, or other members of a board, and sign the proposal
#[derive(Debug, Args)]
pub(in crate::cli) struct Rotate {
    /// Whose keys: `root` (the owners), `registry`, or a checkpoint (its board)
    subject: String,

    /// Card of someone who joins; repeat for each
    #[arg(long, value_name = "CARD")]
    add: Vec<PathBuf>,

    /// Name or key id of someone who leaves; repeat for each
    #[arg(long, value_name = "NAME|KEYID")]
    remove: Vec<String>,

    /// How many must sign from then on
    #[arg(long, value_name = "COUNT")]
    threshold: Option<u32>,

    /// Days until the change expires
    #[arg(long, value_name = "DAYS")]
    expires_in: Option<u32>,

    /// Build on this open proposal of another person, which you reviewed; its digest
    #[arg(long, value_name = "SHA-256")]
    onto: Vec<Sha256Digest>,

    #[command(flatten)]
    consent: Consent,
}

impl Rotate {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let working_copy = WorkingCopy::open(home, output)?;
        let repository = working_copy.repository();
        let days = self.expires_in.map_or_else(Days::default, |days| Days {
            root: days,
            targets: days,
            ..Days::default()
        });
        let now = Timestamp::now();
        let add = cards(&self.add)?;
        working_copy.require_trusted_base(home, now)?;
        let signatory = Signatory::open(home, output)?;
        let by = working_copy.proposer(signatory.key(), &self.onto);
        if self.subject == "registry" {
            let [card] = add.as_slice() else {
                let message = "a registry has one key";
                return Err(
                    Refusal::usage(message, "give its new card with one --add, and nothing else").into()
                );
            };
            repository.rotate_registry(card, &by, now, days)?;
        } else {
            let roster = repository.roster()?;
            let remove = self.remove.iter().map(|who| find(who, &roster)).collect::<Result<_, _>>()?;
            let rotation = Rotation { add, remove, threshold: self.threshold };
            if self.subject == "root" {
                repository.rotate_owners(&rotation, &by, now, days)?;
            } else {
                let checkpoint: CheckpointId = self.subject.parse()?;
                repository.rotate_board(&checkpoint, &rotation, &by, now, days)?;
            }
        }
        let submission = Submission {
            working_copy: &working_copy,
            signatory: &signatory,
            consent: &self.consent,
            founding_code: None,
        };
        let done = submission.submit(now)?;
        let subject = &self.subject;
        let text = format!("proposed and signed new keys for {subject}\n{}", done.next_steps()?);
        let value = json!({ "proposed": subject, "roles": done.json(), "published": done.published_json() });
        output.result(&value, text)
    }
}

/// The key of a person, by name or by the beginning of a key id.
pub(super) fn find(who: &str, roster: &Roster) -> Result<VerifyingKey, Refusal> {
    let is_id = |key: &VerifyingKey| who.len() >= 12 && key.id().to_string().starts_with(who);
    let mut found =
        roster.iter().filter(|(key, card)| card.name.as_str() == who || is_id(key)).map(|(key, _)| *key);
    match (found.next(), found.next()) {
        (Some(key), None) => Ok(key),
        (None, _) => Err(Refusal::usage(
            format!("the catalogue has no person named {who}"),
            "see `portcullis catalogue status` for names; a key id needs 12 digits or more",
        )),
        _ => Err(Refusal::usage(
            format!("several people are named {who}"),
            "give a key id: `portcullis catalogue status --json` shows them",
        )),
    }
}
