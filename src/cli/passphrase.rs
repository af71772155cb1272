//! Where a passphrase comes from: a file descriptor, the environment, or the person at the terminal; never an argument, which
//! others on the machine could read.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use age::secrecy::{ExposeSecret as _, SecretString};
use anyhow::Context as _;
use clap::Args;
use zeroize::Zeroizing;

use super::failure::Refusal;
use super::interrupt;
use super::output::Output;

const VARIABLE: &str = "PORTCULLIS_PASSPHRASE";

/// Longest accepted passphrase.
const MAX_BYTES: u64 = 1024;
/// Shortest accepted new passphrase, in characters.
const MIN_CHARACTERS: usize = 8;
/// How often a new passphrase is asked for.
const TRIES: u32 = 3;

/// How a passphrase comes in.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct PassphraseArguments {
    /// Read the passphrase from the first line of this open file descriptor; or set PORTCULLIS_PASSPHRASE
    #[arg(long, global = true, value_name = "FD")]
    passphrase_fd: Option<i32>,
}

impl PassphraseArguments {
    /// The passphrase of a file that is there; `None` if none was given and no one can be asked.
    pub(super) fn read_existing(&self, path: &Path, output: Output) -> anyhow::Result<Option<SecretString>> {
        match self.read_given(VARIABLE, self.passphrase_fd)? {
            Some(passphrase) => Ok(Some(passphrase)),
            None if can_ask(output) => ask(&format!("passphrase of {}: ", path.display())).map(Some),
            None => Ok(None),
        }
    }

    /// A passphrase for a new file, asked for twice.
    pub(super) fn read_new(&self, output: Output) -> anyhow::Result<SecretString> {
        let passphrase = match self.read_given(VARIABLE, self.passphrase_fd)? {
            Some(passphrase) => passphrase,
            None if can_ask(output) => ask_twice(output)?,
            None => {
                return Err(Refusal::usage(
                    "a new identity needs a passphrase and there is no terminal to ask for it",
                    "give it with --passphrase-fd or PORTCULLIS_PASSPHRASE, or use --no-passphrase for a machine",
                )
                .into());
            }
        };
        require_length(passphrase)
    }

    /// The passphrase that is to replace another.
    pub(super) fn read_replacement(&self, fd: Option<i32>, output: Output) -> anyhow::Result<SecretString> {
        let passphrase = match self.read_given("PORTCULLIS_NEW_PASSPHRASE", fd)? {
            Some(passphrase) => passphrase,
            None if can_ask(output) => ask_twice(output)?,
            None => {
                return Err(Refusal::usage(
                    "there is no terminal to ask for the new passphrase",
                    "give it with --new-passphrase-fd or PORTCULLIS_NEW_PASSPHRASE",
                )
                .into());
            }
        };
        require_length(passphrase)
    }

    fn read_given(&self, variable: &str, fd: Option<i32>) -> anyhow::Result<Option<SecretString>> {
        if let Some(fd) = fd {
            return read_descriptor(fd).map(Some);
        }
        match std::env::var(variable) {
            Ok(passphrase) => Ok(Some(passphrase.into())),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => {
                Err(Refusal::usage(format!("{variable} is not UTF-8"), "set it to plain text").into())
            }
        }
    }
}

fn can_ask(output: Output) -> bool {
    !output.is_json() && std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

fn ask(prompt: &str) -> anyhow::Result<SecretString> {
    let typed = interrupt::restore_terminal_on_interrupt(|| rpassword::prompt_password(prompt));
    Ok(typed.context("cannot ask for the passphrase")?.into())
}

fn ask_twice(output: Output) -> anyhow::Result<SecretString> {
    let prompt = format!("new passphrase, {MIN_CHARACTERS} characters or more: ");
    for _ in 0..TRIES {
        let first = ask(&prompt)?;
        if first.expose_secret().chars().count() < MIN_CHARACTERS {
            output.note("that is too short; several words protect better than unusual characters");
            continue;
        }
        let second = ask("repeat it: ")?;
        if first.expose_secret() == second.expose_secret() {
            return Ok(first);
        }
        output.note("the passphrases differ");
    }
    Err(Refusal::usage(format!("no passphrase after {TRIES} tries"), "run the command again").into())
}

fn require_length(passphrase: SecretString) -> anyhow::Result<SecretString> {
    if passphrase.expose_secret().chars().count() >= MIN_CHARACTERS {
        return Ok(passphrase);
    }
    Err(Refusal::usage(
        format!("the passphrase is shorter than {MIN_CHARACTERS} characters"),
        "use several words: length protects better than unusual characters",
    )
    .into())
}

/// Reads a line from a descriptor through `/dev/fd`, which reopens it and leaves the number as it is.
fn read_descriptor(fd: i32) -> anyhow::Result<SecretString> {
    let refused = || format!("cannot read a passphrase from file descriptor {fd}");
    let file = File::open(format!("/dev/fd/{fd}")).with_context(refused)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_BYTES as usize + 1));
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes).with_context(refused)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    match std::str::from_utf8(line) {
        Ok(text) if !text.is_empty() && bytes.len() as u64 <= MAX_BYTES => Ok(text.to_owned().into()),
        _ => Err(Refusal::usage(
            format!("file descriptor {fd} holds no passphrase of 1 to {MAX_BYTES} bytes in UTF-8"),
            "give it as one line, such as `--passphrase-fd 3 3<file`",
        )
        .into()),
    }
}
