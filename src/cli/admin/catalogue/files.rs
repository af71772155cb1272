//! What a proposed file means to people: a policy by who gains and who loses, a stage by its conditions, a card by its owner, the
//! rest line by line.

use std::collections::BTreeSet;

use super::conditions::Conditions;
use super::{diff, words};
use crate::catalogue::{CheckpointFile, Organizations, Roster, StageTarget, Subject, TargetFile, TargetPath};
use crate::cli::units;
use crate::policy::{self, Policy};
use crate::statement::{Envelope, verify_card};

type File<'a> = Option<&'a (TargetFile, Option<Vec<u8>>)>;

/// One file's change, over as many lines as it takes.
pub(super) fn describe(
    path: &TargetPath,
    before: File<'_>,
    after: File<'_>,
    conditions: &Conditions<'_>,
) -> anyhow::Result<String> {
    let size = |file: &TargetFile| format!("{}, SHA-256 {}", units::bytes(file.length), file.hashes.sha256);
    let bytes = |file: File<'_>| file.and_then(|(_, bytes)| bytes.clone());
    let (old, new) = (bytes(before), bytes(after));
    if let (None, Some(owner)) = (before, new.as_deref().and_then(|new| owner(path, new))) {
        return Ok(format!("adds the card of {owner}"));
    }
    let head = match (before, after) {
        (None, Some((after, _))) => format!("adds {path} ({})", size(after)),
        (Some((before, _)), None) => return Ok(format!("removes {path} ({})", size(before))),
        (Some((before, _)), Some((after, _))) => {
            format!("replaces {path} ({}; was {})", size(after), size(before))
        }
        (None, None) => String::new(),
    };
    let words: String = in_words(path, old.as_deref(), new.as_deref(), conditions)?
        .iter()
        .map(|line| format!("    {line}\n"))
        .collect();
    let texts = text(new.as_deref()).map(|new| (text(old.as_deref()).unwrap_or_default(), new));
    let is_manifest = path.as_str().ends_with(CheckpointFile::Manifest.name());
    let is_said = *path == TargetPath::organizations();
    let body = texts.filter(|_| !is_manifest && !is_said).and_then(|(old, new)| diff::unified(&old, &new));
    Ok(format!("{head}\n{words}{}", body.unwrap_or_default()))
}

/// Whose card it is; a card's signature is no reading, and the path holds the key id.
fn owner(path: &TargetPath, bytes: &[u8]) -> Option<String> {
    let card = verify_card(&Envelope::parse(bytes).ok()?).ok()?;
    let is_theirs = TargetPath::card(&card.verifying_key) == *path;
    is_theirs.then(|| format!("{} (key {})", card.name, card.verifying_key.id().short()))
}

/// What a checkpoint's file means, as its room can say it.
fn in_words(
    path: &TargetPath,
    before: Option<&[u8]>,
    after: Option<&[u8]>,
    conditions: &Conditions<'_>,
) -> anyhow::Result<Vec<String>> {
    if *path == TargetPath::organizations() {
        return registrars_in_words(before, after, &conditions.repository.roster()?);
    }
    let (Subject::Board(checkpoint), Some(after)) = (conditions.subject, after) else {
        return Ok(Vec::new());
    };
    if *path == CheckpointFile::Policy.target_path(checkpoint) {
        return Ok(policy_in_words(before, after));
    }
    if *path == CheckpointFile::Stage.target_path(checkpoint) {
        return stage_in_words(before, after, conditions);
    }
    Ok(Vec::new())
}

/// Who may confirm people of which organization from now on, and who no longer.
fn registrars_in_words(
    before: Option<&[u8]>,
    after: Option<&[u8]>,
    roster: &Roster,
) -> anyhow::Result<Vec<String>> {
    let parse =
        |bytes: Option<&[u8]>| bytes.map_or_else(|| Ok(Organizations::default()), Organizations::parse);
    let Ok(after) = parse(after) else {
        return Ok(vec!["warning: this names no registrars that any program can use".to_owned()]);
    };
    let (before, none) = (parse(before).unwrap_or_default(), BTreeSet::new());
    let names: BTreeSet<_> = before.iter().chain(after.iter()).map(|(name, _)| name).collect();
    let mut lines = Vec::new();
    for name in &names {
        let (old, new) = (before.registrars(name).unwrap_or(&none), after.registrars(name).unwrap_or(&none));
        let (come, gone): (Vec<_>, Vec<_>) = (new.difference(old).collect(), old.difference(new).collect());
        let alike = names.iter().find(|other| other != &name && other.is_confusable_with(name));
        let caution = match (name.has_mixed_scripts(), alike) {
            (true, _) => "; BEWARE: letters of several scripts".to_owned(),
            (false, Some(other)) => format!("; BEWARE: looks like {other}"),
            (false, None) => String::new(),
        };
        if !come.is_empty() {
            let who = words::names_and_ids(come, roster);
            lines.push(format!("may confirm people of {name}: {who}{caution}"));
        }
        if !gone.is_empty() {
            let who = words::names_and_ids(gone, roster);
            lines.push(format!(
                "confirms nobody of {name} any more: {who}; what they confirmed stops counting"
            ));
        }
    }
    Ok(lines)
}

fn policy_in_words(before: Option<&[u8]>, after: &[u8]) -> Vec<String> {
    let parse = |bytes: &[u8]| Policy::parse(&String::from_utf8_lossy(bytes));
    let after = match parse(after) {
        Ok(policy) => policy,
        Err(_) => return vec!["warning: this is no policy that any program can use".to_owned()],
    };
    let stages: Vec<_> = after.stages.iter().map(|stage| stage.name.as_str()).collect();
    let first =
        vec![format!("version {}, until {}: {}", after.version, after.expires, stages.join(", then "))];
    match before.map(parse) {
        Some(Ok(before)) => policy::diff(&before, &after).iter().map(ToString::to_string).collect(),
        Some(Err(_)) | None => first,
    }
}

fn stage_in_words(
    before: Option<&[u8]>,
    after: &[u8],
    conditions: &Conditions<'_>,
) -> anyhow::Result<Vec<String>> {
    let Ok(after) = crate::json::from_slice::<StageTarget>(after) else {
        return Ok(vec!["warning: this names no stage that any program can use".to_owned()]);
    };
    let before: Option<StageTarget> = before.and_then(|bytes| crate::json::from_slice(bytes).ok());
    if before.as_ref().is_some_and(|before| before.stage == after.stage) {
        let words = format!("warning: it is in {} already: its days would count anew", after.stage);
        return Ok(vec![words]);
    }
    let from = before.map_or_else(|| "not released".to_owned(), |before| before.stage.to_string());
    let mut lines = vec![format!("moves from {from} to {}", after.stage)];
    let unmet = conditions.unmet(&after.stage)?;
    lines.extend(unmet.into_iter().map(|rule| format!("warning: the policy's rule is not met: {rule}")));
    Ok(lines)
}

/// Text that a person can read.
fn text(bytes: Option<&[u8]>) -> Option<String> {
    String::from_utf8(bytes?.to_vec()).ok().filter(|text| !text.contains('\0'))
}
