//! What `run`, `score` and `export` do before sealed weights are opened: rules, statements, lease, proofs of the log.

use super::{lease, public, pull};
use crate::access::RulesInForce;
use crate::cli::home::{Home, Place};
use crate::cli::output::Output;
use crate::cli::registry;
use crate::client::{self, Pass, Vault};
use crate::identity::Identity;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// What stands between a person and a checkpoint, all of it in order.
pub(in crate::cli) struct Admission {
    pub(in crate::cli) rules: RulesInForce,
    pub(in crate::cli) vault: Vault,
    pub(in crate::cli) identity: Identity,
    pub(in crate::cli) pass: Pass,
}

/// Finds a grant and a live lease, renewed if that is due, and the proofs that they are in the log. If something is missing, the
/// registry is called although it did not answer lately.
pub(in crate::cli) fn pass(
    home: &Home,
    checkpoint: &CheckpointId,
    output: Output,
) -> anyhow::Result<Admission> {
    let is_remembered = home.is_outage_remembered();
    match pass_once(home, checkpoint, output) {
        Err(_) if is_remembered => pass_once(&home.retry(), checkpoint, output),
        passed => passed,
    }
}

fn pass_once(home: &Home, checkpoint: &CheckpointId, output: Output) -> anyhow::Result<Admission> {
    let catalogue = registry::catalogue(home, output)?;
    let rules = catalogue.rules_in_force(checkpoint)?;
    let vault = registry::vault(home)?;
    pull::collect(home, &vault, output)?;
    public::ensure_access(home, &catalogue, &vault, &rules, output)?;
    let identity = home.identity(output)?;
    lease::keep_alive(home, &vault, &rules, identity.card(), output)?;
    let pass = client::find_pass(&vault, &rules, identity.card(), Timestamp::now())?;
    fetch_proofs(home, &vault, &rules, &pass, output)?;
    registry::confirm_clock(home)?;
    Ok(Admission { rules, vault, identity, pass })
}

/// Brings the proofs that are not here yet. If the registry is unreachable, the earlier ones are used.
pub(in crate::cli) fn fetch_proofs(
    home: &Home,
    vault: &Vault,
    rules: &RulesInForce,
    pass: &Pass,
    output: Output,
) -> anyhow::Result<()> {
    let (Some(record), Place::Address(address)) = (vault.record(), home.place()?) else {
        return Ok(());
    };
    if home.is_offline() {
        return Ok(());
    }
    let remote = registry::remote(home, &address, output)?;
    for entry in pass.log_entries(rules) {
        record.fetch(entry, &remote, &rules.registry)?;
    }
    Ok(())
}
