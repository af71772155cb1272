//! Text that others wrote, shown so that it cannot steer who reads it: controls, marks of direction and invisible characters are written
//! out as `\u{202e}`. Terminals, logs and reports show what they did not write themselves through here.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character shows nothing of itself, or changes how others are shown: controls (but for the end of a line and the tab), marks of
/// direction (Unicode Annex 9), and default-ignorable code points (Unicode 16, 5.21).
pub fn is_hidden(c: char) -> bool {
    (c.is_control() && c != '\n' && c != '\t')
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Whether a joiner (U+200C, U+200D) stands between letters of a script that needs it (RFC 5892, appendix A; Unicode Annex 31).
pub fn joins(before: Option<char>, joiner: char, after: Option<char>) -> bool {
    let takes_joiners = |c: char| {
        matches!(c,
            '\u{600}'..='\u{6ff}' | '\u{700}'..='\u{77f}' | '\u{8a0}'..='\u{8ff}' | '\u{900}'..='\u{dff}' | '\u{f00}'..='\u{109f}'
            | '\u{1780}'..='\u{17ff}' | '\u{1820}'..='\u{18af}' | '\u{fb50}'..='\u{fdff}' | '\u{fe70}'..='\u{fefc}')
    };
    matches!(joiner, '\u{200c}' | '\u{200d}')
        && before.is_some_and(takes_joiners)
        && after.is_some_and(takes_joiners)
}

/// The hidden characters of a text, but for joiners where they belong.
fn hidden(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let neighbour =
        |at: usize, c: char| (text[..at].chars().next_back(), text[at + c.len_utf8()..].chars().next());
    text.char_indices().filter(move |(at, c)| {
        let (before, after) = neighbour(*at, *c);
        is_hidden(*c) && !joins(before, *c, after)
    })
}

/// Whether a text has nothing hidden in it.
pub fn is_plain(text: &str) -> bool {
    hidden(text).next().is_none()
}

/// The text with everything hidden written out; lines and tabs stay.
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

/// The same on one line: a text of others in a list or a log cannot begin a line of its own.
pub fn one_line(text: &str) -> String {
    visible(text).replace('\n', "\\n").replace('\t', " ")
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
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(is_plain(text), text == shown);
        }
        assert_eq!(one_line("granted\nby ada\u{7}"), "granted\\nby ada\\u{7}");
    }
}
