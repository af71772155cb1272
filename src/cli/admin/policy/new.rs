//! `portcullis policy new`.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use crate::catalogue::{Client, TrustedCatalogue};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::client;
use crate::name::CheckpointId;
use crate::policy::{self, Boards, Organization, Policy, SCHEMA, Severity, StageName};
use crate::time::Timestamp;

/// The stage that is public if it is the last.
const PUBLIC: &str = "public";
/// Days that a starting policy asks for between two stages.
const SOAK_DAYS: u32 = 30;
/// Days for which a starting policy is written.
const POLICY_DAYS: u32 = 365;
/// Approvals of a board that this home knows nothing of.
const APPROVALS: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);

/// Write a first policy for a checkpoint, with comments; it passes `policy check`
#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// The checkpoint
    checkpoint: CheckpointId,

    /// The stages, from the narrowest to the widest; a last one named `public` is for anyone
    #[arg(
        long = "stage", value_name = "NAME", value_delimiter = ',',
        default_values = ["internal", "partners", "public"]
    )]
    stages: Vec<StageName>,

    /// How many board members must approve a request [default: the board's threshold in the trusted catalogue, or 2]
    #[arg(long, value_name = "COUNT")]
    board: Option<NonZeroU32>,

    /// Maximum days of a grant
    #[arg(long, default_value_t = 90, value_parser = clap::value_parser!(u32).range(1..))]
    days: u32,

    /// The organization whose members may ask
    #[arg(long, value_name = "NAME", default_value = "Example University")]
    organization: Organization,

    /// The file to write, which must not exist [default: <checkpoint>.toml]
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl New {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.stages.iter().find(|stage| !seen.insert(*stage)) {
            let message = format!("the stage `{twice}` is named twice");
            return Err(Refusal::usage(message, "give each stage a name of its own").into());
        }
        let text = self.text(self.board.unwrap_or_else(|| self.threshold(home)), now);
        let policy = Policy::parse(&text).context("no policy can be written from these options")?;
        let findings = policy::check(&policy, &Boards::default(), now);
        if let Some(found) = findings.iter().find(|found| found.severity == Severity::Error) {
            return Err(Refusal::usage(found.words.clone(), found.remedy.clone()).into());
        }
        let path = self.to.clone().unwrap_or_else(|| format!("{}.toml", self.checkpoint).into());
        write_new(&path, &text)?;
        self.note_unknown(home, output);
        let path = shown(path);
        let value = json!({ "checkpoint": self.checkpoint, "path": path, "version": policy.version });
        let next = format!(
            "edit it, then `portcullis policy check {path}` and `portcullis catalogue propose {} --policy {path}`",
            self.checkpoint
        );
        output.result(&value, format!("wrote {path}\n  next: {next}\n"))
    }

    /// Says if the catalogue that this home saw last has no such checkpoint: it may be one to come, or mistyped.
    fn note_unknown(&self, home: &Home, output: Output) {
        let Some(catalogue) = catalogue(home).filter(|catalogue| catalogue.board(&self.checkpoint).is_none())
        else {
            return;
        };
        let unknown = client::unknown_checkpoint(&self.checkpoint, &catalogue);
        let meant = match &unknown {
            client::Error::UnknownCheckpoint { nearest: Some(nearest), .. } => {
                format!("; did you mean {nearest}?")
            }
            _ => String::new(),
        };
        output.note(format_args!("note: {unknown}{meant}"));
    }

    /// The threshold of the checkpoint's board, by the catalogue that this home saw last.
    fn threshold(&self, home: &Home) -> NonZeroU32 {
        let catalogue = catalogue(home);
        let board = catalogue.and_then(|catalogue| catalogue.board(&self.checkpoint).cloned());
        let threshold = board.and_then(|board| u32::try_from(board.threshold()).ok());
        threshold.and_then(NonZeroU32::new).unwrap_or(APPROVALS)
    }

    fn text(&self, board: NonZeroU32, now: Timestamp) -> String {
        let (checkpoint, expires) = (&self.checkpoint, now.plus_days(POLICY_DAYS));
        let mut text = format!(
            "# The release policy of {checkpoint}: who may have its weights, in which stages, on which terms.\n\
             # It takes effect once the board has signed it. docs/policy.md describes the format.\n\
             schema = {SCHEMA}\n\
             checkpoint = \"{checkpoint}\"\n\
             version = 1                     # raise it with every change; each change ends the grants before it\n\
             # keeps_grants_from = 1         # in a later version: grants made since version 1 go on, if that one permits them\n\
             expires = {expires}  # from then on it permits nothing\n"
        );
        let last = self.stages.len().saturating_sub(1);
        for (place, name) in self.stages.iter().enumerate() {
            text += &match place == last && name.as_str() == PUBLIC {
                true => public(name),
                false => self.gated(name, board),
            };
            if place > 0 {
                text += &requirements();
            }
        }
        text
    }

    fn gated(&self, name: &StageName, board: NonZeroU32) -> String {
        let (organization, days) = (serde_json::Value::from(self.organization.as_str()), self.days);
        format!(
            "\n[[stage]]\n\
             name = \"{name}\"\n\
             audience.organizations = [{organization}]  # or audience = \"anyone\", or audience.people = [\"<key>\"]\n\
             audience.affiliation = \"confirmed\"   # by a registrar whom the owners named; without this line the name on a card is enough\n\
             approvals = {{ board = {board} }}        # distinct people; of several boards: {{ board = {board}, ethics = 1 }}\n\
             agreement = \"agreement.md\"       # the text that applicants accept, proposed with --agreement\n\
             uses = [\"research\"]             # the uses that a request may name\n\
             max_days = {days}                  # for which a grant may last\n\
             limits.tokens_per_day = 1_000_000\n\
             usage = \"sealed\"                # prompts and outputs sealed to the auditors; or digest, or counts\n\
             lease_hours = 24                # a revocation takes effect everywhere within this time\n"
        )
    }
}

/// The catalogue that this home saw last.
fn catalogue(home: &Home) -> Option<TrustedCatalogue> {
    Client::new(home.catalogue_state()).load_offline(Timestamp::now()).ok()
}

fn public(name: &StageName) -> String {
    format!(
        "\n[[stage]]                       # the weights are public from then on\n\
         name = \"{name}\"\n\
         audience = \"anyone\"\n\
         usage = \"counts\"\n"
    )
}

fn requirements() -> String {
    format!(
        "\n[stage.requires]                # before the board may enter this stage\n\
         soak_days = {SOAK_DAYS}                  # in the stage before it\n\
         # [[stage.requires.evidence]]   # a required measurement\n\
         # kind = \"misuse-review\"\n\
         # metric = \"open_severe_cases\"\n\
         # at_most = 0\n"
    )
}

/// Writes a file that is not there yet.
fn write_new(path: &Path, text: &str) -> anyhow::Result<()> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Ok(mut file) => {
            let written = file.write_all(text.as_bytes()).and_then(|()| file.sync_all());
            written.with_context(|| format!("cannot write {}", path.display()))
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let message = format!("{} already exists and is not overwritten", path.display());
            Err(Refusal::usage(message, "name another file with --to, or remove that one").into())
        }
        Err(error) => Err(error).with_context(|| format!("cannot write {}", path.display())),
    }
}
