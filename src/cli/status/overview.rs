//! What `status` knows: from the home, from the catalogue, and from the registry while it answers.

use serde::{Deserialize, Serialize};

use super::snapshot::Snapshot;
use super::steps::{self, Step};
use super::tasks::{self, Task};
use crate::access::State;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::cli::researcher::list::{self, Offer};
use crate::cli::researcher::request::list::{Standing, standings};
use crate::client::Catalogue;
use crate::digest::Sha256Digest;
use crate::identity::{Card, KeyId};
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// Where a person stands.
#[derive(Debug, Default, Serialize)]
pub(super) struct Overview {
    pub(super) at: Option<Timestamp>,
    pub(super) home: String,
    pub(super) you: Option<Holder>,
    pub(super) registry: Option<Registry>,
    pub(super) offices: Vec<String>,
    pub(super) checkpoints: Vec<Offer>,
    pub(super) requests: Vec<OwnRequest>,
    pub(super) waiting: Vec<Task>,
    pub(super) next: Vec<Step>,
}

/// Who this home belongs to.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Holder {
    pub(super) name: String,
    pub(super) organization: Option<String>,
    pub(super) key_id: KeyId,
}

/// The registry that this home joined.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Registry {
    pub(super) place: String,
    /// Why it was not asked, if it was not.
    pub(super) out_of_reach: Option<String>,
    /// Why nothing of its catalogue can be used, if that is so.
    pub(super) closed: Option<String>,
    /// What there is to trust, if this home trusts no catalogue yet.
    #[serde(skip)]
    pub(super) trust: Option<TrustStep>,
    /// When requests and what waits were seen, if they are not of now.
    pub(super) seen_at: Option<Timestamp>,
}

/// What a home that trusts no catalogue yet finds at a registry.
#[derive(Debug, Clone, Copy)]
pub(super) enum TrustStep {
    /// A catalogue in force.
    Join,
    /// None that its owners have signed.
    Found,
}

/// A request of this person's.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct OwnRequest {
    pub(super) digest: Sha256Digest,
    pub(super) checkpoint: CheckpointId,
    pub(super) created: Timestamp,
    pub(super) days: u32,
    /// `pending`, `granted`, `ended`, `denied`, `withdrawn` or `outdated`.
    pub(super) state: String,
    /// The same in words.
    pub(super) said: String,
}

pub(super) fn gather(home: &Home, output: Output) -> anyhow::Result<Overview> {
    let now = Timestamp::now();
    let card = home.own_card()?;
    let mut overview = Overview {
        at: Some(now),
        home: home.shown(),
        you: card.as_ref().map(|card| Holder {
            name: card.name.to_string(),
            organization: card.organization.as_ref().map(ToString::to_string),
            key_id: card.verifying_key.id(),
        }),
        ..Overview::default()
    };
    if home.has_joined()? {
        let quiet = Output::new(false, true);
        let mut place = Registry {
            place: home.place()?.to_string(),
            out_of_reach: None,
            closed: None,
            trust: None,
            seen_at: None,
        };
        let before = home.offline_reason();
        match registry::catalogue(home, quiet) {
            Ok(catalogue) => {
                let why = before.or_else(|| home.offline_reason());
                place.out_of_reach = why;
                gather_catalogue(home, &catalogue, card.as_ref(), &mut overview, &mut place, now, output)?;
            }
            Err(error) => {
                place.out_of_reach = before.or_else(|| home.offline_reason());
                place.trust = find_trust(home, &error, output);
                place.closed = Some(format!("{error:#}"));
            }
        }
        overview.registry = Some(place);
    }
    overview.next = steps::next_steps(&overview, now);
    Ok(overview)
}

/// Whether there is a catalogue that this home could trust, if that is what it lacks.
fn find_trust(home: &Home, error: &anyhow::Error, output: Output) -> Option<TrustStep> {
    let lacks_root = matches!(error.downcast_ref(), Some(crate::catalogue::Error::NoRoot { .. }));
    if !lacks_root || home.is_offline() {
        return None;
    }
    let remote = registry::catalogue_remote(home, output).ok()?;
    let root = remote.fetch("metadata/1.root.json", crate::catalogue::MAX_ROOT_BYTES).ok()?;
    Some(if root.is_some() { TrustStep::Join } else { TrustStep::Found })
}

/// What the catalogue and, while it answers, the registry say.
fn gather_catalogue(
    home: &Home,
    catalogue: &Catalogue,
    card: Option<&Card>,
    overview: &mut Overview,
    place: &mut Registry,
    now: Timestamp,
    output: Output,
) -> anyhow::Result<()> {
    let Some(card) = card else {
        overview.checkpoints = list::offers(home, catalogue, None, &[], now)?;
        return Ok(());
    };
    overview.offices = tasks::offices(catalogue, card);
    let snapshot =
        if place.out_of_reach.is_some() { None } else { gather_online(home, catalogue, card, now, output)? };
    let snapshot = match snapshot {
        Some(snapshot) => {
            snapshot.save(home);
            Some(snapshot)
        }
        None => {
            place.out_of_reach = place.out_of_reach.take().or_else(|| home.offline_reason());
            let snapshot = Snapshot::load(home, &place.place, card.verifying_key.id());
            place.seen_at = snapshot.as_ref().map(|snapshot| snapshot.at);
            snapshot
        }
    };
    let own = list::own_grants(home, catalogue, card, now, output)?;
    overview.checkpoints = list::offers(home, catalogue, Some(card), &own, now)?;
    if let Some(snapshot) = snapshot {
        overview.requests = snapshot.requests;
        overview.waiting = snapshot.waiting;
    }
    Ok(())
}

/// What is asked of the registry itself; nothing if it does not answer, or this person cannot sign in.
fn gather_online(
    home: &Home,
    catalogue: &Catalogue,
    card: &Card,
    now: Timestamp,
    output: Output,
) -> anyhow::Result<Option<Snapshot>> {
    let found = || -> anyhow::Result<Snapshot> {
        let statements = registry::statements(home, output)?;
        let all = standings(&*statements, catalogue, now, output)?;
        let own = |standing: &&Standing| standing.0.predicate.card.verifying_key == card.verifying_key;
        let requests = all.iter().filter(own).map(own_request).collect();
        let waiting = tasks::waiting(home, catalogue, card, &*statements, &all, output)?;
        let registry = home.place()?.to_string();
        Ok(Snapshot { registry, person: card.verifying_key.id(), at: now, requests, waiting })
    };
    match found() {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err(_) if home.is_offline() => Ok(None),
        Err(error) => Err(error),
    }
}

fn own_request((request, state): &Standing) -> OwnRequest {
    let word = match state {
        State::Pending(_) => "pending",
        State::Granted { .. } => "granted",
        State::Ended { .. } => "ended",
        State::Denied { .. } => "denied",
        State::Withdrawn => "withdrawn",
        State::Outdated { .. } => "outdated",
    };
    OwnRequest {
        digest: request.digest(),
        checkpoint: request.predicate.checkpoint.clone(),
        created: request.predicate.created,
        days: request.predicate.days,
        state: word.to_owned(),
        said: state.to_string(),
    }
}
