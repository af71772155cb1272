//! A position in a text, shown as compilers do: line, column, the line itself, and carets below it.
//!
//! The text is untrusted: long lines are cut to a window, and control characters are replaced.

use std::fmt;
use std::ops::Range;

/// Maximum number of characters shown of a line.
const WINDOW: usize = 120;
/// Maximum number of characters shown of a parser's message.
const MAX_MESSAGE: usize = 400;

/// A position in a text, with its line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt {
    line: usize,
    column: usize,
    shown: String,
    indent: usize,
    width: usize,
}

impl Excerpt {
    /// The position of a span of bytes; a span outside the text is placed at its end.
    pub fn new(source: &str, span: Range<usize>) -> Self {
        let mut start = span.start.min(source.len());
        while !source.is_char_boundary(start) {
            start -= 1;
        }
        let begin = source[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let rest = source[start..].find('\n').map_or(source.len(), |length| start + length);
        let mut end = span.end.clamp(start, rest);
        while !source.is_char_boundary(end) {
            end -= 1;
        }
        let before = source[begin..start].chars().count();
        let skipped = before.saturating_sub(WINDOW / 2);
        let plain = |c: char| match c {
            '\t' => ' ',
            c if c.is_control()
                || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}') =>
            {
                char::REPLACEMENT_CHARACTER
            }
            c => c,
        };
        let line = source[begin..rest].trim_end_matches('\r');
        let indent = before - skipped;
        Self {
            line: line_at(source, start),
            column: before + 1,
            shown: line.chars().skip(skipped).take(WINDOW).map(plain).collect(),
            indent,
            width: source[start..end].chars().count().clamp(1, WINDOW - indent),
        }
    }

    /// The line, counted from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column in characters, counted from 1.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, column, shown, indent, width } = self;
        let gutter = line.to_string().len();
        writeln!(f, "line {line}, column {column}")?;
        writeln!(f, "{:gutter$} |", "")?;
        writeln!(f, "{line} | {shown}")?;
        writeln!(f, "{:gutter$} | {:indent$}{}", "", "", "^".repeat(*width))
    }
}

/// The line of a byte, counted from 1.
pub fn line_at(source: &str, at: usize) -> usize {
    1 + source.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

/// A TOML parser's message, bounded and without control characters.
pub fn parser_message(error: &toml::de::Error) -> String {
    let spoken = error.message().chars().take(MAX_MESSAGE);
    spoken.map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The position of a TOML parser's error.
pub fn parser_excerpt(source: &str, error: &toml::de::Error) -> Excerpt {
    Excerpt::new(source, error.span().unwrap_or(0..0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_shown_as_compilers_do() {
        let source = "a = 1\nb\t= \"é\u{1b}[31m\"\n";
        insta::assert_snapshot!(Excerpt::new(source, 10..18), @r#"
        line 2, column 5
          |
        2 | b = "é�[31m"
          |     ^^^^^^^
        "#);
    }

    #[test]
    fn any_span_of_any_text_has_a_place() {
        for source in ["", "é", "a\n", "\n\n", &"x".repeat(500)] {
            for start in 0..source.len() + 3 {
                for end in [0, start, start + 1, start + 400] {
                    let excerpt = Excerpt::new(source, start..end);
                    assert!(excerpt.to_string().len() < 600 && excerpt.line() >= 1 && excerpt.column() >= 1);
                }
            }
        }
    }
}
