//! Help by person: which command is whose, the help that shows it, man pages and completions made from the same tree.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;
use serde_json::json;

use super::output::{Output, shown};

/// Whose commands are whose; every command is in one group (a test of this file checks it).
const GROUPS: [(&str, &[&str]); 6] = [
    ("Everyone", &["identity", "join", "status", "doctor", "demo", "try", "completions", "man"]),
    (
        "Release administrator (board member)",
        &[
            "import",
            "verify",
            "show",
            "seal",
            "release",
            "catalogue",
            "policy",
            "approve",
            "deny",
            "revoke",
            "handover",
        ],
    ),
    (
        "Researcher",
        &["list", "request", "grant", "pull", "lease", "run", "serve", "score", "bench", "export", "usage"],
    ),
    ("Registrar of an organization", &["affiliation"]),
    ("Auditor", &["audit", "case", "misuse", "witness"]),
    ("Operator (registry)", &["registry", "answer"]),
];

/// The command tree with its commands grouped in `--help`.
pub(super) fn group_commands(command: Command) -> Command {
    let mut listing = String::new();
    for (person, names) in GROUPS.iter().filter(|(_, names)| !names.is_empty()) {
        // Writing to a string cannot fail.
        let _ = writeln!(listing, "\n{person}:");
        for name in *names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(listing, "  {name:<12} {about}");
        }
    }
    let template =
        format!("{{about-section}}\n{{usage-heading}} {{usage}}\n{listing}\n{{options}}{{after-help}}");
    command.help_template(template)
}

/// Write a completion script for your shell to standard output
///
/// For bash, zsh, fish and elvish, `source <(PORTCULLIS_COMPLETE=bash portcullis)` at the shell's start completes names of checkpoints, stages and
/// grants of your home, too.
#[derive(Debug, Args)]
pub(super) struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self, mut command: Command, output: Output) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut command, "portcullis", &mut script);
        output.raw(String::from_utf8_lossy(&script))
    }
}

/// Write the man page to standard output, or one a command into a folder
#[derive(Debug, Args)]
pub(super) struct Man {
    /// Write portcullis.1, portcullis-run.1 and so on into this folder
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
}

impl Man {
    pub(super) fn run(self, command: Command, output: Output) -> anyhow::Result<()> {
        let Some(folder) = self.to else {
            let mut page = Vec::new();
            clap_mangen::Man::new(command).render(&mut page)?;
            return output.raw(String::from_utf8_lossy(&page));
        };
        let refused = || format!("cannot write man pages into {}", folder.display());
        fs::create_dir_all(&folder).with_context(refused)?;
        clap_mangen::generate_to(command, &folder).with_context(refused)?;
        let folder = shown(folder);
        output.result(&json!({ "folder": folder }), format_args!("wrote man pages into {folder}\n"))
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_command_is_in_one_group() {
        let mut grouped: Vec<_> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
        grouped.sort_unstable();
        let command = super::super::CommandLine::command();
        let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
        let mut commands: Vec<_> = shown.map(Command::get_name).collect();
        commands.sort_unstable();
        assert_eq!(grouped, commands);
    }

    #[test]
    fn the_command_tree_is_sound() {
        super::super::CommandLine::command().debug_assert();
    }
}
