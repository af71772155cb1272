//! `portcullis catalogue init`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use serde_json::json;

use super::founding_file::{FoundingFile, Signers};
use super::hand_in::{Proposed, Proposing};
use super::workshop::Workshop;
use crate::catalogue::{AUDITORS, BoardPlan, Days, Founding, ProposalStatus, RepositoryError};
use crate::cli::failure::Refusal;
use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Consent, Signatory};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::name::CheckpointId;
use crate::statement::Envelope;
use crate::time::Timestamp;

/// Propose a new catalogue: its owners, its registry, and each checkpoint's board; and sign it, as one of its owners
///
/// Until the owners have signed it, the same command with other words takes its place.
#[derive(Debug, Args)]
pub(in crate::cli) struct Init {
    /// All of it from a file (docs/catalogue.md shows one), in place of the options that name people
    #[arg(long, value_name = "FILE", conflicts_with_all = ["owners", "owner_threshold", "registry_card", "boards", "auditors"])]
    from: Option<PathBuf>,

    /// Card of an owner, who keeps the root of trust; once for each
    #[arg(long = "owner", value_name = "CARD", required_unless_present = "from")]
    owners: Vec<PathBuf>,

    /// How many owners must sign
    #[arg(long, value_name = "COUNT", required_unless_present = "from")]
    owner_threshold: Option<u32>,

    /// Card of the registry, whose key publishes
    #[arg(long, value_name = "CARD", required_unless_present = "from")]
    registry_card: Option<PathBuf>,

    /// A checkpoint's board, such as gpt2-124m=2:ada.card,ben.card,cy.card, or one that policies name, such as ethics=1:eve.card; once for each
    #[arg(long = "board", value_name = "CHECKPOINT=COUNT:CARD,…")]
    boards: Vec<BoardArgument>,

    /// Card of an auditor, to whom prompts are sealed where a stage says so, and who reviews misuse; once for each
    #[arg(long = "auditor", value_name = "CARD")]
    auditors: Vec<PathBuf>,

    /// The code that `registry init` showed, where the registry is a server
    #[arg(long, value_name = "CODE", env = "PORTCULLIS_FOUNDING_CODE", hide_env_values = true)]
    founding_code: Option<String>,

    /// Take the place of a founding that others signed already; its digest, as `catalogue review` shows it, once for each role
    #[arg(long, value_name = "SHA-256")]
    instead_of: Vec<Sha256Digest>,

    #[command(flatten)]
    consent: Consent,
}

/// `<checkpoint>=<threshold>:<card>,<card>…`
#[derive(Debug, Clone)]
struct BoardArgument {
    checkpoint: CheckpointId,
    signers: Signers,
}

impl FromStr for BoardArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let form = || "write it as <checkpoint>=<how many must sign>:<card>,<card>".to_owned();
        let (checkpoint, rest) = text.split_once('=').ok_or_else(form)?;
        let (threshold, cards) = rest.split_once(':').ok_or_else(form)?;
        Ok(Self {
            checkpoint: checkpoint.parse().map_err(|error| format!("{error}"))?,
            signers: Signers {
                threshold: threshold.parse().map_err(|_| form())?,
                cards: cards.split(',').map(PathBuf::from).collect(),
            },
        })
    }
}

impl Init {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let workshop = Workshop::open_to_found(home, output)?;
        let founding = self.founding()?;
        let now = Timestamp::now();
        workshop.require_trusted_base(home, now)?;
        let signatory = Signatory::of(home, output)?;
        let by = workshop.proposer(signatory.key(), &self.instead_of);
        let replaced = workshop.repository().proposal_statuses().unwrap_or_default();
        workshop.repository().found(&founding, &by, now, Days::default()).map_err(instead)?;
        let proposing = Proposing {
            workshop: &workshop,
            signatory: &signatory,
            consent: &self.consent,
            founding_code: self.founding_code.as_deref(),
        };
        let done = proposing.hand_in(now)?;
        note_replaced(&replaced, signatory.key(), &done, output);
        let place = home.place()?;
        let text = format!(
            "proposed and signed a new catalogue {} {place}; {} of its owners must sign, then the registry publishes it\n{}",
            if workshop.is_folder() { "in" } else { "to" },
            founding.threshold,
            done.next_steps()?,
        );
        let value =
            json!({ "registry": place.to_string(), "proposed": ["root", "targets"], "roles": done.json() });
        output.result(&value, text)
    }
}

impl Init {
    /// Who founds it, from the file or the options.
    fn founding(&self) -> anyhow::Result<Founding> {
        let file = match (&self.from, &self.registry_card) {
            (Some(path), _) => FoundingFile::read(path)?,
            (None, Some(registry)) => FoundingFile::of_options(
                registry.clone(),
                Signers { threshold: self.owner_threshold.unwrap_or_default(), cards: self.owners.clone() },
                self.boards.iter().map(|board| (board.checkpoint.clone(), board.signers.clone())).collect(),
                self.auditors.clone(),
            ),
            // The parser asks for one or the other.
            (None, None) => anyhow::bail!("neither --from nor --registry-card was given"),
        };
        if file.boards.len() < self.boards.len() {
            let message = "a board is named twice";
            return Err(
                Refusal::usage(message, "give each checkpoint one --board, with all of its members").into()
            );
        }
        let mut boards = BTreeMap::new();
        for (checkpoint, signers) in &file.boards {
            let plan = BoardPlan { members: cards(&signers.cards)?, threshold: signers.threshold };
            boards.insert(checkpoint.clone(), plan);
        }
        if !file.auditors.is_empty() {
            let plan = BoardPlan { members: cards(&file.auditors)?, threshold: 1 };
            boards.insert(AUDITORS.parse()?, plan);
        }
        Ok(Founding {
            owners: cards(&file.owners.cards)?,
            threshold: file.owners.threshold,
            registry: files::envelope(&file.registry)?,
            boards,
        })
    }
}

/// Says whose signatures went with the founding that this one takes the place of.
fn note_replaced(replaced: &[ProposalStatus], own: VerifyingKey, done: &Proposed, output: Output) {
    for standing in replaced {
        let is_new =
            done.roles.iter().any(|(role, digest)| *role == standing.subject && *digest != standing.digest);
        let others = standing.tallies.iter().flat_map(|tally| &tally.signed).any(|key| *key != own);
        if is_new && others {
            output.note(format_args!(
                "note: another owner signed {} as it was; this takes its place, and they must review and sign it anew",
                standing.subject
            ));
        }
    }
}

/// What to do about another's founding: a founding takes the place of one, and builds on none.
fn instead(error: RepositoryError) -> anyhow::Error {
    let RepositoryError::AlreadyProposed { digest, .. } = &error else { return error.into() };
    let hint = format!(
        "read `portcullis catalogue review` and sign that one; or put yours in its place with --instead-of {digest}, and so for each role"
    );
    Refusal::denied(error.to_string(), hint).into()
}

pub(super) fn cards(paths: &[PathBuf]) -> anyhow::Result<Vec<Envelope>> {
    paths.iter().map(|path: &PathBuf| files::envelope(Path::new(path))).collect()
}
