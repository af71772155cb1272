//! `portcullis catalogue review`: what is proposed, in plain words.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::{diff, require_trusted_base, words};
use crate::catalogue::{Change, Repository, Review, Roster, TargetFile, TargetPath};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::units;
use crate::statement::Quorum;
use crate::time::Timestamp;

/// Show what is proposed, in plain words, before you sign
#[derive(Debug, Args)]
pub(in crate::cli) struct ReviewCommand {
    /// The catalogue's folder
    folder: PathBuf,
}

type File<'a> = Option<&'a (TargetFile, Option<Vec<u8>>)>;

impl ReviewCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        require_trusted_base(&self.folder, home, now, output)?;
        let repository = Repository::at(&self.folder);
        let reviews = repository.review()?;
        let roster = repository.roster()?;
        let mut text = String::new();
        if reviews.is_empty() {
            writeln!(text, "nothing is proposed")?;
        }
        let mut json = Vec::new();
        for Review { changes, standing } in &reviews {
            writeln!(text, "{}, version {}", standing.subject, standing.version)?;
            let changes: Vec<_> = changes.iter().map(|change| describe(change, &roster, now)).collect();
            for change in &changes {
                writeln!(text, "  {}", change.trim_end())?;
            }
            for tally in &standing.tallies {
                writeln!(text, "  {}", words::tally(tally, &roster))?;
            }
            let mut review = words::standing_json(standing, &roster);
            review["changes"] = Value::from(changes);
            json.push(review);
        }
        output.result(&json!({ "proposed": json }), text)
    }
}

fn describe(change: &Change, roster: &Roster, now: Timestamp) -> String {
    match change {
        Change::File { path, before, after } => describe_file(path, before.as_ref(), after.as_ref()),
        Change::Signers { before, after } => describe_signers(before.as_ref(), after.as_ref(), roster),
        Change::Expiry { before, after } => {
            let was = before.map(|before| format!(" (was {})", before.date())).unwrap_or_default();
            format!("expires {}, {}{was}", after.date(), words::from_now(*after, now))
        }
    }
}

fn describe_file(path: &TargetPath, before: File<'_>, after: File<'_>) -> String {
    let size = |file: &TargetFile| format!("{}, SHA-256 {}", units::bytes(file.length), file.hashes.sha256);
    match (before, after) {
        (None, Some((after, bytes))) => {
            let body = text(bytes.as_deref()).and_then(|text| diff::unified("", &text)).unwrap_or_default();
            // A card's signature is no reading; its owner is named where the keys are.
            let body = if path.as_str().starts_with("cards/") { String::new() } else { body };
            format!("adds {path} ({})\n{body}", size(after))
        }
        (Some((before, _)), None) => format!("removes {path} ({})", size(before)),
        (Some((before, old)), Some((after, new))) => {
            let words = in_words(path, old.as_deref(), new.as_deref());
            let texts = text(old.as_deref()).zip(text(new.as_deref()));
            let body = texts.and_then(|(old, new)| diff::unified(&old, &new)).unwrap_or_default();
            format!("replaces {path} ({}; was {})\n{words}{body}", size(after), size(before))
        }
        (None, None) => String::new(),
    }
}

/// What a file's change means to people, where its room can say so: the place for a policy's diff in words.
fn in_words(path: &TargetPath, before: Option<&[u8]>, after: Option<&[u8]>) -> String {
    let _ = (path, before, after);
    String::new()
}

/// Text that a person can read.
fn text(bytes: Option<&[u8]>) -> Option<String> {
    String::from_utf8(bytes?.to_vec()).ok().filter(|text| !text.contains('\0'))
}

fn describe_signers(before: Option<&Quorum>, after: Option<&Quorum>, roster: &Roster) -> String {
    let none = BTreeSet::new();
    let (old, new) = (before.map_or(&none, Quorum::keys), after.map_or(&none, Quorum::keys));
    let quorum = after.or(before).map(Quorum::name).unwrap_or_default();
    let threshold = |quorum: Option<&Quorum>| quorum.map_or(0, Quorum::threshold);
    if before.is_none() {
        return format!("{quorum}: {} of {}", threshold(after), words::names_and_ids(new, roster));
    }
    if after.is_none() {
        return format!("{quorum} is dissolved");
    }
    let mut parts = Vec::new();
    let gone: Vec<_> = old.difference(new).collect();
    let come: Vec<_> = new.difference(old).collect();
    if !gone.is_empty() {
        parts.push(format!("{} leaves", words::names(gone, roster)));
    }
    if !come.is_empty() {
        parts.push(format!("{} joins", words::names_and_ids(come, roster)));
    }
    parts.push(format!("threshold {} (was {})", threshold(after), threshold(before)));
    format!("{quorum}: {}", parts.join(", "))
}
