//! Parts of a report's page: tables, tiles, boxes.

use std::fmt::Write as _;

use super::chart::escape;
use super::text::count;

/// Maximum rows of a table on the page; JSON and CSV have all rows.
const MAX_ROWS: usize = 40;

/// The style sheet: light and dark, narrow, print.
pub(super) const STYLE: &str = include_str!("page.css");

/// Opens a highlighted box with its class and heading.
pub(super) fn open_box(page: &mut String, class: &str, label: &str, word: &str) {
    // Writing to a string cannot fail, here and below.
    let _ = write!(
        page,
        "<section class=\"box {class}\" aria-label=\"{}\"><strong>{}</strong>",
        escape(label),
        escape(word)
    );
}

/// A list of lines.
pub(super) fn list(page: &mut String, lines: impl IntoIterator<Item = String>) {
    page.push_str("<ul>");
    for line in lines {
        let _ = write!(page, "<li>{}</li>", escape(&line));
    }
    page.push_str("</ul>");
}

/// Tiles with a number and its noun, in singular or plural.
pub(super) fn tiles(page: &mut String, figures: &[(u64, &str, &str)]) {
    page.push_str("<div class=\"figures\">");
    for (number, one, several) in figures {
        let words = if *number == 1 { one } else { several };
        let _ = write!(
            page,
            "<div title=\"{}\"><b>{}</b><span>{words}</span></div>",
            count(*number),
            figure(*number)
        );
    }
    page.push_str("</div>\n");
}

/// A number for a tile: above eight digits it is rounded down; the tables have it in full.
fn figure(number: u64) -> String {
    let (unit, word): (u64, _) = match number {
        0..100_000_000 => return count(number),
        100_000_000..1_000_000_000 => (1_000_000, "million"),
        1_000_000_000..1_000_000_000_000 => (1_000_000_000, "billion"),
        _ => (1_000_000_000_000, "trillion"),
    };
    format!("{}.{} {word}", count(number / unit), number % unit / (unit / 10))
}

/// A chart that scrolls by itself on narrow pages.
pub(super) fn chart(page: &mut String, svg: &str) {
    let _ = writeln!(page, "<div class=\"wide\" tabindex=\"0\">{svg}</div>");
}

/// A table; columns whose head begins with `#` hold numbers.
pub(super) fn table(
    page: &mut String,
    caption: &str,
    heads: &[&str],
    rows: impl ExactSizeIterator<Item = Vec<String>>,
) {
    let rows = rows.map(|cells| Row { cells, is_marked: false });
    marked_table(page, caption, heads, rows);
}

/// A row of a table.
pub(super) struct Row {
    pub(super) cells: Vec<String>,
    /// Whether the row is highlighted.
    pub(super) is_marked: bool,
}

/// A table with highlighted rows.
pub(super) fn marked_table(
    page: &mut String,
    caption: &str,
    heads: &[&str],
    rows: impl ExactSizeIterator<Item = Row>,
) {
    let total = rows.len();
    if total == 0 {
        return;
    }
    let class = |head: &str| if head.starts_with('#') { " class=\"n\"" } else { "" };
    let caption = escape(caption);
    let _ = write!(page, "<div class=\"wide\" tabindex=\"0\"><table><caption>{caption}</caption><thead><tr>");
    for head in heads {
        let _ =
            write!(page, "<th scope=\"col\"{}>{}</th>", class(head), escape(head.trim_start_matches('#')));
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows.take(MAX_ROWS) {
        page.push_str(if row.is_marked { "<tr class=\"mark\">" } else { "<tr>" });
        for (head, cell) in heads.iter().zip(row.cells) {
            let class = if is_date(&cell) { " class=\"d\"" } else { class(head) };
            let _ = write!(page, "<td{class}>{}</td>", escape(&cell));
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div>\n");
    if total > MAX_ROWS {
        let more = total - MAX_ROWS;
        let rows = if more == 1 { "row" } else { "rows" };
        let _ = writeln!(page, "<p>… and {more} more {rows}; <code>--format csv</code> has them all.</p>");
    }
}

/// Whether the cell is a date, which must not wrap.
fn is_date(cell: &str) -> bool {
    cell.len() == 10
        && cell
            .bytes()
            .enumerate()
            .all(|(n, byte)| if n == 4 || n == 7 { byte == b'-' } else { byte.is_ascii_digit() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tile_holds_any_number() {
        let told = [0, 1, 99_999_999, 100_000_000, 2_560_000_000, 1_999_999_999_999, u64::MAX].map(figure);
        insta::assert_debug_snapshot!(told, @r#"
        [
            "0",
            "1",
            "99,999,999",
            "100.0 million",
            "2.5 billion",
            "1.9 trillion",
            "18,446,744.0 trillion",
        ]
        "#);
    }
}
