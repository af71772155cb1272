//! `portcullis try`: one person plays all parts. The demo's people and checkpoint, up to the first request; the rest is typed.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::embedded::CHECKPOINTS;
use super::gate::{self, GateSetup};
use super::{import, require_new};
use crate::cli::failure::Refusal;
use crate::cli::output::{Output, shown};

/// The checkpoint that is played with.
const PLAYED: &str = "demo-large";

/// Play every role yourself: a registry on this machine, a board, a researcher and an auditor, and what to type next
///
/// At a terminal a shell opens in a folder that is removed when you leave it, unless you keep it. The registry listens on loopback alone.
#[derive(Debug, Args)]
pub(in crate::cli) struct Try {
    /// Work in this folder and keep it
    #[arg(long, value_name = "FOLDER")]
    keep: Option<PathBuf>,
}

impl Try {
    pub(in crate::cli) fn run(self, output: Output) -> anyhow::Result<()> {
        match self.keep {
            Some(folder) => {
                require_new(&folder)?;
                std::fs::create_dir_all(&folder)
                    .with_context(|| format!("cannot make {}", folder.display()))?;
                play(&folder, true, output)
            }
            None if can_play(output) => {
                let folder = tempfile::tempdir().context("cannot make a temporary folder")?;
                play(folder.path(), false, output)
            }
            None => {
                let message = "there is no terminal for a shell, and nothing would be kept";
                Err(Refusal::usage(message, "give a folder with --keep, which keeps everything").into())
            }
        }
    }
}

/// Whether a person can type into a shell that is opened here.
fn can_play(output: Output) -> bool {
    !output.is_json() && io::stdin().is_terminal() && io::stdout().is_terminal()
}

fn play(folder: &Path, is_kept: bool, output: Output) -> anyhow::Result<()> {
    let played: Vec<_> = CHECKPOINTS.iter().filter(|checkpoint| checkpoint.id == PLAYED).collect();
    output.piece("Import: a small GPT-2 that the program carries\n")?;
    for embedded in &played {
        import(embedded, folder, output)?;
    }
    let ready = gate::prepare(folder, &played, output)?;
    let commands = commands();
    let mut text = format!(
        "\nYou play every role now. Everything is in {}; type there, for instance:\n",
        folder.display()
    );
    if !can_play(output) {
        text += &format!("  {}\n", serve(&ready));
    }
    for (what, command) in &commands {
        text += &format!("  {command:<102} # {what}\n");
    }
    let typed: Vec<_> =
        commands.iter().map(|(what, command)| json!({ "what": what, "command": command })).collect();
    let value = json!({ "folder": shown(folder), "registry": ready.registry.url, "serve": serve(&ready), "commands": typed });
    if !can_play(output) {
        return output.result(&value, text);
    }
    text += "Leave with `exit`.\n";
    output.piece(text)?;
    shell(folder)?;
    let after = if is_kept {
        format!("Everything is kept in {}; {}\n", folder.display(), serve(&ready))
    } else {
        "Nothing is kept.\n".to_owned()
    };
    output.piece(after)?;
    Ok(())
}

/// How the registry is served again in a folder that was kept.
fn serve(ready: &GateSetup) -> String {
    format!(
        "portcullis registry serve registry --listen {} &",
        ready.registry.url.trim_start_matches("http://")
    )
}

/// What to type, part by part.
fn commands() -> Vec<(&'static str, String)> {
    let of = |home: &str, command: &str| format!("portcullis --home homes/{home} {command}");
    vec![
        (
            "the researcher asks",
            of(
                "rosa",
                &format!(
                    "request new {PLAYED} --purpose \"Curiosity\" --use detection --days 30 --accept-agreement"
                ),
            ),
        ),
        ("a board member lists open requests", of("ada", "request list --pending")),
        ("two of the board approve", of("ada", "approve <request>")),
        ("with the second the grant is valid", of("ben", "approve <request>")),
        ("ciphertext, grant and lease", of("rosa", &format!("pull {PLAYED}"))),
        (
            "opened in memory, and recorded",
            of("rosa", &format!("run {PLAYED} \"Blessed are the\" --max-tokens 30")),
        ),
        ("an owner looks at the catalogue", of("ada", "catalogue status")),
        ("a member proposes the next stage", of("ada", &format!("release {PLAYED} --stage public"))),
        ("another reads it, and signs by digest", of("ben", "catalogue review")),
        ("the auditor verifies everything", of("august", "audit verify")),
        ("check this machine", of("rosa", "doctor")),
    ]
}

/// A shell in the folder, in which `portcullis` is this program.
fn shell(folder: &Path) -> anyhow::Result<()> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let own = program.parent().map(Path::to_owned).unwrap_or_default();
    let others = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(own).chain(std::env::split_paths(&others)))?;
    let shell = std::env::var_os("SHELL").unwrap_or_else(|| "/bin/sh".into());
    let mut command = Command::new(&shell);
    command
        .current_dir(folder)
        .env("PATH", path)
        .env_remove("PORTCULLIS_REGISTRY")
        .env_remove("PORTCULLIS_HOME");
    command.status().with_context(|| format!("cannot start {}", shell.display()))?;
    Ok(())
}
