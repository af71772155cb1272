//! `portcullis usage`: the journal of what was run on this machine.

mod show;

use std::fmt::Write as _;
use std::str::FromStr;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::access::{Grant, RulesInForce, Statements as _};
use crate::api::JournalState;
use crate::checkpoint::fetch::BaseUrl;
use crate::cli::failure::Refusal;
use crate::cli::home::{Home, Place};
use crate::cli::outage::Need;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::cli::registry;
use crate::cli::signing::{Consent, Papers, Signatory, Unattended, unattended};
use crate::cli::units;
use crate::client::{self, EntryRef};
use crate::digest::Sha256Digest;
use crate::log::EntryKind;
use crate::name::{CheckpointId, Prose};
use crate::statement::{Predicate as _, Quorum};
use crate::time::Timestamp;
use crate::usage::{Error, Event, Journal, JournalDeclaration, JournalId, SignedRecord, Summary};

/// The journal of what you ran on this machine, and its sync to the registry
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum UsageCommand {
    Show(show::Show),
    Sync(Sync),
    Status(Status),
    Declare(Declare),
    Explain(Explain),
}

/// Send new records to the registry; leases require it
#[derive(Debug, Args)]
pub(in crate::cli) struct Sync {}

/// Verify the whole journal; show its length, what is synced and what the limits leave
#[derive(Debug, Args)]
pub(in crate::cli) struct Status {}

/// Declare this machine's journal to a registry that knows a journal of another machine of yours
#[derive(Debug, Args)]
pub(in crate::cli) struct Declare {
    /// The reason for another journal; auditors read it
    #[arg(long)]
    reason: Prose,
}

/// Explain a lost journal, or a generation without an end; auditors review it, and leases continue
#[derive(Debug, Args)]
pub(in crate::cli) struct Explain {
    /// The journal that is lost (32 digits), or the record of this machine's journal with which the generation began
    what: ExplainTarget,

    /// What happened; auditors read it
    #[arg(long)]
    reason: Prose,
}

#[derive(Debug, Clone)]
enum ExplainTarget {
    Journal(JournalId),
    Record(u64),
}

impl FromStr for ExplainTarget {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let record = || text.parse().map(Self::Record);
        let unknown = "give a journal's 32 hexadecimal digits, or a record's number";
        text.parse().map(Self::Journal).or_else(|_| record()).map_err(|_| unknown)
    }
}

impl UsageCommand {
    /// What it does if the registry does not answer: the journal is on this machine.
    pub(in crate::cli) fn need(&self) -> Need {
        match self {
            Self::Show(_) | Self::Status(_) => Need::Nothing,
            Self::Sync(_) | Self::Declare(_) | Self::Explain(_) => Need::Registry,
        }
    }

    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Show(show) => show.run(home, output),
            Self::Sync(_) => run_sync(home, output),
            Self::Status(_) => status(home, output),
            Self::Declare(declare) => declare.run(home, output),
            Self::Explain(explain) => explain.run(home, output),
        }
    }
}

fn run_sync(home: &Home, output: Output) -> anyhow::Result<()> {
    let Place::Address(address) = home.place()? else {
        let message = "this registry is a folder and takes no usage records";
        return Err(
            Refusal::usage(message, "the journal stays on this machine: `portcullis usage show`").into()
        );
    };
    let catalogue = registry::catalogue(home, output)?;
    let (sent, state) = bring(home, catalogue.registry(), output)?;
    if sent == 0 && state.records > 0 {
        // What came in earlier must still be in the log.
        let remote = registry::remote(home, &address, output)?;
        registry::record(home)?.refresh(&remote, catalogue.registry())?;
    }
    let text = match sent {
        0 => format!("the registry has all {} records\n", state.records),
        sent => {
            format!("sent {sent} records; the registry has all {}, and its log proves it\n", state.records)
        }
    };
    output.result(&json!({ "sent": sent, "journal": state }), text)
}

/// Brings what is not there yet; how the journal stands then.
pub(super) fn sync(home: &Home, rules: &RulesInForce, output: Output) -> anyhow::Result<JournalState> {
    Ok(bring(home, &rules.registry, output)?.1)
}

/// Ends the records of processes that were killed, with what they had stored.
pub(super) fn recover(home: &Home, journal: &mut Journal, output: Output) -> anyhow::Result<()> {
    if journal.was_adopted() {
        output.note(format_args!(
            "note: the usage journal is of an earlier version; from now on this home stores its length"
        ));
    }
    let Summary { open, under_way, .. } = journal.summary()?;
    if open <= under_way.len() {
        return Ok(());
    }
    let (identity, signer) = unattended(home, Unattended::Usage, output)?;
    let catalogue = registry::known_catalogue(home, output)?;
    let (auditors, scorer) = (catalogue.auditor_cards()?, catalogue.scorer()?);
    let recovery = client::Recovery {
        key: identity.opening_key(),
        signer: &*signer,
        auditors: &auditors,
        scorer: scorer.as_ref(),
    };
    let ended = recovery.run(journal, Timestamp::now())?;
    if ended > 0 {
        output.note(format_args!(
            "note: {ended} generations were interrupted; their records are closed with the text so far"
        ));
    }
    Ok(())
}

fn bring(home: &Home, registry: &Quorum, output: Output) -> anyhow::Result<(u64, JournalState)> {
    let Some(address) = home.address()? else { anyhow::bail!("a folder takes no usage") };
    let mut journal = Journal::open(&home.journal(), rand::random())?;
    recover(home, &mut journal, output)?;
    let summary = journal.summary()?;
    let told = |journal: &Journal| journal.told().map(|(mark, under_way)| JournalState::new(mark, under_way));
    if summary.records == summary.synced {
        return Ok((0, told(&journal)?));
    }
    let (identity, signer) = unattended(home, Unattended::Usage, output)?;
    let remote = registry::remote(home, &address, output)?;
    let record = registry::record(home)?;
    let sent = client::sync(&mut journal, identity.card(), &*signer, &remote, registry, &record)?;
    Ok((sent, told(&journal)?))
}

/// Where declarations go; a registry that is a folder knows no journals.
fn address(home: &Home) -> anyhow::Result<BaseUrl> {
    let message = "this registry is a folder and has no journals";
    let hint = "the journal stays on this machine: `portcullis usage show`";
    home.address()?.ok_or_else(|| Refusal::usage(message, hint).into())
}

/// Declares to the registry that `journal` is used from now on, and that others are lost.
fn declare(
    home: &Home,
    journal: JournalId,
    lost: Vec<JournalId>,
    reason: Prose,
    output: Output,
) -> anyhow::Result<Sha256Digest> {
    let address = address(home)?;
    let catalogue = registry::catalogue(home, output)?;
    let signatory = Signatory::open(home, output)?;
    let card = signatory.card().clone();
    let created = Timestamp::now();
    let declaration = JournalDeclaration { card, journal, lost, reason, created };
    let mut papers = Papers::new("declare how your usage is recorded").as_own_words();
    papers.add::<JournalDeclaration>(declaration.to_envelope(catalogue.id())?)?;
    let said = signatory.sign_one(papers, &Consent::default())?;
    let remote = registry::remote(home, &address, output)?;
    remote.put(JournalDeclaration::KIND, &said, &signatory.key())?;
    let entry = EntryRef { kind: EntryKind::Journal, statement: said.digest() };
    registry::record(home)?.fetch(entry, &remote, catalogue.registry())?;
    Ok(said.digest())
}

impl Declare {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        address(home)?;
        let place = home.journal();
        let (journal, is_new) = match Journal::open(&place, rand::random()) {
            // What is here belongs to another machine, or went there.
            Err(Error::Copied { .. } | Error::Gone { .. }) => (JournalId::from_bytes(rand::random()), true),
            journal => (journal?.id(), false),
        };
        let declaration = declare(home, journal, Vec::new(), self.reason, output)?;
        if is_new {
            Journal::replace(&place, journal)?;
        }
        let text = format!(
            "declared the journal {journal} of this machine; the log records it\n  next: `portcullis lease`\n"
        );
        output.result(&json!({ "journal": journal, "declaration": declaration }), text)
    }
}

impl Explain {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self.what {
            ExplainTarget::Record(seq) => {
                let (_, signer) = unattended(home, Unattended::Usage, output)?;
                let mut journal = Journal::open(&home.journal(), rand::random())?;
                journal.explain(seq, self.reason, &*signer, Timestamp::now())?;
                let text = format!("record {seq} is closed with your explanation; auditors will review it\n");
                output.result(&json!({ "record": seq, "journal": journal.id() }), text)
            }
            ExplainTarget::Journal(lost) => explain_loss(home, lost, self.reason, output),
        }
    }
}

/// Declares a journal lost, which this home need not be able to read any more; another goes on.
fn explain_loss(home: &Home, lost: JournalId, reason: Prose, output: Output) -> anyhow::Result<()> {
    let place = home.journal();
    let is_here = Journal::is_of(&place, lost)?;
    let is_told = if is_here { home.address()?.is_some() } else { address(home).map(|_| true)? };
    let next = if is_here {
        JournalId::from_bytes(rand::random())
    } else {
        Journal::open(&place, rand::random())?.id()
    };
    // A registry that is a folder knows no journals: nothing is declared.
    let declaration = is_told.then(|| declare(home, next, vec![lost], reason, output)).transpose()?;
    if is_here {
        Journal::replace(&place, next)?;
    }
    let told = if is_told { "recorded in the log for the auditors" } else { "on this machine only" };
    let text =
        format!("declared the journal {lost} lost, {told}; {next} continues\n  next: `portcullis lease`\n");
    output.result(&json!({ "lost": lost, "journal": next, "declaration": declaration }), text)
}

fn status(home: &Home, output: Output) -> anyhow::Result<()> {
    let mut checkpoints = std::collections::BTreeSet::new();
    let summary = verify(home, &mut |record| {
        if let Event::Begin(begin) = &record.record().event {
            checkpoints.insert(begin.checkpoint.clone());
        }
    })?;
    let Some(journal) = Journal::open_existing(&home.journal())? else {
        let mut page = Page::new();
        nothing_recorded(&mut page);
        return output.page(&json!({ "journal": null, "spent": [] }), &page);
    };
    let Some(Summary { records, synced, open, .. }) = summary else { anyhow::bail!("the journal went away") };
    let mut text = format!("the journal is valid: {records} records, each signed and in order\n");
    writeln!(text, "  at the registry   {synced}")?;
    writeln!(text, "  waiting           {}", records - synced)?;
    if open > 0 {
        writeln!(
            text,
            "  without an end    {open}: the next command that records or syncs closes interrupted ones"
        )?;
    }
    let mut spent = Vec::new();
    for checkpoint in &checkpoints {
        let (tokens, promised) = journal.spent(checkpoint, Timestamp::now());
        let (used, limit) = (tokens + promised, limit(home, checkpoint));
        let left = limit.map(|limit| limit.saturating_sub(used));
        let shown = match (limit, left) {
            (Some(limit), Some(left)) => format!(
                "{} of {} tokens in the last 24 hours; {} left",
                units::count(used),
                units::count(limit),
                units::count(left)
            ),
            _ => format!("{} tokens in the last 24 hours; no limit is known here", units::count(used)),
        };
        writeln!(text, "  {checkpoint:<16}  {shown}")?;
        spent.push(json!({
            "checkpoint": checkpoint, "tokens": tokens, "promised": promised, "limit": limit, "left": left,
        }));
    }
    if records > synced {
        text.push_str("  next: `portcullis usage sync`\n");
    }
    output.result(&json!({ "journal": summary, "spent": spent }), text)
}

/// Says that there is no journal yet, and what begins one.
fn nothing_recorded(page: &mut Page) {
    page.line("nothing was recorded on this machine yet");
    page.line("  next: `portcullis run <checkpoint> \"…\"` records runs of a sealed checkpoint; `portcullis list` shows the released ones");
}

/// Tokens that the stage of the newest grant in the vault allows in 24 hours, by the policy that this home saw last.
fn limit(home: &Home, checkpoint: &CheckpointId) -> Option<u64> {
    let catalogue = registry::known_catalogue(home, Output::new(false, true)).ok()?;
    let rules = catalogue.rules_in_force(checkpoint).ok()?;
    let grants = registry::vault(home).ok()?.statements().list(Grant::KIND).ok()?;
    let grants = grants.iter().filter_map(|found| Some(found.envelope.claim::<Grant>().ok()?.predicate));
    let newest = grants.filter(|grant| grant.checkpoint == *checkpoint).max_by_key(|grant| grant.issued)?;
    rules.policy.stage(&newest.stage)?.limits.tokens_per_day
}

/// Checks the whole journal against this home's own key; nothing if there is no journal yet.
fn verify(home: &Home, each: &mut dyn FnMut(&SignedRecord)) -> anyhow::Result<Option<Summary>> {
    // Without an identity the error says so, and does not name a missing file.
    home.identity_file().is_protected()?;
    let card = crate::statement::verify_card(&crate::cli::files::envelope(&home.card_path())?)?;
    let journal = Journal::open_existing(&home.journal())?;
    Ok(journal.map(|journal| journal.verify(&card.verifying_key, each)).transpose()?)
}
