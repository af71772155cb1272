//! What a command shows a person: lines and tables, in colours where the terminal has them. Whatever is put on a page is escaped as it comes,
//! so that the only escapes on it are the page's own.

use std::fmt::Display;

use super::table::{Look, Table, Tone};
use crate::visible::visible;

/// A result for people.
#[derive(Debug, Default)]
pub(in crate::cli) struct Page {
    text: String,
    look: Look,
}

impl Page {
    /// An empty page for standard output.
    pub(in crate::cli) fn new() -> Self {
        Self { text: String::new(), look: Look::detect() }
    }

    /// Adds a line, or several.
    pub(in crate::cli) fn line(&mut self, text: impl Display) {
        self.toned_line(Tone::Plain, text);
    }

    /// The same in a tone.
    pub(in crate::cli) fn toned_line(&mut self, tone: Tone, text: impl Display) {
        let text = text.to_string();
        for line in visible(text.trim_end_matches('\n')).split('\n') {
            self.text += &tone.paint(line, self.look.has_colours);
            self.text.push('\n');
        }
    }

    /// A line between two parts; none at the beginning.
    pub(in crate::cli) fn gap(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    pub(in crate::cli) fn table<const N: usize>(&mut self, table: &Table<N>) {
        for line in table.lines(self.look) {
            self.text += &line;
            self.text.push('\n');
        }
    }

    /// Adds a table, or a text if it has no rows.
    pub(in crate::cli) fn table_or<const N: usize>(&mut self, table: &Table<N>, nothing: &str) {
        if table.is_empty() { self.line(nothing) } else { self.table(table) }
    }

    /// What is to be printed, its own escapes in it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_others_bring_no_escapes_of_their_own() {
        let mut page = Page { look: Look { width: None, has_colours: true }, ..Page::default() };
        page.line("\u{1b}[2J gone\nsecond");
        page.toned_line(Tone::Bad, "\u{202e}refused");
        assert_eq!(page.text(), "\\u{1b}[2J gone\nsecond\n\u{1b}[31m\\u{202e}refused\u{1b}[0m\n");
    }
}
