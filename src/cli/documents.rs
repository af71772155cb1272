//! The documents keep to the command line: `docs/reference/cli.md` is made from the command tree, and every command line that a document
//! quotes is one that the program takes.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use clap::error::ErrorKind;
use clap::{Arg, Command};

use super::command_line;
use super::help::GROUPS;
use crate::identity::Identity;
use crate::log::{LogKey, WitnessKey};
use crate::time::Timestamp;

const HEAD: &str = "# Commands\n\n\
    Made from the program's own command tree, as `--help` shows it. To update this page: \
    `UPDATE_DOCS=1 cargo test --lib cli::documents`.\n\n";

#[test]
fn the_reference_is_made_from_the_command_tree() {
    let page = root().join("docs/reference/cli.md");
    let made = reference();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&page, &made).unwrap();
    }
    let written = fs::read_to_string(&page).unwrap_or_default();
    let differs = written.lines().zip(made.lines()).find(|(written, made)| written != made);
    assert!(
        written == made,
        "docs/reference/cli.md is out of date; run `UPDATE_DOCS=1 cargo test --lib cli::documents`. First difference: {differs:?}"
    );
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn reference() -> String {
    let mut command = command_line();
    command.build();
    let mut page = HEAD.to_owned();
    let about = command.get_long_about().or_else(|| command.get_about()).unwrap().to_string();
    page += &format!("{}\n\n## For every command\n\n", prose(&about));
    for arg in command.get_arguments().filter(|arg| arg.is_global_set()) {
        option(arg, &mut page);
    }
    for (person, names) in GROUPS {
        let _ = write!(page, "\n## {person}\n");
        for name in names {
            section(command.find_subcommand(name).unwrap(), &format!("portcullis {name}"), 3, &mut page);
        }
    }
    page
}

/// One command's part, then those of the commands below it, a level deeper.
fn section(command: &Command, path: &str, level: usize, page: &mut String) {
    let about = command.get_long_about().or_else(|| command.get_about()).map(ToString::to_string);
    let _ = write!(page, "\n{} `{path}`\n\n{}\n", "#".repeat(level), prose(&about.unwrap_or_default()));
    let mut below = command.get_subcommands().filter(|below| !below.is_hide_set()).peekable();
    if below.peek().is_none() {
        let usage = command.clone().render_usage().to_string();
        let _ = write!(page, "\n```text\n{}\n```\n\n", usage.trim_start_matches("Usage: "));
        let (named, placed): (Vec<_>, Vec<_>) =
            command.get_arguments().filter(|arg| is_own(arg)).partition(|arg| !arg.is_positional());
        placed.into_iter().chain(named).for_each(|arg| option(arg, page));
        if let Some(examples) = command.get_after_help() {
            let examples = examples.to_string();
            let lines = examples.trim_start_matches("Examples:\n").lines().map(|line| line.trim_start());
            let _ = write!(page, "\n```sh\n{}\n```\n", lines.collect::<Vec<_>>().join("\n"));
        }
    }
    for below in below.filter(|below| below.get_name() != "help") {
        section(below, &format!("{path} {}", below.get_name()), level + 1, page);
    }
}

/// Not an option that every command has.
fn is_own(arg: &Arg) -> bool {
    !arg.is_global_set() && !arg.is_hide_set() && !["help", "version"].contains(&arg.get_id().as_str())
}

/// One line of a list: the option, what it is for, its default, its values and its variable.
fn option(arg: &Arg, page: &mut String) {
    let short = arg.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    let help = arg.get_long_help().or_else(|| arg.get_help()).map(ToString::to_string).unwrap_or_default();
    let _ = write!(page, "- `{short}{arg}`: {}", prose(&help).replace("\n\n", " "));
    if arg.get_action().takes_values() {
        let defaults: Vec<_> = arg.get_default_values().iter().map(|value| value.to_string_lossy()).collect();
        if !defaults.is_empty() && !arg.is_hide_default_value_set() {
            let _ = write!(page, " Default: `{}`.", defaults.join(" "));
        }
        let values = arg.get_possible_values();
        if !values.is_empty() && !arg.is_hide_possible_values_set() {
            let values: Vec<_> = values.iter().map(|value| format!("`{}`", value.get_name())).collect();
            let _ = write!(page, " One of {}.", values.join(", "));
        }
    }
    if let Some(variable) = arg.get_env().and_then(|name| name.to_str()) {
        let _ = write!(page, " Variable: `{variable}`.");
    }
    page.push('\n');
}

/// A help text as Markdown: outside of backquotes nothing is a tag, and it ends with a full stop.
fn prose(help: &str) -> String {
    let parts = help.trim().split('`').enumerate();
    let parts: Vec<_> = parts
        .map(
            |(at, part)| {
                if at % 2 == 0 { part.replace('<', "\\<").replace('*', "\\*") } else { part.to_owned() }
            },
        )
        .collect();
    let text = parts.join("`");
    if text.is_empty() || text.ends_with(['.', '?', ':', ']']) { text } else { format!("{text}.") }
}

/// A command line in a document.
struct Quotation {
    page: PathBuf,
    line: String,
    /// It is in running text, where the name of a command does for the whole line.
    is_inline: bool,
}

#[test]
fn every_command_line_in_a_document_is_one_that_the_program_takes() {
    let mut pages =
        vec![root().join("README.md"), root().join("CONTRIBUTING.md"), root().join("SECURITY.md")];
    markdown(&root().join("docs"), &mut pages);
    pages.retain(|page| !page.ends_with("docs/reference/cli.md"));
    let quotations: Vec<_> = pages.iter().flat_map(|page| quotations(page)).collect();
    let refused: Vec<_> = quotations.iter().filter_map(refusal).collect();
    assert!(quotations.len() > 200, "{} were found: the search is broken", quotations.len());
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn a_command_line_that_the_program_does_not_take_is_found() {
    let quotation =
        |line: &str, is_inline| Quotation { page: PathBuf::new(), line: line.to_owned(), is_inline };
    for line in [
        "portcullis approve",
        "portcullis lend <checkpoint>",
        "portcullis case list --opne",
        "portcullis audit bundel --to a",
    ] {
        assert!(refusal(&quotation(line, false)).is_some(), "{line}");
    }
    for line in [
        "portcullis approve <request>   # comment",
        "portcullis usage explain <journal or record> --reason \"…\"",
        "echo | portcullis run ./folder - --max-tokens 50 > out.txt",
        "PORTCULLIS_API_KEY=$(openssl rand -hex 16) portcullis serve gpt2-1.5b --listen 0.0.0.0:8080",
    ] {
        assert_eq!(refusal(&quotation(line, false)), None, "{line}");
    }
    assert_eq!(refusal(&quotation("portcullis approve", true)), None);
}

fn markdown(folder: &Path, pages: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            markdown(&path, pages);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
}

/// The command lines in a page's `sh` blocks and, in backquotes, in its text.
fn quotations(page: &Path) -> Vec<Quotation> {
    let text = fs::read_to_string(page).unwrap().replace("\\\n", " ");
    let (mut found, mut block) = (Vec::new(), None);
    for line in text.lines() {
        let mut quote = |line: &str, is_inline| {
            found.push(Quotation { page: page.to_owned(), line: line.to_owned(), is_inline });
        };
        match (line.strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, Some("sh")) if is_ours(line) => quote(line, false),
            (None, Some(_)) => {}
            (None, None) => {
                line.split('`')
                    .skip(1)
                    .step_by(2)
                    .filter(|code| is_ours(code))
                    .for_each(|code| quote(code, true));
            }
        }
    }
    found
}

fn is_ours(line: &str) -> bool {
    let begins =
        line.starts_with("portcullis ") || line.contains("| portcullis ") || line.contains(") portcullis ");
    begins && !line.starts_with("cargo ")
}

/// Why the program does not take a line, whatever its placeholders stand for.
fn refusal(quotation: &Quotation) -> Option<String> {
    let words = words(&quotation.line);
    let is_part = quotation.is_inline || words.iter().any(|word| word == "…");
    let mut why = String::new();
    for value in values() {
        let filled =
            words.iter().filter(|word| *word != "…").map(|word| match word.contains(['<', '…', '$']) {
                true => value.clone(),
                false => word.clone(),
            });
        match command_line().try_get_matches_from(filled) {
            Ok(_) => return None,
            Err(error) if !error.use_stderr() => return None,
            Err(error)
                if is_part
                    && matches!(
                        error.kind(),
                        ErrorKind::MissingRequiredArgument
                            | ErrorKind::MissingSubcommand
                            | ErrorKind::InvalidValue
                            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                    ) =>
            {
                return None;
            }
            Err(error) => why = error.to_string().lines().take(2).collect::<Vec<_>>().join(" "),
        }
    }
    Some(format!("{}: {}: {why}", quotation.page.display(), quotation.line))
}

/// What a placeholder can stand for: a name, a digest, an address, a key of a log or of a witness.
fn values() -> Vec<String> {
    let moment = Timestamp::from_unix_seconds(0);
    let key = Identity::new(("Ada".parse().unwrap(), None), &[1; 32], &[1; 32], moment).card().verifying_key;
    vec![
        "tiny".to_owned(),
        "0123456789abcdef".repeat(4),
        "https://registry.example".to_owned(),
        "7".to_owned(),
        LogKey::new("log.example/1", key).unwrap().to_string(),
        WitnessKey::new("witness.example/1", key).unwrap().to_string(),
    ]
}

/// The program's own words of a line, as a shell takes them apart: from `portcullis` to a comment, a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut is_quoted, mut closes) = (false, None);
    for c in line.chars() {
        match c {
            c if closes == Some(c) => {
                closes = None;
                word.push(c);
            }
            '<' | '(' if closes.is_none() => {
                closes = Some(if c == '<' { '>' } else { ')' });
                word.push(c);
            }
            '"' if closes.is_none() => is_quoted = !is_quoted,
            ' ' if !is_quoted && closes.is_none() => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    let own = words.into_iter().skip_while(|word| word != "portcullis");
    own.take_while(|word| !["#", "|", ">", "&", "&&"].contains(&word.as_str()))
        .filter(|word| !word.is_empty())
        .collect()
}
