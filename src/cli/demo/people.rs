//! The demo's people: each has a home of their own and runs this very program in it, as three people at three terminals would.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;
use serde_json::Value;

use super::super::output::Output;

/// Longest command line that is shown whole.
const MOST_CHARACTERS: usize = 110;

/// Everyone, in one folder.
#[derive(Debug)]
pub(super) struct People {
    folder: PathBuf,
    program: PathBuf,
    output: Output,
}

/// What a command did.
pub(super) struct Done {
    /// Its result.
    pub(super) value: Value,
    /// Its refusal, if it failed: the message and what to do next.
    pub(super) refusal: Option<(String, String)>,
}

impl People {
    pub(super) fn new(folder: &Path, output: Output) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        // Absolute: the commands run inside it.
        let folder = std::path::absolute(folder).context("cannot name the demo's folder")?;
        Ok(Self { folder, program, output })
    }

    /// A person's home.
    pub(super) fn home(&self, person: &str) -> PathBuf {
        self.folder.join("homes").join(person)
    }

    /// Runs a command as `person` and shows it with what it printed, which is returned; it must succeed.
    pub(super) fn show(&self, person: &str, arguments: &[&str]) -> anyhow::Result<String> {
        self.announce(person, arguments)?;
        let done = self.command(person, arguments).output()?;
        let printed = String::from_utf8_lossy(&done.stdout).into_owned();
        anyhow::ensure!(
            done.status.success(),
            "{person} could not `portcullis {}`: {}",
            shown(arguments),
            String::from_utf8_lossy(&done.stderr).trim_end()
        );
        let printed = printed.replace(&format!("{}/", self.folder.display()), "");
        for line in printed.lines().filter(|line| !line.trim_start().starts_with("next:")) {
            self.output.piece(format_args!("             {line}\n"))?;
        }
        Ok(printed)
    }

    fn announce(&self, person: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut line = shown(arguments);
        if line.chars().count() > MOST_CHARACTERS {
            line = line.chars().take(MOST_CHARACTERS).chain(" …".chars()).collect();
        }
        Ok(self.output.piece(format_args!("  {person:8} $ portcullis {line}\n"))?)
    }

    /// Runs a command as `person`, unseen; it must succeed.
    pub(super) fn run(&self, person: &str, arguments: &[&str]) -> anyhow::Result<Value> {
        let done = self.attempt(person, arguments)?;
        if let Some((message, _)) = done.refusal {
            anyhow::bail!("{person} could not `portcullis {}`: {message}", shown(arguments));
        }
        Ok(done.value)
    }

    /// Runs a command as `person`, which the gate must refuse, and shows both.
    pub(super) fn refused(&self, person: &str, arguments: &[&str]) -> anyhow::Result<()> {
        self.announce(person, arguments)?;
        let Some((message, next)) = self.attempt(person, arguments)?.refusal else {
            anyhow::bail!("the gate let {person} `portcullis {}`", shown(arguments));
        };
        self.output.piece(format_args!("             refused: {message}\n             next: {next}\n"))?;
        Ok(())
    }

    fn command(&self, person: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).arg("--home").arg(self.home(person)).args(arguments);
        command.env_remove("PORTCULLIS_REGISTRY");
        command
    }

    /// Runs a command as `person`.
    fn attempt(&self, person: &str, arguments: &[&str]) -> anyhow::Result<Done> {
        let done = self.command(person, arguments).arg("--json").output()?;
        if done.status.success() {
            let value = crate::json::from_slice(&done.stdout).unwrap_or(Value::Null);
            return Ok(Done { value, refusal: None });
        }
        let error: Value = done
            .stderr
            .split(|byte| *byte == b'\n')
            .find_map(|line| crate::json::from_slice(line).ok())
            .unwrap_or_default();
        let text = |name: &str| error["error"][name].as_str().unwrap_or_default().to_owned();
        Ok(Done { value: Value::Null, refusal: Some((text("message"), text("hint"))) })
    }
}

/// Arguments as one would type them.
fn shown(arguments: &[&str]) -> String {
    let quoted = arguments.iter().map(|argument| {
        if argument.contains([' ', '(']) { format!("\"{argument}\"") } else { (*argument).to_owned() }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
