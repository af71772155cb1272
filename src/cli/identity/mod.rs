//! `portcullis identity …`: everyone's own keys.

mod card;
mod import;
pub(super) mod new;
mod passphrase;
mod show;

use clap::Subcommand;

use super::home::Home;
use super::output::Output;
use crate::identity::{Card, Identity, Signer};
use crate::statement::{Envelope, sign_card};

/// Your keys: create them, show them, hand out the public half
#[derive(Debug, Subcommand)]
pub(super) enum IdentityCommand {
    // Boxed: a key is large beside what the others hold.
    New(Box<new::New>),
    Show(show::Show),
    Card(card::CardCommand),
    Import(import::Import),
    Passphrase(passphrase::Passphrase),
}

impl IdentityCommand {
    pub(super) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::New(new) => new.run(home, output),
            Self::Show(show) => show.run(home, output),
            Self::Card(card) => card.run(home, output),
            Self::Import(import) => import.run(home, output),
            Self::Passphrase(passphrase) => passphrase.run(home, output),
        }
    }
}

/// Signs the identity's card and puts it beside the identity file, where it can be read without a passphrase.
pub(super) fn keep_card(home: &Home, identity: &Identity, signer: &dyn Signer) -> anyhow::Result<Envelope> {
    let card = sign_card(identity.card(), signer)?;
    super::home::write_whole(&home.card_path(), card.to_json().as_bytes())?;
    Ok(card)
}

/// A card in words.
fn describe(card: &Card) -> String {
    let organization = card.organization.as_ref().map(|name| format!(", {name}")).unwrap_or_default();
    format!(
        "{}{organization}\n  key id       {}\n  signs with   {}\n  sealed to    {}\n  made         {}\n",
        card.name,
        card.verifying_key.id(),
        card.verifying_key,
        card.sealing_key,
        card.created,
    )
}
