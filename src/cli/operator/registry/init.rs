//! `portcullis registry init`.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::SETTINGS;
use crate::cli::failure::Refusal;
use crate::cli::home::{Home, write_secret, write_whole};
use crate::cli::identity::new;
use crate::cli::output::{Output, shown};
use crate::digest::Sha256Digest;
use crate::name::Label;

/// Make a registry's folder: its identity, its card, and its settings
#[derive(Debug, Args)]
pub(in crate::cli) struct Init {
    /// The folder to make
    #[arg(default_value = ".")]
    folder: PathBuf,

    /// What the registry is called
    #[arg(long, default_value = "Registry")]
    name: Label,

    /// For whom it runs
    #[arg(long)]
    organization: Option<Label>,

    /// Protect its identity by a passphrase, which `registry serve` asks for; otherwise by the file's mode alone
    #[arg(long)]
    passphrase: bool,

    /// `sqlite:<file>` or `postgres://…`
    #[arg(long, value_name = "URL", default_value = "sqlite:registry.db")]
    database: String,

    /// Where chunks lie: a folder, or s3://<bucket>/<prefix>, with endpoint and keys in the AWS_* variables
    #[arg(long, value_name = "FOLDER|URL", default_value = "chunks")]
    blobs: String,
}

impl Init {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let settings = self.folder.join(SETTINGS);
        if settings.exists() {
            let message = format!("{} is there already", settings.display());
            return Err(Refusal::usage(message, "serve it with `portcullis registry serve`").into());
        }
        let own = home.elsewhere(self.folder.clone());
        let person = (self.name.clone(), self.organization.clone());
        let identity = new::make(&own, person, !self.passphrase, output)?;
        let code = founding_code()?;
        write_secret(&settings, self.settings(&code).as_bytes())?;
        let card = self.folder.join("registry.card");
        std::fs::copy(own.card_path(), &card)?;
        // What was written last is on the disk before the code is shown, once.
        write_whole(&card, &std::fs::read(&card)?)?;
        let key_id = identity.card().verifying_key.id();
        let folder = self.folder.display();
        let text = format!(
            "made a registry in {folder}: key {}\n  card           {}\n  settings       {}\n  founding code  {}\n\
             Whoever founds the catalogue needs card and code; the code is shown this once.\n  \
             next: `portcullis registry serve {folder}`, then `portcullis --registry <URL> catalogue init --owner <card> --owner-threshold <count> --registry-card <card>`\n",
            key_id.short(),
            card.display(),
            settings.display(),
            *code,
        );
        output.result(
            &json!({
                "folder": shown(&self.folder), "key_id": key_id, "card": shown(&card), "settings": shown(&settings),
                "founding_code": *code,
            }),
            text,
        )
    }

    fn settings(&self, code: &str) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        format!(
            "# A registry's settings: docs/registry.md tells of all of them.\nschema = 1\nlisten = \"127.0.0.1:7415\"\n\
             database = {}\nblobs = {}\nfounding_code_sha256 = \"{}\"\n",
            quoted(&self.database),
            quoted(&self.blobs),
            Sha256Digest::of(code.as_bytes()),
        )
    }
}

/// 128 bits of the operating system's randomness, as hexadecimal digits: no option begins like that.
fn founding_code() -> anyhow::Result<Zeroizing<String>> {
    let random = new::random()?;
    let digits = random.iter().take(16).map(|byte| format!("{byte:02x}"));
    Ok(Zeroizing::new(digits.collect()))
}
