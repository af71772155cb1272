//! The demo's people: each has a home of their own and runs this very program in it, as three people at three terminals would.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

use super::super::output::Output;

/// Longest command line that is shown whole.
const MAX_CHARACTERS: usize = 110;
/// Where their homes are, in the folder that is everyone's.
pub(super) const HOMES: &str = "homes";

/// Everyone, in one folder.
#[derive(Debug)]
pub(super) struct People {
    folder: PathBuf,
    program: PathBuf,
    output: Output,
}

/// What a command printed.
struct CommandOutput {
    /// On standard output and standard error.
    text: String,
    /// Whether it did what it was asked to.
    is_done: bool,
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
        self.folder.join(HOMES).join(person)
    }

    /// Runs a command as `person` and shows it with all that it prints, which is returned; it must succeed.
    pub(super) fn show(&self, person: &str, arguments: &[&str]) -> anyhow::Result<String> {
        let CommandOutput { text, is_done } = self.run_and_show(person, arguments)?;
        anyhow::ensure!(
            is_done,
            "{person} cannot run `portcullis {}`: {}",
            join_arguments(arguments),
            text.trim_end()
        );
        Ok(text)
    }

    /// Runs a command as `person`, which the gate must refuse, and shows it with all that it prints.
    pub(super) fn show_refused(&self, person: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let CommandOutput { is_done, .. } = self.run_and_show(person, arguments)?;
        anyhow::ensure!(
            !is_done,
            "the gate did not refuse {person} `portcullis {}`",
            join_arguments(arguments)
        );
        Ok(())
    }

    /// Shows what a command of `person` printed, as it was printed.
    pub(super) fn quote(&self, person: &str, arguments: &[&str], printed: &str) -> anyhow::Result<()> {
        self.announce(person, arguments)?;
        for line in printed.lines() {
            self.output.piece(format_args!("             {line}\n"))?;
        }
        Ok(())
    }

    /// Tells what `person` did unseen, as a comment in the place of a command.
    pub(super) fn comment(&self, person: &str, text: &str) -> anyhow::Result<()> {
        Ok(self.output.piece(format_args!("  {person:8} # {text}\n"))?)
    }

    /// Runs a command and shows it with what it prints on standard output and standard error, in the order in which it came.
    fn run_and_show(&self, person: &str, arguments: &[&str]) -> anyhow::Result<CommandOutput> {
        let (mut reader, writer) = std::io::pipe().context("cannot make a pipe")?;
        let mut child = {
            let mut command = self.command(person, arguments);
            command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
            // This process's ends for writing go with the command: otherwise the text would never end.
            command.spawn()?
        };
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes)?;
        let is_done = child.wait()?.success();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        self.quote(person, arguments, &text)?;
        Ok(CommandOutput { text, is_done })
    }

    fn announce(&self, person: &str, arguments: &[&str]) -> anyhow::Result<()> {
        let mut line = join_arguments(arguments);
        if line.chars().count() > MAX_CHARACTERS {
            line = line.chars().take(MAX_CHARACTERS).chain(" …".chars()).collect();
        }
        Ok(self.output.piece(format_args!("  {person:8} $ portcullis {line}\n"))?)
    }

    /// Runs a command as `person`, unseen; it must succeed.
    pub(super) fn run(&self, person: &str, arguments: &[&str]) -> anyhow::Result<Value> {
        match self.attempt(person, arguments)? {
            Ok(value) => Ok(value),
            Err(message) => {
                anyhow::bail!("{person} cannot run `portcullis {}`: {message}", join_arguments(arguments))
            }
        }
    }

    fn command(&self, person: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).args(arguments);
        // As the person would set it once, in the folder where all of them are.
        command.env("PORTCULLIS_HOME", Path::new(HOMES).join(person)).env_remove("PORTCULLIS_REGISTRY");
        command
    }

    /// Runs a command as `person`: its result, or why it was refused.
    fn attempt(&self, person: &str, arguments: &[&str]) -> anyhow::Result<Result<Value, String>> {
        let done = self.command(person, arguments).arg("--json").output()?;
        if done.status.success() {
            return Ok(Ok(crate::json::from_slice(&done.stdout).unwrap_or(Value::Null)));
        }
        let error: Value = done
            .stderr
            .split(|byte| *byte == b'\n')
            .find_map(|line| crate::json::from_slice(line).ok())
            .unwrap_or_default();
        Ok(Err(error["error"]["message"].as_str().unwrap_or_default().to_owned()))
    }
}

/// Arguments as one would type them.
fn join_arguments(arguments: &[&str]) -> String {
    let quoted = arguments.iter().map(|argument| {
        if argument.contains([' ', '(']) { format!("\"{argument}\"") } else { (*argument).to_owned() }
    });
    quoted.collect::<Vec<_>>().join(" ")
}
