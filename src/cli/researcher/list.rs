//! `portcullis list`: what is on offer, and what of it is here.

use std::fs;
use std::path::Path;

use clap::Args;
use serde::Serialize;

use super::grant::list as grants;
use crate::access::RulesInForce;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::cli::table::{Cell, Fit, Table, Tone};
use crate::cli::units::left;
use crate::cli::{registry, units};
use crate::client::{self, Catalogue, Vault};
use crate::digest::Sha256Digest;
use crate::identity::Card;
use crate::name::CheckpointId;
use crate::seal;
use crate::time::Timestamp;

/// List released checkpoints: each one's stage, your grant, your lease, and what is in your vault
#[derive(Debug, Args)]
pub(in crate::cli) struct List {}

/// A checkpoint that was released, and how far this person is with it.
#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct Offer {
    pub(in crate::cli) checkpoint: CheckpointId,
    /// The stage in force; none if its board's metadata does not count now.
    pub(in crate::cli) stage: Option<String>,
    /// Whether it is public.
    pub(in crate::cli) is_public: bool,
    /// Why nothing of it can be used now, if that is so.
    pub(in crate::cli) closed: Option<String>,
    /// This person's grant: the one that stands, or else the last.
    pub(in crate::cli) grant: Option<OwnGrant>,
    /// Until when a lease lives.
    pub(in crate::cli) leased_until: Option<Timestamp>,
    /// How many bytes of its sealed weights are in the vault, if all of them are.
    pub(in crate::cli) pulled: Option<u64>,
}

/// A grant that is made out to this person.
#[derive(Debug, Clone, Serialize)]
pub(in crate::cli) struct OwnGrant {
    pub(in crate::cli) digest: Sha256Digest,
    pub(in crate::cli) request: Sha256Digest,
    pub(in crate::cli) expires: Timestamp,
    /// Why it does not stand, if it does not.
    pub(in crate::cli) refused: Option<String>,
    /// Until when its person is suspended, if they are.
    pub(in crate::cli) suspended: Option<Timestamp>,
}

impl List {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        let now = Timestamp::now();
        let card = home.own_card()?;
        let own = match &card {
            Some(card) => own_grants(home, &catalogue, card, now, output)?,
            None => Vec::new(),
        };
        let offers = offers(home, &catalogue, card.as_ref(), &own, now)?;
        let mut page = Page::new();
        page.table_or(&table(&offers, now), "nothing is released yet");
        output.page(&offers, &page)
    }
}

/// The grants that are made out to a person: the registry's, or those of the vault if it does not answer.
pub(in crate::cli) fn own_grants(
    home: &Home,
    catalogue: &Catalogue,
    card: &Card,
    now: Timestamp,
    output: Output,
) -> anyhow::Result<Vec<grants::Standing>> {
    let online = || grants::standings(&*registry::statements(home, output)?, catalogue, now);
    let mut own = match if home.is_offline() { None } else { Some(online()) } {
        Some(Err(error)) if !home.is_offline() => return Err(error),
        Some(Ok(found)) => found,
        _ => grants::standings(&registry::vault(home)?.statements(), catalogue, now)?,
    };
    own.retain(|grant| grant.claim.predicate.researcher.verifying_key == card.verifying_key);
    Ok(own)
}

/// Every checkpoint that was released.
pub(in crate::cli) fn offers(
    home: &Home,
    catalogue: &Catalogue,
    card: Option<&Card>,
    own: &[grants::Standing],
    now: Timestamp,
) -> anyhow::Result<Vec<Offer>> {
    let vault = registry::vault(home)?;
    let mut offers = Vec::new();
    for checkpoint in catalogue.checkpoints() {
        match catalogue.rules_in_force(checkpoint) {
            Ok(rules) => offers.push(offer(&vault, &rules, card, own, now)?),
            // A board that released nothing, such as one for ethics.
            Err(client::Error::NotPublished { .. }) => {}
            Err(error) => offers.push(Offer {
                checkpoint: checkpoint.clone(),
                stage: None,
                is_public: false,
                closed: Some(error.to_string()),
                grant: None,
                leased_until: None,
                pulled: None,
            }),
        }
    }
    Ok(offers)
}

fn offer(
    vault: &Vault,
    rules: &RulesInForce,
    card: Option<&Card>,
    own: &[grants::Standing],
    now: Timestamp,
) -> anyhow::Result<Offer> {
    // A draft that lacks approvals is none: its request shows the state.
    let of_this =
        own.iter().filter(|grant| grant.stood && grant.claim.predicate.checkpoint == rules.checkpoint);
    let best = of_this.max_by_key(|grant| (grant.refused.is_none(), grant.claim.predicate.expires));
    let grant = best.map(|grant| OwnGrant {
        digest: grant.found.digest,
        request: grant.claim.predicate.request,
        expires: grant.claim.predicate.expires,
        refused: grant.refused.clone(),
        suspended: grant.suspended,
    });
    let verified = card.and_then(|card| client::find_grant(vault, rules, card, now).ok());
    let lease = match &verified {
        Some(grant) => client::find_lease(vault, grant, rules, now)?,
        None => None,
    };
    Ok(Offer {
        checkpoint: rules.checkpoint.clone(),
        stage: Some(rules.stage.to_string()),
        is_public: rules.policy.stage(&rules.stage).is_some_and(crate::policy::Stage::is_public),
        closed: None,
        grant,
        leased_until: lease.map(|lease| lease.expires),
        pulled: pulled(&vault.sealed(&rules.checkpoint, rules.manifest)),
    })
}

/// The bytes of a sealed checkpoint that was pulled whole: its manifest comes last.
fn pulled(folder: &Path) -> Option<u64> {
    if !folder.join(seal::MANIFEST).exists() {
        return None;
    }
    let sizes = walk(folder);
    Some(sizes.into_iter().sum())
}

fn walk(folder: &Path) -> Vec<u64> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.flat_map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => walk(&entry.path()),
        Ok(metadata) => vec![metadata.len()],
        Err(_) => Vec::new(),
    });
    sizes.collect()
}

/// Offers as a table.
pub(in crate::cli) fn table(offers: &[Offer], now: Timestamp) -> Table<5> {
    let mut table = Table::new([
        ("CHECKPOINT", Fit::Cut),
        ("STAGE", Fit::Cut),
        ("GRANT", Fit::Cut),
        ("LEASE", Fit::Whole),
        ("VAULT", Fit::Whole),
    ]);
    for offer in offers {
        let stage = match (&offer.stage, &offer.closed) {
            (Some(stage), _) => Cell::new(stage),
            (None, closed) => {
                Cell::new(format!("closed: {}", closed.as_deref().unwrap_or_default())).with_tone(Tone::Bad)
            }
        };
        table.row([
            Cell::new(&offer.checkpoint),
            stage,
            grant_cell(offer, now),
            match offer.leased_until {
                Some(until) => Cell::new(format!("{} left", left(until, now))).with_tone(Tone::Good),
                None => Cell::new("none").with_tone(Tone::Faint),
            },
            match offer.pulled {
                Some(bytes) => Cell::new(units::bytes(bytes)),
                None => Cell::new("not pulled").with_tone(Tone::Faint),
            },
        ]);
    }
    table
}

fn grant_cell(offer: &Offer, now: Timestamp) -> Cell {
    match &offer.grant {
        Some(OwnGrant { refused: None, suspended: Some(until), .. }) => {
            Cell::new(format!("suspended until {until}")).with_tone(Tone::Bad)
        }
        Some(OwnGrant { refused: None, expires, .. }) => {
            Cell::new(format!("valid, {} left", left(*expires, now))).with_tone(Tone::Good)
        }
        Some(OwnGrant { refused: Some(reason), .. }) => Cell::new(reason).with_tone(Tone::Bad),
        None if offer.is_public => Cell::new("public"),
        None => Cell::new("none").with_tone(Tone::Faint),
    }
}
