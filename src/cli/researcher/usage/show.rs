//! `portcullis usage show`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use super::{nothing_recorded, verify};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::cli::table::{Cell, Fit, Table, Tone};
use crate::cli::units::{age, count, counted};
use crate::misuse::RuleId;
use crate::name::CheckpointId;
use crate::time::Timestamp;
use crate::usage::{Begin, End, Event, Finish, SignedRecord};

/// List the records of this machine's journal, each checked
#[derive(Debug, Args)]
pub(in crate::cli) struct Show {
    /// Only the last N
    #[arg(long, value_name = "N")]
    last: Option<usize>,
}

impl Show {
    pub(super) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let mut records = Vec::new();
        verify(home, &mut |record| records.push(record.clone()))?;
        let skip = records.len().saturating_sub(self.last.unwrap_or(usize::MAX));
        let mut page = Page::new();
        match records.is_empty() {
            true => nothing_recorded(&mut page),
            false => page.table(&table(&records, skip, Timestamp::now())),
        }
        let values: Vec<Value> = records.iter().skip(skip).map(|record| json!(record.record())).collect();
        output.page(&values, &page)
    }
}

/// The records of a journal from the place `skip` on.
fn table(records: &[SignedRecord], skip: usize, now: Timestamp) -> Table<7> {
    let mut table = Table::new([
        ("RECORD", Fit::Whole),
        ("AGE", Fit::Whole),
        ("EVENT", Fit::Whole),
        ("CHECKPOINT", Fit::Cut),
        ("TOKENS", Fit::Whole),
        ("RESULT", Fit::Cut),
        ("RULES", Fit::Cut),
    ]);
    // An end names its beginning, and that the checkpoint.
    let mut checkpoints: BTreeMap<u64, &CheckpointId> = BTreeMap::new();
    for (place, record) in records.iter().map(SignedRecord::record).enumerate() {
        let (what, checkpoint, tokens, how, hits) = match &record.event {
            Event::Begin(begin) => {
                checkpoints.insert(record.seq, &begin.checkpoint);
                let tokens =
                    format!("{} in, up to {} out", count(begin.prompt_tokens), count(begin.max_tokens));
                (begun(begin), Some(&begin.checkpoint), tokens, Cell::new(kept(begin)), &begin.hits)
            }
            Event::End(end) => {
                let what = Cell::new(format!("end of {}", end.begin));
                let checkpoint = checkpoints.get(&end.begin).copied();
                (what, checkpoint, format!("{} out", count(end.tokens)), ended(end), &end.hits)
            }
        };
        if place < skip {
            continue;
        }
        let checkpoint = checkpoint.map(Cell::new).unwrap_or_default();
        let rules = if hits.is_empty() { Cell::default() } else { Cell::new(RuleId::list(hits)) };
        table.row([
            Cell::new(record.seq),
            Cell::new(age(record.at, now)),
            what,
            checkpoint,
            Cell::new(tokens),
            how,
            rules.with_tone(Tone::Waits),
        ]);
    }
    table
}

fn begun(begin: &Begin) -> Cell {
    if begin.blocked { Cell::new("blocked").with_tone(Tone::Bad) } else { Cell::new("begin") }
}

/// What is kept of a prompt.
fn kept(begin: &Begin) -> String {
    match &begin.prompt {
        None => "counts only".to_owned(),
        Some(kept) if kept.sealed.is_empty() => {
            format!("prompt {}", kept.sha256.to_string().chars().take(12).collect::<String>())
        }
        Some(kept) => format!("prompt sealed to {}", counted(kept.sealed.len(), "auditor")),
    }
}

fn ended(end: &End) -> Cell {
    let tone = match end.finish {
        Finish::Failed | Finish::Killed => Tone::Bad,
        _ => Tone::Plain,
    };
    Cell::new(end.finish).with_tone(tone)
}
