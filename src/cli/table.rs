//! Tables: headers, columns that fit the terminal, and each row on one line whatever others wrote into it.

use std::fmt::Display;

use console::{Alignment, Style, measure_text_width, pad_str, truncate_str};

use crate::visible::one_line;

/// Between two columns.
const GAP: &str = "  ";
/// What a column that is cut keeps at least.
const MIN_WIDTH: usize = 10;

/// What a text means, for terminals with colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::cli) enum Tone {
    /// Nothing in particular.
    #[default]
    Plain,
    /// It stands, it holds.
    Good,
    /// It waits for someone.
    Waits,
    /// It was refused, or ended.
    Bad,
    /// It is over, or beside the point.
    Faint,
    /// A header.
    Strong,
}

impl Tone {
    /// The text in the colour of the tone, if there are colours.
    pub(in crate::cli) fn paint(self, text: &str, has_colours: bool) -> String {
        let style = match self {
            Self::Plain => return text.to_owned(),
            Self::Good => Style::new().green(),
            Self::Waits => Style::new().yellow(),
            Self::Bad => Style::new().red(),
            Self::Faint => Style::new().dim(),
            Self::Strong => Style::new().bold(),
        };
        style.force_styling(has_colours).apply_to(text).to_string()
    }
}

/// How a table is shown: in how many columns of a terminal, if it is one, and whether in colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(in crate::cli) struct Look {
    /// Columns of the terminal; nothing is cut if there is none.
    pub(in crate::cli) width: Option<usize>,
    /// Whether it shows colours.
    pub(in crate::cli) has_colours: bool,
}

impl Look {
    /// The look of standard output. `NO_COLOR` is honoured, and a pipe has neither width nor colours.
    pub(in crate::cli) fn detect() -> Self {
        let width = console::Term::stdout().size_checked().map(|(_, columns)| usize::from(columns));
        Self { width, has_colours: console::colors_enabled() }
    }
}

/// What a column may lose on a narrow terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Fit {
    /// Nothing: a number, a date, digits to name something by.
    Whole,
    /// Its end: a name, a reason.
    Cut,
}

/// One cell: a text on one line, everything hidden in it written out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(in crate::cli) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a text, which may be untrusted.
    pub(in crate::cli) fn new(text: impl Display) -> Self {
        Self { text: one_line(&text.to_string()), tone: Tone::Plain }
    }

    /// The same in a tone.
    #[must_use]
    pub(in crate::cli) fn with_tone(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

/// Rows under headers.
#[derive(Debug, Clone)]
pub(in crate::cli) struct Table<const N: usize> {
    columns: [(&'static str, Fit); N],
    rows: Vec<[Cell; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these headers, and no row yet.
    pub(in crate::cli) fn new(columns: [(&'static str, Fit); N]) -> Self {
        Self { columns, rows: Vec::new() }
    }

    pub(in crate::cli) fn row(&mut self, cells: [Cell; N]) {
        self.rows.push(cells);
    }

    /// Whether it has no rows.
    pub(in crate::cli) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Its lines; none if it has no rows.
    pub(in crate::cli) fn lines(&self, look: Look) -> Vec<String> {
        if self.is_empty() {
            return Vec::new();
        }
        let widths = self.widths(look.width);
        let header = self.columns.map(|(name, _)| Cell::new(name).with_tone(Tone::Strong));
        let rows = std::iter::once(&header).chain(&self.rows);
        rows.map(|cells| line(cells, &widths, look)).collect()
    }

    /// What each column takes: what its longest cell needs, less if the terminal is narrower.
    fn widths(&self, terminal: Option<usize>) -> [usize; N] {
        let mut widths = self.columns.map(|(name, _)| measure_text_width(name));
        for row in &self.rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(measure_text_width(&cell.text));
            }
        }
        let Some(terminal) = terminal else { return widths };
        let gaps = GAP.len() * N.saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > terminal {
            let cuttable = |(at, width): &(usize, &mut usize)| {
                matches!(self.columns.get(*at), Some((_, Fit::Cut))) && **width > MIN_WIDTH
            };
            let widest = widths.iter_mut().enumerate().filter(cuttable).max_by_key(|(_, width)| **width);
            let Some((_, width)) = widest else { break };
            *width -= 1;
        }
        widths
    }
}

fn line<const N: usize>(cells: &[Cell; N], widths: &[usize; N], look: Look) -> String {
    let mut shown: Vec<String> = Vec::with_capacity(N);
    for (cell, width) in cells.iter().zip(widths) {
        let is_last = shown.len() + 1 == N;
        let text = truncate_str(&cell.text, *width, "…");
        let padded =
            if is_last { text } else { pad_str(&text, *width, Alignment::Left, None).into_owned().into() };
        shown.push(cell.tone.paint(&padded, look.has_colours));
    }
    shown.join(GAP).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table<3> {
        let mut table = Table::new([("ID", Fit::Whole), ("WHO", Fit::Cut), ("STATE", Fit::Cut)]);
        table.row([
            Cell::new("3f2a9c81d0e4"),
            Cell::new("Zoë Ångström"),
            Cell::new("granted").with_tone(Tone::Good),
        ]);
        table.row([
            Cell::new("7d21e0aa11bb"),
            Cell::new("東京タワー\nroot"),
            Cell::new("denied: \u{1b}[2J a long reason that goes on and on").with_tone(Tone::Bad),
        ]);
        table
    }

    #[test]
    fn what_is_no_terminal_gets_whole_cells_and_no_colours() {
        insta::assert_snapshot!(table().lines(Look::default()).join("\n"), @r"
        ID            WHO               STATE
        3f2a9c81d0e4  Zoë Ångström      granted
        7d21e0aa11bb  東京タワー\nroot  denied: \u{1b}[2J a long reason that goes on and on
        ");
    }

    #[test]
    fn a_terminal_gets_lines_that_fit_it_and_digits_whole() {
        for width in [46, 50, 60, 200] {
            let lines = table().lines(Look { width: Some(width), has_colours: false });
            for line in &lines {
                assert!(measure_text_width(line) <= width, "{width}: {line}");
            }
            assert!(lines[2].starts_with("7d21e0aa11bb"), "{lines:?}");
            assert_eq!(lines[2].contains('…'), width < 80, "{lines:?}");
        }
        // Narrower than what may not be cut.
        let lines = table().lines(Look { width: Some(5), has_colours: false });
        assert!(lines[1].starts_with("3f2a9c81d0e4"), "{lines:?}");
    }

    #[test]
    fn colours_change_no_width() {
        let coloured = table().lines(Look { width: Some(60), has_colours: true });
        let plain = table().lines(Look { width: Some(60), has_colours: false });
        assert!(coloured[1].contains("\u{1b}[32mgranted"), "{coloured:?}");
        for (coloured, plain) in coloured.iter().zip(plain) {
            assert_eq!(console::strip_ansi_codes(coloured).trim_end(), plain);
        }
    }

    #[test]
    fn a_table_without_rows_is_nothing() {
        assert!(Table::new([("ID", Fit::Whole)]).lines(Look::default()).is_empty());
    }
}
