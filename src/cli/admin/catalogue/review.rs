//! `portcullis catalogue review`: what is proposed, in plain words.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use clap::Args;
use serde_json::{Value, json};

use super::conditions::Conditions;
use super::workshop::Workshop;
use super::{files, words};
use crate::catalogue::{Change, CheckpointFile, Client, Repository, Review, Roster, StageTarget};
use crate::cli::admin::policy::grants::{Grants, Proposed};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::client;
use crate::digest::Sha256Digest;
use crate::statement::Quorum;
use crate::time::Timestamp;

/// Show what is proposed, in plain words, with the digest that `catalogue sign` wants
#[derive(Debug, Args)]
pub(in crate::cli) struct ReviewCommand {}

impl ReviewCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let workshop = Workshop::open(home, output)?;
        let client = Client::new(home.catalogue_state());
        if client.root()?.is_none() {
            output.note("note: this home trusts no catalogue yet, so nothing but its own signatures vouches for what is published there");
        } else {
            workshop.require_trusted_base(home, now)?;
        }
        let repository = workshop.repository();
        let reviews = repository.review()?;
        let roster = repository.roster()?;
        let reader = Reader { repository, roster: &roster, now };
        let mut text = String::new();
        if reviews.is_empty() && workshop.refused().is_empty() {
            writeln!(text, "nothing is proposed")?;
        }
        let mut proposed = Vec::new();
        for review in &reviews {
            let words = reader.read(review)?;
            text += &words.text;
            let grants = replaced_policy(review).map(|new| ended_grants(new, review, home, output));
            if let Some((line, _)) = &grants {
                writeln!(text, "  {line}")?;
            }
            writeln!(
                text,
                "  sign it with `portcullis catalogue sign {0} {1}`",
                review.standing.subject, review.standing.digest
            )?;
            let mut value = words::standing_json(&review.standing, &roster);
            value["changes"] = Value::from(words.changes);
            if let Some((_, grants)) = grants {
                value["grants"] = grants;
            }
            proposed.push(value);
        }
        let mut refused = Vec::new();
        for (subject, error) in workshop.refused() {
            writeln!(text, "{subject}: refused: {error}")?;
            refused.push(json!({ "role": subject.to_string(), "reason": error.to_string() }));
        }
        output.result(&json!({ "proposed": proposed, "refused": refused }), text)
    }
}

/// The text of a policy that would follow one in force.
fn replaced_policy(review: &Review) -> Option<&[u8]> {
    review.changes.iter().find_map(|change| match change {
        Change::File { path, before: Some(_), after: Some((_, Some(bytes))) }
            if path.as_str().ends_with("/policy.toml") =>
        {
            Some(bytes.as_slice())
        }
        _ => None,
    })
}

/// The new bytes of a file of a checkpoint, if a proposal replaces it.
fn replaced(review: &Review, file: CheckpointFile) -> Option<&[u8]> {
    let name = format!("/{}", file.name());
    review.changes.iter().find_map(|change| match change {
        Change::File { path, after: Some((_, Some(bytes))), .. } if path.as_str().ends_with(&name) => {
            Some(bytes.as_slice())
        }
        _ => None,
    })
}

/// What becomes of the grants that stand: in words, and for programs. Whoever may not read them is told that it is not known.
fn ended_grants(text: &[u8], review: &Review, home: &Home, output: Output) -> (String, Value) {
    let policy = &*String::from_utf8_lossy(text);
    let digest = |file| replaced(review, file).map(Sha256Digest::compute);
    let stage = replaced(review, CheckpointFile::Stage);
    let stage = stage.and_then(|bytes| crate::json::from_slice::<StageTarget>(bytes).ok());
    let proposed = Proposed {
        policy,
        agreement: digest(CheckpointFile::Agreement),
        manifest: digest(CheckpointFile::Manifest),
        stage: stage.and_then(|target| target.stage.as_str().parse().ok()),
    };
    let read = || Grants::under(proposed, home, output);
    match read() {
        Ok(grants) => (grants.summary(), grants.json()),
        // Without a stage nobody was granted anything.
        Err(error) if matches!(error.downcast_ref(), Some(client::Error::NotPublished { .. })) => {
            ("ends no grant".to_owned(), json!({ "grants": [], "kept": 0, "end": 0 }))
        }
        Err(error) => {
            let line = format!(
                "ends the grants made under the policy in force; how many and whose is not known here: {error:#}"
            );
            (line, json!({ "unknown": format!("{error:#}") }))
        }
    }
}

/// What a proposal is read with.
pub(super) struct Reader<'a> {
    pub(super) repository: &'a Repository,
    pub(super) roster: &'a Roster,
    pub(super) now: Timestamp,
}

/// A proposal in words.
pub(super) struct Words {
    /// All of it.
    pub(super) text: String,
    /// What it changes, one by one.
    changes: Vec<String>,
}

impl Reader<'_> {
    /// One proposal, in words.
    pub(super) fn read(&self, review: &Review) -> anyhow::Result<Words> {
        let Review { changes, standing } = review;
        let conditions =
            Conditions { repository: self.repository, subject: &standing.subject, now: self.now };
        let changes: Vec<_> = changes
            .iter()
            .map(|change| describe(change, self.roster, &conditions))
            .collect::<Result<_, _>>()?;
        let changes = in_order(changes);
        let mut text = format!("{}, version {}\n", standing.subject, standing.version);
        for change in &changes {
            writeln!(text, "  {}", change.trim_end())?;
        }
        for tally in &standing.tallies {
            writeln!(text, "  {}", words::tally(tally, self.roster))?;
        }
        let members: BTreeSet<_> = standing.tallies.iter().flat_map(|tally| tally.quorum.keys()).collect();
        let others = standing.proposers.iter().filter(|key| !members.contains(key));
        let others: Vec<_> = others.collect();
        if !others.is_empty() {
            writeln!(text, "  proposed by {}, who has no say in it", words::names(others, self.roster))?;
        }
        writeln!(text, "  digest {}", standing.digest)?;
        Ok(Words { text, changes })
    }
}

/// Cards in the order of their owners' names, which the order of their digests would shuffle.
fn in_order(mut changes: Vec<String>) -> Vec<String> {
    changes.sort_by_key(|change| {
        let is_card = change.starts_with("adds the card");
        (is_card, if is_card { change.clone() } else { String::new() })
    });
    changes
}

fn describe(change: &Change, roster: &Roster, conditions: &Conditions<'_>) -> anyhow::Result<String> {
    Ok(match change {
        Change::File { path, before, after } => {
            files::describe(path, before.as_ref(), after.as_ref(), conditions)?
        }
        Change::Signers { before, after } => describe_signers(before.as_ref(), after.as_ref(), roster),
        Change::Expiry { before, after } => {
            let was = before.map(|before| format!(" (was {})", before.date())).unwrap_or_default();
            format!("expires {}, {}{was}", after.date(), words::from_now(*after, conditions.now))
        }
    })
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
        let leave = if gone.len() == 1 { "leaves" } else { "leave" };
        parts.push(format!("{} {leave}", words::names(gone, roster)));
    }
    if !come.is_empty() {
        let join = if come.len() == 1 { "joins" } else { "join" };
        parts.push(format!("{} {join}", words::names_and_ids(come, roster)));
    }
    parts.push(format!("threshold {} (was {})", threshold(after), threshold(before)));
    format!("{quorum}: {}", parts.join(", "))
}
