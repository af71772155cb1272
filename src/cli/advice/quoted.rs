//! Every command line that this program quotes is one that it takes: found in its own sources, so that none is forgotten.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::command_line;

/// What may stand for a placeholder: a name, a digest, an address, a day, a number.
const VALUES: [&str; 5] = [
    "tiny",
    "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    "https://registry.example",
    "2019-02-14",
    "7",
];

/// Stands for a placeholder while a line is taken apart.
const PLACEHOLDER: char = '\u{fffc}';

#[test]
fn every_command_line_that_is_quoted_is_one_that_the_program_takes() {
    let mut files = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut files);
    let mut refused = Vec::new();
    let mut count = 0;
    for file in &files {
        for line in quoted(&fs::read_to_string(file).unwrap()) {
            count += 1;
            if let Some(why) = refusal(&line) {
                refused.push(format!("{}: portcullis {line}: {why}", file.display()));
            }
        }
    }
    assert!(count > 80, "{count} were found: the search is broken");
    assert!(refused.is_empty(), "{refused:#?}");
}

#[test]
fn a_line_that_the_program_does_not_take_is_found() {
    for line in ["approve", "audit bundle", "request show", "lend <checkpoint>", "case list --opne"] {
        assert!(refusal(line).is_some(), "{line}");
    }
    for line in ["approve <request>", "usage explain {begin} --reason \"what <you> know\"", "erase"] {
        assert_eq!(refusal(line).is_none(), line != "erase", "{line}");
    }
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !path.ends_with(file!()) {
            files.push(path);
        }
    }
}

/// The command lines in backquotes in a file's strings.
fn quoted(source: &str) -> Vec<String> {
    let code = source.lines().filter(|line| !line.trim_start().starts_with("//"));
    // A string that goes on in the next line is one.
    let code = code.fold(String::new(), |text, line| match text.strip_suffix('\\') {
        Some(begun) => format!("{begun}{}", line.trim_start()),
        None => format!("{text}\n{line}"),
    });
    let lines = code.split("`portcullis ").skip(1).filter_map(|rest| rest.split_once('`'));
    // `portcullis {}` alone quotes what was typed.
    let lines = lines.map(|(line, _)| line.replace("\\\"", "\"")).filter(|line| line != "{}");
    lines.filter(|line| !line.contains('\n')).collect()
}

/// Why the program does not take a line, whatever stands for its placeholders.
fn refusal(line: &str) -> Option<String> {
    let words = words(line);
    let places = words.iter().flat_map(|word| word.chars()).filter(|c| *c == PLACEHOLDER).count();
    let mut why = String::new();
    for choice in 0..VALUES.len().pow(u32::try_from(places).unwrap()) {
        match command_line().try_get_matches_from(filled(&words, choice)) {
            Ok(_) => return None,
            Err(error) if !error.use_stderr() => return None,
            Err(error) => why = error.to_string().lines().take(3).collect::<Vec<_>>().join(" "),
        }
    }
    Some(why)
}

/// The words of a line as a shell takes them apart, each placeholder as one character.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut is_quoted, mut closes) = (false, None);
    for c in line.chars() {
        match c {
            c if closes == Some(c) => closes = None,
            _ if closes.is_some() => {}
            '<' => (closes, word) = (Some('>'), word + &PLACEHOLDER.to_string()),
            '{' => (closes, word) = (Some('}'), word + &PLACEHOLDER.to_string()),
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
            c => word.push(c),
        }
    }
    words.push(word);
    words
}

/// The words with values in the places of the placeholders, the `choice`th of all ways.
fn filled(words: &[String], mut choice: usize) -> Vec<String> {
    let fill = |word: &String| {
        let mut filled = String::new();
        for c in word.chars() {
            if c == PLACEHOLDER {
                filled += VALUES[choice % VALUES.len()];
                choice /= VALUES.len();
            } else {
                filled.push(c);
            }
        }
        filled
    };
    std::iter::once("portcullis".to_owned()).chain(words.iter().map(fill).collect::<Vec<_>>()).collect()
}
