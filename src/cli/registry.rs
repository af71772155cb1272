//! What commands of every person do with the registry, be it a folder or a server: refresh the catalogue, find the rules, read the
//! statements.

use std::sync::Arc;

use super::home::{Home, Place};
use super::outage::HomeLine;
use super::output::Output;
use super::session::HomeCredentials;
use crate::access::{Exchange, Found, RulesInForce, Statements};
use crate::catalogue::{self, Client, Folder, Remote};
use crate::checkpoint::fetch::BaseUrl;
use crate::client::remote::RemoteRegistry;
use crate::client::{self, Catalogue, Record, Vault};
use crate::name::CheckpointId;
use crate::progress::Progress;
use crate::seal::Locks;
use crate::time::Timestamp;
use crate::usage::Journal;

/// The registry at an address, asked in the name of this home.
pub(super) fn remote(home: &Home, address: &BaseUrl, output: Output) -> anyhow::Result<RemoteRegistry> {
    let credentials = Arc::new(HomeCredentials::new(home, address, output));
    let (outage, registry) = (Arc::clone(home.outage()), address.to_string());
    let patience = outage.patience();
    let line = Arc::new(HomeLine { outage, registry, output });
    Ok(RemoteRegistry::on(address, credentials, patience, line)?.watched_by(Arc::new(Notes(output))))
}

/// Says what takes long, and draws nothing.
struct Notes(Output);

impl Progress for Notes {
    fn begin(&self, _step: &str, _total: Option<u64>) {}

    fn advance(&self, _count: u64) {}

    fn note(&self, message: &str) {
        self.0.note(message);
    }
}

/// Where the catalogue is fetched from.
pub(super) fn catalogue_remote(home: &Home, output: Output) -> anyhow::Result<Box<dyn Remote>> {
    catalogue_remote_at(&home.place()?, home, output)
}

/// The same of a registry that this home did not join yet.
pub(super) fn catalogue_remote_at(
    place: &Place,
    home: &Home,
    output: Output,
) -> anyhow::Result<Box<dyn Remote>> {
    Ok(match place {
        Place::Folder(folder) => Box::new(Folder::new(folder.join("catalogue"))),
        Place::Address(address) => Box::new(remote(home, address, output)?),
    })
}

/// The catalogue as this home trusts it, brought up to date; from what was seen last where the registry is out of reach and
/// that has not expired.
pub(super) fn catalogue(home: &Home, output: Output) -> anyhow::Result<Catalogue> {
    let client = client(home);
    let remote = catalogue_remote(home, output)?;
    let now = Timestamp::now();
    let why_not = home.offline_because();
    let refreshed = match &why_not {
        Some(reason) => Err(catalogue::Error::Unreachable { reason: reason.clone() }),
        None => client.refresh(&*remote, now),
    };
    let trusted = match refreshed {
        Err(error) if is_out_of_reach(&error) => {
            let place = home.place()?;
            let trusted = client.load_offline(now);
            if trusted.is_err() {
                place.require_there()?;
            }
            let trusted = trusted.map_err(|_| error)?;
            let why = why_not.or_else(|| home.offline_because());
            home.go_offline();
            let why = why.map(|why| format!(" ({why})")).unwrap_or_default();
            output.note(format_args!("note: {place} is out of reach{why}; using the catalogue as seen last"));
            trusted
        }
        refreshed => refreshed?,
    };
    home.note_clock(now);
    Ok(Catalogue::new(trusted, remote))
}

/// The client of the catalogue; its clock moves once a command succeeded, by [`confirm_clock`].
pub(super) fn client(home: &Home) -> Client {
    Client::new(home.catalogue_state()).with_clock_confirmation()
}

/// Remembers that what began with a fresh catalogue succeeded: from now on no clock may say an earlier time.
pub(super) fn confirm_clock(home: &Home) -> anyhow::Result<()> {
    match home.noted_clock() {
        Some(now) => Ok(client(home).confirm_clock(now)?),
        None => Ok(()),
    }
}

/// The catalogue as the same command verified it a moment ago; its files come from this machine where they were read before.
pub(super) fn known_catalogue(home: &Home, output: Output) -> anyhow::Result<Catalogue> {
    let trusted = client(home).load_offline(Timestamp::now())?;
    Ok(Catalogue::new(trusted, catalogue_remote(home, output)?))
}

/// Whether nothing is there. Something that is there and does not hold is another matter.
fn is_out_of_reach(error: &catalogue::Error) -> bool {
    use catalogue::Error as E;
    matches!(error, E::Missing { .. } | E::Io { .. } | E::Unreachable { .. })
}

/// The rules in force for a checkpoint.
pub(super) fn rules(home: &Home, checkpoint: &CheckpointId, output: Output) -> anyhow::Result<RulesInForce> {
    Ok(catalogue(home, output)?.rules_in_force(checkpoint)?)
}

/// This home's vault; of a registry that is a server, with what is known of its log.
pub(super) fn vault(home: &Home) -> anyhow::Result<Vault> {
    let vault = Vault::at(home.vault()).with_journal(Journal::id_in(&home.journal())?);
    Ok(match home.place()? {
        Place::Folder(_) => vault,
        Place::Address(_) => vault.with_record(record(home)?),
    })
}

/// What this home knows of the registry's log.
pub(super) fn record(home: &Home) -> anyhow::Result<Record> {
    Ok(Record::at(home.log(), home.witnesses()?))
}

/// The registry's statements.
pub(super) fn statements(home: &Home, output: Output) -> anyhow::Result<Box<dyn Statements>> {
    let place = home.place()?;
    // Who goes on with what was seen last knows that it is not there.
    if !(home.is_offline() && home.outage().is_borne()) {
        place.require_there()?;
    }
    Ok(match place {
        Place::Folder(_) => Box::new(Exchange::at(home.exchange()?)),
        Place::Address(address) => Box::new(remote(home, &address, output)?),
    })
}

/// The locks of the sealed checkpoint that the rules name.
pub(super) fn locks(home: &Home, rules: &RulesInForce, output: Output) -> anyhow::Result<Locks> {
    match home.place()? {
        Place::Folder(_) => {
            let folder = home.sealed()?.join(rules.checkpoint.as_str());
            Ok(client::sealed(&folder, rules.manifest)?.locks()?)
        }
        Place::Address(address) => {
            let registry = remote(home, &address, output)?;
            let manifest = registry.manifest(&rules.checkpoint, rules.manifest)?;
            let shares = registry.shares(&rules.checkpoint, rules.manifest)?;
            Ok(Locks::parse(&manifest, &shares, rules.manifest)?)
        }
    }
}

/// The revocations that were found, none of them verified.
pub(super) fn revocations(exchange: &dyn Statements) -> anyhow::Result<Vec<crate::statement::Envelope>> {
    Ok(exchange.list("revocation")?.into_iter().map(|found| found.envelope).collect())
}

/// The first digits of a digest, enough for people to name a statement by.
pub(super) fn short(found: &Found) -> String {
    short_digest(found.digest)
}

/// The first digits of a digest.
pub(super) fn short_digest(digest: crate::digest::Sha256Digest) -> String {
    digest.to_string().chars().take(12).collect()
}
