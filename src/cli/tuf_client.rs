//! `portcullis tuf-client`, hidden: the client of the catalogue behind the command line that theupdateframework's tuf-conformance suite
//! drives (its `CLIENT-CLI.md`), for `tests/peers/tuf_conformance.sh`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, Subcommand};

use crate::catalogue::{Client, MAX_ROOT_BYTES};
use crate::checkpoint::fetch::BaseUrl;
use crate::cli::files;
use crate::client::remote::TufRepository;
use crate::time::Timestamp;

/// Follow any TUF repository, as the tuf-conformance suite asks
#[derive(Debug, Args)]
#[command(hide = true)]
pub(in crate::cli) struct TufClient {
    /// Where trusted metadata is shown
    #[arg(long)]
    metadata_dir: PathBuf,

    /// Where the repository's metadata is
    #[arg(long)]
    metadata_url: Option<BaseUrl>,

    /// A target's path
    #[arg(long)]
    target_name: Vec<String>,

    /// Where the repository's targets are
    #[arg(long)]
    target_base_url: Option<BaseUrl>,

    /// Where targets are kept
    #[arg(long)]
    target_dir: Option<PathBuf>,

    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Trust a root
    Init {
        /// The root's file
        root: PathBuf,
    },
    /// Bring the metadata up to date
    Refresh,
    /// Bring the metadata up to date, and fetch targets
    Download,
}

impl TufClient {
    pub(in crate::cli) fn run(self) -> anyhow::Result<()> {
        let client = Client::new(self.metadata_dir.join("state"));
        let done = self.act(&client);
        show(&client, &self.metadata_dir)?;
        // Every failure is exit code 1 here, whatever its kind.
        done.map_err(|error| anyhow::anyhow!("{error:#}"))
    }

    fn act(&self, client: &Client) -> anyhow::Result<()> {
        let now = Timestamp::now();
        match &self.action {
            Action::Init { root } => {
                client.trust(&files::read(root, MAX_ROOT_BYTES)?)?;
            }
            Action::Refresh => {
                client.refresh(&self.repository()?, now)?;
            }
            Action::Download => {
                let remote = self.repository()?;
                let folder = self.target_dir.as_ref().context("--target-dir is missing")?;
                let search = client.search(&remote, now)?;
                for path in &self.target_name {
                    let bytes = search.fetch(path)?;
                    let name: String =
                        path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
                    let path = folder.join(name);
                    if fs::read(&path).ok().as_ref() != Some(&bytes) {
                        fs::write(path, bytes)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn repository(&self) -> anyhow::Result<TufRepository> {
        let metadata = self.metadata_url.as_ref().context("--metadata-url is missing")?;
        let targets = self.target_base_url.as_ref().unwrap_or(metadata);
        Ok(TufRepository::new(metadata, targets)?)
    }
}

/// Lays what is trusted out as the suite reads it.
fn show(client: &Client, folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            fs::remove_file(path)?;
        }
    }
    for (name, bytes) in client.trusted_files()? {
        fs::write(folder.join(name), bytes)?;
    }
    Ok(())
}
