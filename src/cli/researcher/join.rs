//! `portcullis join`.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use crate::catalogue::Client;
use crate::cli::failure::Refusal;
use crate::cli::home::{Home, Place};
use crate::cli::output::Output;
use crate::cli::{files, registry};
use crate::client::{Catalogue as ClientCatalogue, Fingerprint, Invitation};
use crate::log::{WitnessKey, WitnessRule};
use crate::statement::CatalogueId;
use crate::time::Timestamp;

/// Longest root of trust that any TUF client takes.
const MAX_ROOT: u64 = 512 << 10;

/// Trust a registry's root once, and remember where the registry is
#[derive(Debug, Args)]
pub(in crate::cli) struct Join {
    /// An invitation; or the registry's address, such as https://registry.example, or its folder, with --root
    #[arg(value_name = "INVITATION|URL|FOLDER")]
    to: String,

    /// The root of trust (such as 1.root.json), got from the owners by another way than the registry; an invitation names it
    #[arg(long, value_name = "FILE")]
    root: Option<PathBuf>,

    /// A witness of the log, by its key: <name>+<hash>+<key>; may be given several times
    #[arg(long, value_name = "KEY")]
    witness: Vec<WitnessKey>,

    /// How many of the witnesses must vouch for what the log says; all of them if not given
    #[arg(long, value_name = "K", requires = "witness")]
    witnesses_needed: Option<usize>,
}

impl Join {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let (place, invitation) = named(&self.to)?;
        if invitation.is_none() {
            place.require_there()?;
        }
        let need = self.witnesses_needed.unwrap_or(self.witness.len());
        if need > self.witness.len() {
            let message = format!("{need} witnesses are needed, and {} are named", self.witness.len());
            return Err(Refusal::usage(message, "name each with --witness").into());
        }
        let root = match (&self.root, &invitation) {
            (Some(root), _) => files::read(root, MAX_ROOT)?,
            (None, Some(_)) => fetch_root(&place, home, output)?,
            (None, None) => return Err(no_root(&place).into()),
        };
        let founded = Client::identify_root(&root)?;
        if let Some(invitation) = invitation.filter(|invitation| invitation.catalogue() != founded) {
            return Err(other_catalogue(&invitation, founded).into());
        }
        home.folder()?;
        Client::new(home.catalogue_state()).trust(&root)?;
        // What was seen before at another place says nothing of this one, and nothing is remembered that is not there.
        let remote = registry::catalogue_remote_at(&place, home, output)?;
        let now = Timestamp::now();
        let trusted = registry::client(home).refresh(&*remote, now)?;
        home.remember_registry(&place, &WitnessRule { witnesses: self.witness, need })?;
        home.note_clock(now);
        let catalogue = ClientCatalogue::new(trusted, remote);
        let owners = catalogue.owners();
        let fingerprint = Fingerprint::of(founded, &place.to_string()).to_string();
        let mut text = format!(
            "joined {place}: {} owners, {} of whom must sign a change of trust\n  \
             fingerprint  {fingerprint}: compare it with what the owners say, by another way than this came\n",
            owners.keys().len(),
            owners.threshold(),
        );
        let checkpoints: Vec<_> = catalogue.published_checkpoints().collect();
        for checkpoint in &checkpoints {
            let stage = catalogue.stage(checkpoint)?;
            let stage = stage.map_or_else(|| "not released".to_owned(), |stage| stage.stage.to_string());
            writeln!(text, "  {checkpoint:16} {stage}")?;
        }
        let value = json!({
            "registry": place.to_string(), "catalogue": founded, "fingerprint": fingerprint, "checkpoints": checkpoints,
        });
        output.result(&value, text)
    }
}

/// Where the registry is, and the invitation to it if it is one.
fn named(text: &str) -> anyhow::Result<(Place, Option<Invitation>)> {
    let invitation = Invitation::is_meant_by(text).then(|| text.parse::<Invitation>()).transpose()?;
    let place = match invitation.as_ref().map_or(text, Invitation::registry).parse()? {
        Place::Folder(folder) => Place::Folder(std::path::absolute(folder)?),
        address => address,
    };
    Ok((place, invitation))
}

/// The first root as the registry shows it, which counts only if an invitation names it.
fn fetch_root(place: &Place, home: &Home, output: Output) -> anyhow::Result<Vec<u8>> {
    let root = registry::catalogue_remote_at(place, home, output)?.fetch("metadata/1.root.json", MAX_ROOT)?;
    root.ok_or_else(|| {
        let message = format!("{place} shows no catalogue");
        Refusal::unavailable(message, "check with the one who invited you where the registry is now").into()
    })
}

fn no_root(place: &Place) -> Refusal {
    Refusal::usage(
        format!("nothing says which catalogue {place} must show"),
        "give the root that the owners handed you, with --root 1.root.json; or join by an invitation, which a member prints with `portcullis catalogue invite`",
    )
}

fn other_catalogue(invitation: &Invitation, found: CatalogueId) -> Refusal {
    let registry = invitation.registry();
    let found = Fingerprint::of(found, registry);
    Refusal::unverified(
        format!(
            "the invitation is to the catalogue {}, and {registry} shows {found}: nothing was trusted",
            invitation.fingerprint()
        ),
        "do not use it: tell the one who invited you that somebody shows another catalogue",
    )
}
