//! What commands of every person do with the registry's folder: refresh the catalogue, find the rules, read the statements.

use std::path::PathBuf;

use super::home::Home;
use super::output::Output;
use crate::access::{Exchange, Found, RulesInForce, Statements};
use crate::catalogue::{self, Client, Folder};
use crate::client::{self, Catalogue};
use crate::name::CheckpointId;
use crate::seal::Locks;
use crate::time::Timestamp;

/// The catalogue as this home trusts it, brought up to date; from what was seen last where the registry is out of reach and
/// that has not expired.
pub(super) fn catalogue(home: &Home, output: Output) -> anyhow::Result<Catalogue> {
    let client = Client::new(home.catalogue_state());
    let folder = home.catalogue()?;
    let remote = Folder::new(&folder);
    let trusted = match client.refresh(&remote, Timestamp::now()) {
        Err(error) if is_out_of_reach(&error) => {
            let trusted = client.load_offline(Timestamp::now()).map_err(|_| error)?;
            let shown = folder.display();
            output.note(format_args!("note: {shown} is out of reach; using the catalogue as seen last"));
            trusted
        }
        refreshed => refreshed?,
    };
    Ok(Catalogue::new(trusted, Box::new(remote)))
}

/// Whether nothing is there. Something that is there and does not hold is another matter.
fn is_out_of_reach(error: &catalogue::Error) -> bool {
    matches!(error, catalogue::Error::Missing { .. } | catalogue::Error::Io { .. })
}

/// The rules in force for a checkpoint.
pub(super) fn rules(home: &Home, checkpoint: &CheckpointId, output: Output) -> anyhow::Result<RulesInForce> {
    Ok(catalogue(home, output)?.rules_in_force(checkpoint)?)
}

/// The registry's statements.
pub(super) fn statements(home: &Home, _output: Output) -> anyhow::Result<Box<dyn Statements>> {
    Ok(Box::new(Exchange::at(home.exchange()?)))
}

/// Where the sealed checkpoint lies at the registry.
pub(super) fn sealed(home: &Home, checkpoint: &CheckpointId) -> anyhow::Result<PathBuf> {
    Ok(home.sealed()?.join(checkpoint.as_str()))
}

/// The locks of the sealed checkpoint that the rules name.
pub(super) fn locks(home: &Home, rules: &RulesInForce) -> anyhow::Result<Locks> {
    let folder = sealed(home, &rules.checkpoint)?;
    Ok(client::sealed(&folder, rules.manifest)?.locks()?)
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
