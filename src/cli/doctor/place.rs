//! What a home has to do with its registry: whether it answers, the clock, the catalogue, the vault and the journal.

use super::Check;
use crate::catalogue::CLOCK_TOLERANCE;
use crate::cli::home::{Home, Place};
use crate::cli::output::Output;
use crate::cli::{files, registry};
use crate::client::remote::RemoteRegistry;
use crate::statement::verify_card;
use crate::time::Timestamp;
use crate::usage::Journal;

/// A clock that is off by more than this many seconds is worth a word.
const NOTED_SECONDS: i64 = 60;
/// A catalogue that expires in fewer seconds is worth a word.
const SOON: i64 = 2 * 24 * 3600;

/// The registry, the clock beside its, and the catalogue.
pub(super) fn check_registry(home: &Home, now: Timestamp, output: Output) -> Vec<Check> {
    let place = match home.has_joined().and_then(|joined| joined.then(|| home.place()).transpose()) {
        Ok(Some(place)) => place,
        Ok(None) => {
            let next = "join one: `portcullis join <invitation>`, or `portcullis join <registry> --root 1.root.json`";
            return vec![Check::warning("registry", "this home has joined no registry", next)];
        }
        Err(error) => return vec![Check::failed("registry", error)],
    };
    let (mut checks, is_there) = match &place {
        Place::Folder(folder) if folder.join("catalogue").is_dir() => {
            (vec![Check::good("registry", format!("the folder {}", folder.display()))], true)
        }
        Place::Folder(folder) => {
            let found = format!("{} has no catalogue", folder.display());
            (vec![Check::bad("registry", found, "check that the folder is mounted or up to date")], false)
        }
        Place::Address(address) => match registry::remote(home, address, output) {
            Ok(remote) => check_server(&remote, home, now),
            Err(error) => (vec![Check::failed("registry", error)], false),
        },
    };
    checks.push(check_catalogue(home, is_there, now, output));
    checks
}

/// A registry that is a server: whether it answers, as whom, and what its clock says.
fn check_server(remote: &RemoteRegistry, home: &Home, now: Timestamp) -> (Vec<Check>, bool) {
    let (info, clock) = match remote.info_and_clock() {
        Ok(answer) => answer,
        Err(error) => return (vec![Check::failed("registry", error)], false),
    };
    let url = remote.base().to_string();
    let trusted = registry::client(home).load_offline(now).ok();
    let is_another =
        trusted.is_some_and(|trusted| !trusted.registry().keys().iter().any(|key| key.id() == info.key_id));
    let is_local =
        ["http://127.", "http://localhost", "http://[::1]"].iter().any(|begin| url.starts_with(begin));
    let found = if is_another {
        Check::bad(
            "registry",
            format!("{url} answers with the key {}, which the catalogue does not name", info.key_id.short()),
            "refresh with `portcullis catalogue refresh`; if it does not change, another registry is at this address: ask its operator",
        )
    } else if url.starts_with("https://") {
        Check::good("registry", format!("{url} answers, version {}; its certificate is valid", info.version))
    } else if is_local {
        Check::good("registry", format!("{url} answers, version {}", info.version))
    } else {
        Check::warning(
            "registry",
            format!("{url} answers, version {}, and the connection is not encrypted", info.version),
            "ask its operator for an https address ([tls] in portcullis.toml)",
        )
    };
    (vec![found, check_clock(clock, now)], true)
}

fn check_clock(registry: Option<Timestamp>, now: Timestamp) -> Check {
    let Some(registry) = registry else {
        return Check::warning("clock", "the registry sends no time", "compare this machine's clock by hand");
    };
    let ahead = now.seconds_since(registry);
    let (by, way) = (ahead.abs(), if ahead > 0 { "ahead of" } else { "behind" });
    let found = format!("{by} s {way} the registry's");
    match by {
        _ if by > CLOCK_TOLERANCE => Check::bad(
            "clock",
            found,
            "set this machine's clock, for instance by NTP; or tell the operator to set theirs",
        ),
        _ if by > NOTED_SECONDS => Check::warning("clock", found, "correct this machine's clock"),
        _ => Check::good("clock", "within a minute of the registry's"),
    }
}

fn check_catalogue(home: &Home, is_there: bool, now: Timestamp, output: Output) -> Check {
    let client = registry::client(home);
    let trusted = if is_there {
        registry::catalogue_remote(home, output).and_then(|remote| Ok(client.refresh(&*remote, now)?))
    } else {
        client.load_offline(now).map_err(Into::into)
    };
    let trusted = match trusted {
        Ok(trusted) => trusted,
        Err(error) => return Check::failed("catalogue", error),
    };
    let roles = trusted.roles().unwrap_or_default();
    let first = roles.iter().min_by_key(|role| role.expires);
    let Some(first) = first else { return Check::bad("catalogue", "it is empty", "ask its owners") };
    let found = format!("valid; {} expires first, on {}", first.role, first.expires.date());
    if first.expires.seconds_since(now) < SOON {
        let next = "its signers renew it: the registry its timestamp, a board with `portcullis catalogue propose <checkpoint>`";
        return Check::warning("catalogue", found, next);
    }
    Check::good("catalogue", found)
}

/// Grants, leases and shares that can still be read.
pub(super) fn check_vault(home: &Home) -> Check {
    let statements = match registry::vault(home) {
        Ok(vault) if vault.folder().is_dir() => vault.statements(),
        _ => return Check::good("vault", "nothing is in it yet"),
    };
    let mut damaged = Vec::new();
    for kind in ["grant", "share", "lease"] {
        match statements.damaged(kind) {
            Ok(found) => damaged.extend(found),
            Err(error) => return Check::failed("vault", error),
        }
    }
    match damaged.as_slice() {
        [] => Check::good("vault", "every statement is readable"),
        [path, ..] => Check::bad(
            "vault",
            format!("{} of its files are damaged, such as {}", damaged.len(), path.display()),
            "remove them and run `portcullis pull <checkpoint>` again: it brings the registry's copies",
        ),
    }
}

/// The usage journal, verified record by record.
pub(super) fn check_journal(home: &Home) -> Check {
    let journal = match Journal::open_existing(&home.journal()) {
        Ok(Some(journal)) => journal,
        Ok(None) => return Check::good("journal", "nothing was recorded on this machine yet"),
        Err(error) => return Check::failed("journal", error),
    };
    let card = files::envelope(&home.card_path()).and_then(|card| Ok(verify_card(&card)?));
    let summary = match card {
        Ok(card) => journal.verify(&card.verifying_key, &mut |_| {}),
        Err(error) => return Check::failed("journal", error),
    };
    match summary {
        Err(error) => Check::failed("journal", error),
        Ok(summary) => {
            let waiting = summary.records.saturating_sub(summary.synced);
            let found = format!("{} records hold, {waiting} of them not synced yet", summary.records);
            if summary.open > summary.under_way.len() {
                let next = "`portcullis usage status` lists the generations without an end";
                return Check::warning("journal", found, next);
            }
            Check::good("journal", found)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn a_clock_is_held_against_the_registrys() {
        let registry = Timestamp::from_unix_seconds(1_800_000_000);
        let state = |ahead| check_clock(Some(registry), registry.plus_seconds(ahead)).state;
        assert_eq!(
            [state(0), state(-60), state(61), state(-300)],
            [State::Good, State::Good, State::Warning, State::Warning]
        );
        assert_eq!([state(301), state(-86400)], [State::Bad, State::Bad]);
        assert_eq!(
            check_clock(Some(registry), registry.plus_seconds(-400)).found,
            "400 s behind the registry's"
        );
        assert_eq!(check_clock(None, registry).state, State::Warning);
    }
}
