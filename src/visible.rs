//! Escapes hidden characters in untrusted text.
//!
//! Controls, bidirectional marks and invisible characters become escapes such as `\u{202e}`. Terminals, logs and reports pass all text that
//! this program did not write through this module, so that the text can neither control a terminal nor imitate the program's own output.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use serde::{Deserialize, Serialize};

/// Whether a character is invisible or changes how others are displayed: controls (except line feed and tab), bidirectional marks (Unicode
/// Annex 9), and default-ignorable code points (Unicode 16, 5.21).
pub fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a joiner (U+200C, U+200D) is between letters of a script that needs it (RFC 5892, appendix A; Unicode Annex 31).
pub fn is_joiner_in_place(before: Option<char>, joiner: char, after: Option<char>) -> bool {
    let takes_joiners = |c: char| {
        matches!(c,
            '\u{600}'..='\u{6ff}' | '\u{700}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{f00}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}' | '\u{1820}'..='\u{18af}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
    };
    matches!(joiner, '\u{200c}' | '\u{200d}')
        && before.is_some_and(takes_joiners)
        && after.is_some_and(takes_joiners)
}

/// Whether a variation selector (U+FE0F) follows no character that it could display as a picture.
fn selects_nothing(before: Option<char>, c: char) -> bool {
    c == '\u{fe0f}' && before.is_none_or(|before| before.is_alphabetic() || before.is_whitespace())
}

/// The hidden characters of a text, except joiners that a script needs.
fn hidden(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let neighbour =
        |at: usize, c: char| (text[..at].chars().next_back(), text[at + c.len_utf8()..].chars().next());
    text.char_indices().filter(move |(at, c)| {
        let (before, after) = neighbour(*at, *c);
        (is_hidden(*c) && !is_joiner_in_place(before, *c, after)) || selects_nothing(before, *c)
    })
}

/// Whether a text has no hidden characters.
pub fn is_plain(text: &str) -> bool {
    hidden(text).next().is_none()
}

/// Escapes hidden characters; line feeds and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut from = 0;
    for (at, c) in hidden(text) {
        shown.push_str(&text[from..at]);
        // Writing to a string cannot fail.
        let _ = write!(shown, "\\u{{{:x}}}", u32::from(c));
        from = at + c.len_utf8();
    }
    if from == 0 {
        return Cow::Borrowed(text);
    }
    shown.push_str(&text[from..]);
    Cow::Owned(shown)
}

/// Escapes hidden characters and line feeds, and collapses white space: the text cannot begin a line of a list or log, nor align with
/// columns.
pub fn one_line(text: &str) -> String {
    narrowed(&one_row(text))
}

/// As [`one_line`], but keeps white space: for rows that this program aligns itself, and for data.
pub fn one_row(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', " ")
}

/// Collapses each run of white space to one space. Otherwise a text could fill the rest of a terminal's line and continue where a line of
/// this program would begin.
fn narrowed(line: &str) -> String {
    let mut narrow = String::with_capacity(line.len());
    for c in line.chars() {
        match c {
            c if !c.is_whitespace() => narrow.push(c),
            _ if narrow.ends_with(' ') => {}
            _ => narrow.push(' '),
        }
    }
    narrow
}

/// Formats several lines of untrusted text: each line after the first begins with `indent` spaces and a bar, as no line of this program
/// does. Runs of white space within a line become one space; leading white space stays, behind the bar.
pub fn quoted(text: &str, indent: usize) -> String {
    let shown = visible(text);
    let lines = shown.split('\n').map(|line| {
        let words = line.trim_start();
        let (margin, words) = (&line[..line.len() - words.len()], narrowed(words));
        format!("{}{words}", margin.replace('\t', "  ").chars().take(40).collect::<String>())
    });
    lines.collect::<Vec<_>>().join(&format!("\n{:indent$}| ", ""))
}

/// Replaces hidden characters in JSON by JSON escapes: the data stay the same.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    if json.is_ascii() && !json.contains('\u{7f}') {
        return Cow::Borrowed(json);
    }
    let mut shown = String::with_capacity(json.len());
    for c in json.chars() {
        if is_hidden(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(shown, "\\u{unit:04x}");
            }
        } else {
            shown.push(c);
        }
    }
    Cow::Owned(shown)
}

/// Untrusted text, kept unchanged; `Display` prints it on one line with hidden characters escaped.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Untrusted(String);

impl Untrusted {
    /// Returns the unchanged text, for comparing and parsing, not for printing.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for Untrusted {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Untrusted {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Display for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&one_line(&self.0))
    }
}

impl fmt::Debug for Untrusted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", one_line(&self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_steers_a_reader_is_written_out() {
        for (text, shown) in [
            ("Zoë Ångström", "Zoë Ångström"),
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("a\u{202e}b", "a\\u{202e}b"),
            (
                "a\u{ad}\u{2060}\u{61c}\u{3164}\u{180e}\u{e0041}",
                "a\\u{ad}\\u{2060}\\u{61c}\\u{3164}\\u{180e}\\u{e0041}",
            ),
            ("one\ntwo\tthree", "one\ntwo\tthree"),
            ("می\u{200c}خواهم", "می\u{200c}خواهم"),
            ("क\u{94d}\u{200d}ष", "क\u{94d}\u{200d}ष"),
            ("ad\u{200d}min", "ad\\u{200d}min"),
            ("Ada\u{fe0f}", "Ada\\u{fe0f}"),
            ("\u{2764}\u{fe0f}", "\u{2764}\u{fe0f}"),
            ("Ada\u{2800}", "Ada\\u{2800}"),
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(is_plain(text), text == shown);
        }
        assert_eq!(one_line("granted\nby ada\u{7}"), "granted\\nby ada\\u{7}");
        assert_eq!(Untrusted::from("a\nb\u{202e}").to_string(), "a\\nb\\u{202e}");
        assert_eq!(quoted("one\ntwo", 2), "one\n  | two");
        assert_eq!(one_line("Study.      confirms    that"), "Study. confirms that");
        assert_eq!(
            quoted("Study.\u{3000}   confirms    that\n    x = 1", 2),
            "Study. confirms that\n  |     x = 1"
        );
    }

    #[test]
    fn json_that_steers_nobody_says_the_same() {
        let value = serde_json::json!({ "a\u{9b}": "x\u{202e}\u{e0041}\n\u{7f} Zo\u{eb}" });
        let shown = visible_json(&value.to_string()).into_owned();
        assert!(shown.chars().all(|c| !is_hidden(c)) && shown.contains("Zo\u{eb}"), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
    }
}
