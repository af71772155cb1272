//! `portcullis registry …`: a registry of one's own.

mod backup;
mod erase;
mod init;
pub(in crate::cli) mod serve;

use std::path::{Path, PathBuf};

use clap::Subcommand;

use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::server::Settings;

/// The name of the file of settings.
const SETTINGS: &str = "portcullis.toml";
/// Longest file of settings.
const MAX_SETTINGS: u64 = 64 << 10;

/// Run a registry: a server that keeps statements and sealed chunks, and can release nothing by itself
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum RegistryCommand {
    // Boxed: they hold many options.
    Init(Box<init::Init>),
    Serve(Box<serve::Serve>),
    Backup(backup::Backup),
    Restore(backup::Restore),
    Erase(erase::Erase),
}

impl RegistryCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Init(init) => init.run(home, output),
            Self::Serve(serve) => serve.run(home, output),
            Self::Backup(backup) => backup.run(home, output),
            Self::Restore(restore) => restore.run(home, output),
            Self::Erase(erase) => erase.run(home, output),
        }
    }
}

/// The settings of a registry's folder, or of another file.
fn settings(folder: &Path, config: Option<PathBuf>) -> anyhow::Result<Settings> {
    let path = std::path::absolute(config.unwrap_or_else(|| folder.join(SETTINGS)))?;
    let text = files::read(&path, MAX_SETTINGS)?;
    Ok(Settings::parse(&String::from_utf8_lossy(&text), &path)?)
}
