//! `portcullis registry init`.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;
use zeroize::Zeroizing;

use super::{MAX_SETTINGS, SETTINGS};
use crate::cli::failure::Refusal;
use crate::cli::files;
use crate::cli::home::{Home, write_secret, write_whole};
use crate::cli::identity::new;
use crate::cli::output::{CannotPrint, Output, shown};
use crate::digest::Sha256Digest;
use crate::name::Label;
use crate::server::Settings;

/// The setting that holds the digest of the founding code.
const CODE_KEY: &str = "founding_code_sha256";

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

    /// Make another founding code for a registry that is there and that nobody founded yet: the one before is good no more
    #[arg(long, conflicts_with_all = ["name", "organization", "passphrase", "database", "blobs"])]
    new_founding_code: bool,
}

impl Init {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let settings = self.folder.join(SETTINGS);
        if self.new_founding_code {
            return self.renew_code(&settings, output);
        }
        if settings.exists() {
            let message = format!("{} is there already", settings.display());
            let hint = "serve it with `portcullis registry serve <folder>`; if its founding code is lost, `portcullis registry init <folder> --new-founding-code` makes another";
            return Err(Refusal::usage(message, hint).into());
        }
        let own = home.elsewhere(self.folder.clone());
        let (name, organization) = (self.name.clone(), self.organization.clone());
        let identity = new::make(&own, name, organization, !self.passphrase, output)?;
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
             next: `portcullis registry serve {folder}`, then `portcullis --registry <URL> catalogue init --owner <card> --owner-threshold <count> --registry-card <card> --founding-code <code>`, with --board <checkpoint>=<count>:<card>,<card> for each checkpoint\n",
            key_id.short(),
            card.display(),
            settings.display(),
            *code,
        );
        let value = json!({
            "folder": shown(&self.folder), "key_id": key_id, "card": shown(&card), "settings": shown(&settings),
            "founding_code": *code,
        });
        output.result(&value, text).map_err(not_shown)
    }

    /// Puts another founding code in the place of the one that the settings know.
    fn renew_code(&self, settings: &Path, output: Output) -> anyhow::Result<()> {
        let text = files::read(settings, MAX_SETTINGS)?;
        let text = String::from_utf8(text).map_err(|_| {
            Refusal::usage(format!("{} is not UTF-8", settings.display()), "write it again as UTF-8")
        })?;
        // A file that cannot be used is not written anew.
        Settings::parse(&text, &std::path::absolute(settings)?)?;
        let code = founding_code()?;
        let others: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with(CODE_KEY)).collect();
        // In front of the tables, of which it would be a part.
        write_secret(settings, format!("{}{}\n", code_line(&code), others.join("\n")).as_bytes())?;
        let text = format!(
            "founding code  {}\nIt is shown this once, and the one before is good no more. Serve the registry anew: it reads its settings when it starts.\n",
            *code
        );
        let value = json!({ "settings": shown(settings), "founding_code": *code });
        output.result(&value, text).map_err(not_shown)
    }

    fn settings(&self, code: &str) -> String {
        let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        format!(
            "# A registry's settings: docs/registry.md tells of all of them.\nschema = 1\nlisten = \"127.0.0.1:7415\"\n\
             database = {}\nblobs = {}\n{}",
            quoted(&self.database),
            quoted(&self.blobs),
            code_line(code),
        )
    }
}

/// What the settings know of a founding code: its digest.
fn code_line(code: &str) -> String {
    format!("{CODE_KEY} = \"{}\"\n", Sha256Digest::compute(code.as_bytes()))
}

/// A code that reached nobody is lost, and the registry is of no use without one.
fn not_shown(error: anyhow::Error) -> anyhow::Error {
    if !error.is::<CannotPrint>() {
        return error;
    }
    let hint = "make room where its output goes; then `portcullis registry init <folder> --new-founding-code` makes another";
    Refusal::unavailable(format!("{error:#}: the founding code was shown to nobody"), hint).into()
}

/// 128 bits of the operating system's randomness, as hexadecimal digits: no option begins like that.
fn founding_code() -> anyhow::Result<Zeroizing<String>> {
    let random = new::random()?;
    let digits = random.iter().take(16).map(|byte| format!("{byte:02x}"));
    Ok(Zeroizing::new(digits.collect()))
}
