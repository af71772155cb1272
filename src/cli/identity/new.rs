//! `portcullis identity new`.

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::{describe, keep_card};
use crate::cli::failure::Refusal;
use crate::cli::home::{self, Home};
use crate::cli::output::{Output, shown};
use crate::identity::{AgentSigner, Error, Identity, Protection, VerifyingKey};
use crate::name::Label;
use crate::time::Timestamp;

/// Make your identity: a signing key, a sealing key and a card
#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// What you are called
    #[arg(long)]
    name: Label,

    /// For whom you work
    #[arg(long)]
    organization: Option<Label>,

    /// Protect the file by its mode alone (0600): for machines, such as a registry
    #[arg(long)]
    no_passphrase: bool,

    /// Let the SSH agent sign, with its only Ed25519 key or the one given; the sealing key stays in the identity file
    #[arg(long, value_name = "KEY", num_args = 0..=1)]
    ssh_agent: Option<Option<VerifyingKey>>,
}

impl New {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let opening = random()?;
        let identity = match self.ssh_agent {
            None => Identity::new(self.name, self.organization, &*random()?, &opening, Timestamp::now()),
            Some(key) => Identity::with_agent(
                self.name,
                self.organization,
                agent_key(key)?,
                &opening,
                Timestamp::now(),
            ),
        };
        keep(home, &identity, self.no_passphrase, output)?;
        let file = home.identity_file();
        let card = identity.card();
        let text = format!(
            "{}\nKeep {} safe: nobody can replace it. `portcullis identity card` prints the card to hand out.\n",
            describe(card),
            file.path().display(),
        );
        let path = shown(file.path());
        output.result(&json!({ "card": card, "key_id": card.verifying_key.id(), "path": path }), text)
    }
}

/// Makes an identity in a home, and keeps it there with its card.
pub(in crate::cli) fn make(
    home: &Home,
    name: Label,
    organization: Option<Label>,
    no_passphrase: bool,
    output: Output,
) -> anyhow::Result<Identity> {
    let identity = Identity::new(name, organization, &*random()?, &*random()?, Timestamp::now());
    keep(home, &identity, no_passphrase, output)?;
    Ok(identity)
}

fn keep(home: &Home, identity: &Identity, no_passphrase: bool, output: Output) -> anyhow::Result<()> {
    home.folder()?;
    let file = home.identity_file();
    if file.path().symlink_metadata().is_ok() {
        return Err(Error::Exists { path: file.path().to_owned() }.into());
    }
    let protection = if no_passphrase {
        Protection::None
    } else {
        Protection::Passphrase(home.passphrase().new_one(output)?)
    };
    let signer = identity.signer(home::agent_socket().as_deref())?;
    file.create(identity, &protection)?;
    keep_card(home, identity, &*signer)?;
    Ok(())
}

/// 32 bytes of the operating system's randomness.
pub(in crate::cli) fn random() -> anyhow::Result<Zeroizing<[u8; 32]>> {
    use rand::TryRng as _;
    let mut bytes = Zeroizing::new([0; 32]);
    rand::rngs::SysRng.try_fill_bytes(&mut *bytes)?;
    Ok(bytes)
}

fn agent_key(chosen: Option<VerifyingKey>) -> anyhow::Result<VerifyingKey> {
    let socket = home::agent_socket().ok_or(Error::NoAgent)?;
    let keys = AgentSigner::keys(&socket)?;
    match (chosen, keys.as_slice()) {
        (Some(key), keys) if keys.iter().any(|held| held.key == key) => Ok(key),
        (Some(key), _) => Err(Error::NotInAgent { key: Box::new(key) }.into()),
        (None, [only]) => Ok(only.key),
        (None, []) => Err(Error::AgentChoice { count: 0 }.into()),
        (None, keys) => {
            let list: Vec<_> = keys.iter().map(|held| format!("{} ({})", held.key, held.comment)).collect();
            let hint = format!("choose one with --ssh-agent <key>: {}", list.join(", "));
            Err(Refusal::usage(Error::AgentChoice { count: keys.len() }.to_string(), hint).into())
        }
    }
}
