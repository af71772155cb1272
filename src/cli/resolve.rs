//! What people name by first digits: requests, grants, cases, people. The one place that reads such digits; if they name nothing, or
//! several things, it says what they may have meant.

use crate::access::{DigestPrefix, ExchangeError, Found, Grant, Request, Statements};
use crate::cli::failure::Refusal;
use crate::cli::people::person;
use crate::cli::registry;
use crate::cli::units::age;
use crate::client::Catalogue;
use crate::identity::VerifyingKey;
use crate::misuse::Case;
use crate::statement::Predicate as _;
use crate::time::Timestamp;
use crate::visible::one_line;

/// How many digits may be wrong for a guess.
const MAX_MISTAKES: usize = 2;
/// How many guesses are shown.
const MAX_GUESSES: usize = 5;

/// The request that begins with these digits, every signature of it in one envelope.
pub(in crate::cli) fn request(statements: &dyn Statements, typed: &str) -> anyhow::Result<Found> {
    find_one(statements, Request::KIND, typed)
}

/// The grant that begins with these digits.
pub(in crate::cli) fn grant(statements: &dyn Statements, typed: &str) -> anyhow::Result<Found> {
    find_one(statements, Grant::KIND, typed)
}

/// The case that begins with these digits.
pub(in crate::cli) fn case(statements: &dyn Statements, typed: &str) -> anyhow::Result<Found> {
    find_one(statements, Case::KIND, typed)
}

fn find_one(statements: &dyn Statements, kind: &'static str, typed: &str) -> anyhow::Result<Found> {
    match statements.find(kind, typed) {
        Err(ExchangeError::Ambiguous { count, prefix, .. }) => {
            Err(refusal(statements, kind, &prefix, count)?.into())
        }
        found => Ok(found?),
    }
}

/// What names nothing, or several things, with what may be meant.
fn refusal(
    statements: &dyn Statements,
    kind: &'static str,
    prefix: &str,
    count: usize,
) -> anyhow::Result<Refusal> {
    let now = Timestamp::now();
    let ambiguous = ExchangeError::Ambiguous { kind, prefix: prefix.to_owned(), count };
    let mut known = statements.merged(kind)?;
    if count > 1 {
        known.retain(|found| found.digest.to_string().starts_with(prefix));
        return Ok(Refusal::usage(ambiguous.to_string(), format!("give more digits: {}", list(&known, now))));
    }
    for other in [Request::KIND, Grant::KIND].into_iter().filter(|other| *other != kind) {
        if let Ok(found) = statements.find(other, prefix) {
            let message = format!("`{prefix}` is a {other}, not a {kind}");
            let related = known.iter().find(|known| is_related(known, &found));
            let hint = related.map_or_else(
                || format!("list them with `{}`", command(kind)),
                |related| format!("did you mean the {kind} {}?", describe(related, now)),
            );
            return Ok(Refusal::usage(message, hint));
        }
    }
    known.retain(|found| {
        let begins: String = found.digest.to_string().chars().take(prefix.len()).collect();
        strsim::levenshtein(prefix, &begins) <= MAX_MISTAKES
    });
    let hint = match known.len() {
        0 => format!("list them with `{}`", command(kind)),
        _ => format!("did you mean {}? list them with `{}`", list(&known, now), command(kind)),
    };
    Ok(Refusal::usage(ambiguous.to_string(), hint))
}

/// Whether one of the two is a grant that answers the other.
fn is_related(one: &Found, other: &Found) -> bool {
    let answers = |grant: &Found, request: &Found| {
        grant.envelope.claim::<Grant>().is_ok_and(|claim| claim.predicate.request == request.digest)
    };
    answers(one, other) || answers(other, one)
}

/// The command that lists statements of a kind.
fn command(kind: &str) -> String {
    format!("portcullis {kind} list")
}

fn list(found: &[Found], now: Timestamp) -> String {
    let shown: Vec<_> = found.iter().take(MAX_GUESSES).map(|found| describe(found, now)).collect();
    let rest = found.len().saturating_sub(MAX_GUESSES);
    let rest = if rest == 0 { String::new() } else { format!(" and {rest} more") };
    format!("{}{rest}", shown.join(", "))
}

/// `3f2a9c81d0e4 (tiny, Rosa (81be02aa), 3 h)`.
fn describe(found: &Found, now: Timestamp) -> String {
    let digits = registry::short(found);
    let said = match found.envelope.kind().ok().as_deref() {
        Some(Request::KIND) => found.envelope.claim::<Request>().ok().map(|claim| {
            let asked = claim.predicate;
            let who = person(&asked.card.name, asked.card.verifying_key.id());
            (asked.checkpoint.to_string(), who, asked.created)
        }),
        Some(Grant::KIND) => found.envelope.claim::<Grant>().ok().map(|claim| {
            let granted = claim.predicate;
            let who = person(&granted.researcher.name, granted.researcher.verifying_key.id());
            (granted.checkpoint.to_string(), who, granted.issued)
        }),
        Some(Case::KIND) => found.envelope.claim::<Case>().ok().map(|claim| {
            let who = format!("key {}", claim.predicate.person.short());
            (claim.subject.name, who, claim.predicate.created)
        }),
        _ => None,
    };
    match said {
        Some((checkpoint, who, at)) => {
            format!("{digits} ({}, {}, {})", one_line(&checkpoint), one_line(&who), age(at, now))
        }
        None => digits,
    }
}

/// The one among `keys` that a person names: by first digits of its id, in either case, or by its owner's name.
pub(in crate::cli) fn key<'a>(
    keys: impl IntoIterator<Item = &'a VerifyingKey>,
    typed: &str,
    catalogue: &Catalogue,
) -> anyhow::Result<VerifyingKey> {
    let digits = DigestPrefix::parse("person", typed).ok();
    let mut people: Vec<_> = keys.into_iter().map(|key| (*key, catalogue.name_of(key))).collect();
    people.sort_by(|one, other| one.1.cmp(&other.1));
    let is_meant = |(key, name): &&(VerifyingKey, String)| {
        let by_digits =
            digits.as_ref().is_some_and(|digits| key.id().to_string().starts_with(digits.as_str()));
        by_digits || name.to_lowercase() == typed.trim().to_lowercase()
    };
    let meant: Vec<_> = people.iter().filter(is_meant).collect();
    let listed = |people: &[&(VerifyingKey, String)]| {
        people.iter().map(|(key, name)| person(name, key.id())).collect::<Vec<_>>().join(", ")
    };
    match meant.as_slice() {
        [(key, _)] => Ok(*key),
        [] => {
            let message = format!("`{typed}` names no one here");
            let all: Vec<_> = people.iter().collect();
            Err(Refusal::usage(message, format!("give a name, or six digits of a key id: {}", listed(&all)))
                .into())
        }
        several => {
            let message = format!("`{typed}` may be any of {}", several.len());
            Err(Refusal::usage(message, format!("give more digits: {}", listed(several))).into())
        }
    }
}
