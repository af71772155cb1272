//! `portcullis identity passphrase`.

use clap::Args;
use serde_json::json;

use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::identity::Protection;

/// Change the passphrase of your identity, or remove it
#[derive(Debug, Args)]
pub(in crate::cli) struct Passphrase {
    /// Read the new passphrase from this open file descriptor; or set PORTCULLIS_NEW_PASSPHRASE
    #[arg(long, value_name = "FD")]
    new_passphrase_fd: Option<i32>,

    /// Protect the file by its mode alone (0600)
    #[arg(long, conflicts_with = "new_passphrase_fd")]
    no_passphrase: bool,
}

impl Passphrase {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let identity = home.identity(output)?;
        let protection = if self.no_passphrase {
            Protection::None
        } else {
            Protection::Passphrase(home.passphrase().read_replacement(self.new_passphrase_fd, output)?)
        };
        let file = home.identity_file();
        file.replace(&identity, &protection)?;
        let path = file.path().display();
        let text = if self.no_passphrase {
            format!("{path} is now protected by its file mode only\n")
        } else {
            format!("{path} has a new passphrase; copies made before still open with the old one\n")
        };
        output.result(&json!({ "path": shown(file.path()), "protected": !self.no_passphrase }), text)
    }
}
