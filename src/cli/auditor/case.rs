//! `portcullis case`: reviewing misuse, step by step, each step a statement in the log.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::json;

use super::docket::{Docket, VerifiedCase};
use crate::access::{Grant, Revocation, Statements, verify_granted};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::cli::people::person;
use crate::cli::registry::{self, short_digest};
use crate::cli::resolve;
use crate::cli::signing::{Consent, Papers, Signatory};
use crate::cli::table::{Cell, Fit, Table, Tone};
use crate::cli::units::age;
use crate::client::Catalogue;
use crate::misuse::{Case, CaseStep, Outcome, RuleId, Severity, Step};
use crate::name::Prose;
use crate::statement::{Predicate, Statement};
use crate::time::Timestamp;
use crate::usage::{Event, UsageBatch, verify_batch};
use crate::visible::one_line;

/// Review misuse: what was found, what was decided, what followed
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CaseCommand {
    List(List),
    Show(Show),
    Open(Open),
    Assign(Assign),
    Comment(Comment),
    Decide(Decide),
    Appeal(Appeal),
}

/// List cases: auditors see all, researchers those about them
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Only open or appealed cases
    #[arg(long)]
    open: bool,
}

/// Show a case: what raised it, the records, every step; prompts and outputs if they were sealed to you
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// The first digits of the case's digest
    case: String,
}

/// Open a case by hand
#[derive(Debug, Args)]
pub(in crate::cli) struct Open {
    /// The first digits of the grant's digest
    grant: String,

    /// What the case is about
    #[arg(long)]
    reason: Prose,

    /// The severity
    #[arg(long, default_value = "medium")]
    severity: Severity,

    #[command(flatten)]
    consent: Consent,
}

/// Assign a case to yourself
#[derive(Debug, Args)]
pub(in crate::cli) struct Assign {
    /// The first digits of the case's digest
    case: String,

    #[command(flatten)]
    consent: Consent,
}

/// Add a comment for the other auditors
#[derive(Debug, Args)]
pub(in crate::cli) struct Comment {
    /// The first digits of the case's digest
    case: String,

    /// The comment
    text: Prose,

    #[command(flatten)]
    consent: Consent,
}

/// Decide a case: the person reads the reason
#[derive(Debug, Args)]
pub(in crate::cli) struct Decide {
    /// The first digits of the case's digest
    case: String,

    /// no-finding, warn, suspend or revoke; the last ends the grant
    outcome: Outcome,

    /// The reason
    #[arg(long)]
    reason: Prose,

    /// Days of the suspension
    #[arg(long, value_name = "DAYS", required_if_eq("outcome", "suspend"))]
    days: Option<u32>,

    #[command(flatten)]
    consent: Consent,
}

/// Appeal against a decision about yourself
#[derive(Debug, Args)]
pub(in crate::cli) struct Appeal {
    /// The first digits of the case's digest
    case: String,

    /// The reason
    #[arg(long)]
    reason: Prose,

    #[command(flatten)]
    consent: Consent,
}

/// An order to take a step: the case, the consent, and the text that is printed once it is taken.
struct StepOrder<'a> {
    case: &'a str,
    consent: &'a Consent,
    said: &'a str,
}

/// What every step needs.
struct Desk {
    signatory: Signatory,
    catalogue: Catalogue,
    statements: Box<dyn Statements>,
}

impl CaseCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        let signatory = Signatory::open(home, output)?;
        let statements = registry::statements(home, output)?;
        let desk = Desk { signatory, catalogue, statements };
        match self {
            Self::List(list) => desk.list(&list, output),
            Self::Show(show) => desk.show(&show.case, output),
            Self::Open(open) => desk.open(open, output),
            Self::Assign(Assign { case, consent }) => {
                let to = desk.signatory.key().id();
                let order = StepOrder { case: &case, consent: &consent, said: "assigned to you" };
                desk.take(order, Step::Assign { to }, output)
            }
            Self::Comment(Comment { case, text, consent }) => {
                let order = StepOrder { case: &case, consent: &consent, said: "comment added for auditors" };
                desk.take(order, Step::Comment { text }, output)
            }
            Self::Decide(decide) => desk.decide(decide, output),
            Self::Appeal(Appeal { case, reason, consent }) => {
                let said = "appealed; the auditors will review it again";
                let order = StepOrder { case: &case, consent: &consent, said };
                desk.take(order, Step::Appeal { text: reason }, output)
            }
        }
    }
}

impl Desk {
    fn list(&self, list: &List, output: Output) -> anyhow::Result<()> {
        let columns = [
            ("CASE", Fit::Whole),
            ("STATE", Fit::Whole),
            ("SEVERITY", Fit::Whole),
            ("CHECKPOINT", Fit::Cut),
            ("PERSON", Fit::Cut),
            ("AGE", Fit::Whole),
            ("REASON", Fit::Cut),
        ];
        let (mut table, mut values) = (Table::new(columns), Vec::new());
        let (now, docket, mut left_out) = (Timestamp::now(), self.docket(), 0);
        for found in self.statements.list(Case::KIND)? {
            let Ok(read) = docket.read(&found) else {
                left_out += 1;
                continue;
            };
            let (case, standing) = (&read.case, read.standing());
            if list.open && !matches!(standing.word(), "open" | "appealed") {
                continue;
            }
            let Case { severity, rules, reason, created, person: who, .. } = &case.predicate;
            let is_open = matches!(standing.word(), "open" | "appealed");
            let name = docket.subject_name(&read);
            table.row([
                Cell::new(registry::short(&found)),
                Cell::new(standing.word()).with_tone(if is_open { Tone::Waits } else { Tone::Faint }),
                Cell::new(severity.as_str()),
                Cell::new(&case.subject.name),
                Cell::new(person(&name, *who)),
                Cell::new(age(*created, now)),
                Cell::new(if rules.is_empty() { reason.to_string() } else { RuleId::list(rules) }),
            ]);
            values.push(json!({ "digest": found.digest, "checkpoint": case.subject.name, "case": case.predicate, "standing": standing }));
        }
        if left_out > 0 {
            output.note(format_args!(
                "note: {left_out} cases are not shown: neither the registry nor a current auditor signed them; `portcullis case show <case>` shows why"
            ));
        }
        let mut page = Page::new();
        page.table_or(&table, "no cases");
        output.page(&values, &page)
    }

    fn show(&self, prefix: &str, output: Output) -> anyhow::Result<()> {
        let found = resolve::case(&*self.statements, prefix)?;
        let docket = self.docket();
        let read = docket.read(&found)?;
        let (case, standing) = (&read.case, read.standing());
        let Case { grant, records, rules, severity, reason, created, .. } = &case.predicate;
        let mut text =
            format!("{}: case {} about {}\n", standing.word(), registry::short(&found), case.subject.name);
        writeln!(text, "  severity  {}", severity.as_str())?;
        writeln!(text, "  grant     {} of {}", short_digest(*grant), docket.subject_name(&read))?;
        if let Err(why) = docket.grant(&read)? {
            writeln!(text, "            not verified: {}", one_line(&why))?;
        }
        let by = docket.opener_name(&read);
        writeln!(text, "  raised    {created} by {}: {}", one_line(&by), one_line(reason.as_str()))?;
        if !rules.is_empty() {
            writeln!(text, "  rules     {}", one_line(&RuleId::list(rules)))?;
        }
        let texts = self.texts(&case.predicate)?;
        for place in records {
            writeln!(text, "  record    {} of journal {}", place.seq, shorten(&place.journal.to_string()))?;
            for (what, describe_step) in texts.get(&place.seq).into_iter().flatten() {
                for line in describe_step.trim_end().lines() {
                    writeln!(text, "    {what}  {line}")?;
                }
            }
        }
        let mut steps = Vec::new();
        for step in &read.steps {
            let by = docket.actor_name(step, &read);
            writeln!(text, "  {}  {}", step.created, one_line(&describe_step(&docket, step, &by)))?;
            steps.push(json!({ "step": **step, "by": by }));
        }
        if let Some(said) = left_out(&read) {
            writeln!(text, "  {said}")?;
        }
        let value = json!({
            "digest": found.digest, "checkpoint": case.subject.name, "case": case.predicate, "by": docket.opener_name(&read),
            "steps": steps, "left_out": read.left_out, "standing": standing, "texts": texts,
        });
        output.result(&value, text)
    }

    /// Prompts and outputs of the records that a case names, if they were sealed to this person.
    fn texts(&self, case: &Case) -> anyhow::Result<BTreeMap<u64, Vec<(&'static str, String)>>> {
        let mut texts: BTreeMap<u64, Vec<(&'static str, String)>> = BTreeMap::new();
        let id = self.signatory.key().id();
        let is_auditor = self
            .catalogue
            .auditors()
            .is_some_and(|auditors| auditors.keys().iter().any(|key| key.id() == id));
        if case.records.is_empty() || !is_auditor {
            return Ok(texts);
        }
        for found in self.statements.list(UsageBatch::KIND)? {
            let Ok(batch) = verify_batch(&found.envelope, self.catalogue.id()) else { continue };
            for (record, digest) in &batch.records {
                let is_named = case.records.iter().any(|place| {
                    (place.journal, place.seq, place.digest) == (record.journal, record.seq, *digest)
                });
                if !is_named {
                    continue;
                }
                let (what, kept) = match &record.event {
                    Event::Begin(begin) => ("prompt", begin.prompt.as_ref()),
                    Event::End(end) => ("output", end.output.as_ref()),
                };
                let opened = kept.map(|kept| kept.open(id, self.signatory.opening_key())).transpose()?;
                if let Some(opened) = opened.flatten() {
                    texts.entry(record.seq).or_default().push((what, opened.to_string()));
                }
                if let Event::Begin(begin) = &record.event
                    && let Some(justification) = &begin.justification
                {
                    texts.entry(record.seq).or_default().push(("reason", justification.to_string()));
                }
            }
        }
        Ok(texts)
    }

    fn open(&self, open: Open, output: Output) -> anyhow::Result<()> {
        let found = resolve::grant(&*self.statements, &open.grant)?;
        let checkpoint = found.envelope.claim::<Grant>()?.predicate.checkpoint;
        let grant = verify_granted(&found.envelope, &self.catalogue.rules_in_force(&checkpoint)?)?;
        let case = Case {
            grant: found.digest,
            person: grant.predicate.researcher.verifying_key.id(),
            records: Vec::new(),
            rules: Vec::new(),
            severity: open.severity,
            reason: open.reason,
            created: Timestamp::now(),
        };
        let name = &grant.predicate.researcher.name;
        let mut papers = Papers::new(format!("open a case about {name}")).about(&open.grant, found.digest);
        papers.quote(&grant);
        let subject = grant.subject.clone();
        papers.add::<Case>(Statement::new(self.catalogue.id(), subject, case).to_envelope()?)?;
        let envelope = self.signatory.sign_one(papers, &open.consent)?;
        self.statements.put(Case::KIND, &envelope, &self.signatory.key())?;
        let digits = short_digest(envelope.digest());
        let text = format!("opened the case {digits} about {}\n", grant.predicate.researcher.name);
        output.result(&json!({ "case": envelope.digest() }), text)
    }

    fn decide(&self, decide: Decide, output: Output) -> anyhow::Result<()> {
        let Decide { case, outcome, reason, days, consent } = decide;
        let now = Timestamp::now();
        if days.is_some() && outcome != Outcome::Suspend {
            return Err(Refusal::usage("only a suspension has days", "leave out --days").into());
        }
        let until = days.map(|days| now.plus_days(days));
        let said = match outcome {
            Outcome::NoFinding => "no finding".to_owned(),
            Outcome::Warn => "the person is warned".to_owned(),
            Outcome::Suspend => format!("suspended: no lease until {}", until.unwrap_or(now)),
            Outcome::Revoke => "the grant is revoked: no further lease is issued".to_owned(),
        };
        let order = StepOrder { case: &case, consent: &consent, said: &said };
        self.take(order, Step::Decide { outcome, reason, until }, output)
    }

    /// Takes a step in a case; one that revokes ends the grant, too, in a statement of its own, which is handed in only once the step was taken.
    fn take(&self, order: StepOrder<'_>, step: Step, output: Output) -> anyhow::Result<()> {
        let found = resolve::case(&*self.statements, order.case)?;
        let docket = self.docket();
        let read = docket.read(&found)?;
        let mut papers = self.papers(&docket, &read)?.about(order.case, found.digest);
        let (subject, created) = (read.case.subject.clone(), Timestamp::now());
        let revocation = match &step {
            Step::Decide { outcome: Outcome::Revoke, reason, .. } => {
                let grant = read.case.predicate.grant;
                Some(Revocation { grant, reason: reason.clone(), created })
            }
            _ => None,
        };
        let step = CaseStep { case: found.digest, step, created };
        let statement = Statement::new(self.catalogue.id(), subject.clone(), step.clone());
        papers.add::<CaseStep>(statement.to_envelope()?)?;
        if let Some(revocation) = revocation {
            let statement = Statement::new(self.catalogue.id(), subject, revocation);
            papers.add::<Revocation>(statement.to_envelope()?)?;
        }
        let mut taken = None;
        for envelope in self.signatory.sign(papers, order.consent)? {
            let kind = if envelope.kind()? == CaseStep::KIND { CaseStep::KIND } else { Revocation::KIND };
            self.statements.put(kind, &envelope, &self.signatory.key())?;
            taken = taken.or(Some(envelope.digest()));
        }
        let text = format!("case {}: {}\n", registry::short(&found), order.said);
        output.result(&json!({ "case": found.digest, "step": taken, "taken": step }), text)
    }

    /// Papers that show a case: whom it is about, what they were granted, what was found, and what happened so far.
    fn papers(&self, docket: &Docket<'_>, read: &VerifiedCase) -> anyhow::Result<Papers> {
        let mut papers = Papers::new(format!("take a step in the case about {}", docket.subject_name(read)));
        papers.quote(&read.case);
        let created = read.case.predicate.created;
        papers.line("raised", format!("{created} by {}", docket.opener_name(read)));
        match docket.grant(read)? {
            Ok(grant) => papers.quote(&grant),
            Err(why) => papers.line("granted", format!("not shown because it is not verified: {why}")),
        }
        for step in &read.steps {
            let by = docket.actor_name(step, read);
            papers.line("so far", format!("{}  {}", step.created, describe_step(docket, step, &by)));
        }
        if let Some(said) = left_out(read) {
            papers.line("so far", said);
        }
        Ok(papers)
    }

    fn docket(&self) -> Docket<'_> {
        Docket::new(&self.catalogue, &*self.statements)
    }
}

/// One step of a case, in words.
fn describe_step(docket: &Docket<'_>, step: &CaseStep, by: &str) -> String {
    match &step.step {
        Step::Assign { to } => format!("assigned to {} by {by}", docket.auditor_name(*to)),
        Step::Comment { text } => format!("noted by {by}: {text}"),
        Step::Decide { outcome, reason, until } => {
            let until = until.map(|until| format!(" until {until}")).unwrap_or_default();
            format!("decided by {by}: {outcome}{until}: {reason}")
        }
        Step::Appeal { text } => format!("appealed by {by}: {text}"),
    }
}

/// That steps of a case are not shown.
fn left_out(read: &VerifiedCase) -> Option<String> {
    let count = read.left_out;
    (count > 0)
        .then(|| format!("not shown: {count} steps that neither a current auditor nor the person signed"))
}

fn shorten(digits: &str) -> &str {
    digits.get(..12).unwrap_or(digits)
}
