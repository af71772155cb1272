//! Folds text to what a reader sees, so that look-alike letters and invisible characters do not hide it from rules.
//!
//! Rules read the folded text beside the raw one, so folding can only add hits.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization as _;
use unicode_normalization::char::is_combining_mark;
use unicode_security::skeleton;

use crate::visible::is_hidden;

/// The text in form NFKD (UAX #15) without marks and hidden characters, with letters that look like ASCII (UTS #39) replaced and white
/// space collapsed. Plain ASCII is returned as it is.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if is_folded(text) {
        return Cow::Borrowed(text);
    }
    let mut folded = String::with_capacity(text.len());
    for c in text.nfkd().filter(|c| c.is_whitespace() || !is_hidden(*c) && !is_combining_mark(*c)) {
        match c {
            c if c.is_whitespace() => {
                if !folded.ends_with(' ') {
                    folded.push(' ');
                }
            }
            c if c.is_ascii() => folded.push(c),
            c => push_lookalike(c, &mut folded),
        }
    }
    Cow::Owned(folded)
}

/// Whether the text is ASCII without controls and without double spaces.
fn is_folded(text: &str) -> bool {
    let is_plain = |byte: &u8| *byte == b' ' || byte.is_ascii_graphic();
    let bytes = text.as_bytes();
    bytes.iter().all(is_plain) && !bytes.windows(2).any(|pair| pair == b"  ")
}

/// Appends the ASCII character that `c` looks like, or `c`. The case is kept: the table writes a capital `I` as `l`.
fn push_lookalike(c: char, folded: &mut String) {
    let mut bytes = [0; 4];
    let start = folded.len();
    folded.extend(skeleton(c.encode_utf8(&mut bytes)));
    let alike = &folded[start..];
    if !alike.is_ascii() {
        folded.truncate(start);
        folded.push(c);
    } else if alike == "l" && c.is_uppercase() {
        folded.truncate(start);
        folded.push('I');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_fold_to_what_they_look_like() {
        for (text, seen) in [
            ("fake news", "fake news"),
            ("f\u{430}ke n\u{435}ws", "fake news"),
            ("fa\u{200b}ke\u{ad} news", "fake news"),
            ("\u{ff46}\u{ff41}\u{ff4b}\u{ff45}", "fake"),
            ("\u{1d41f}\u{1d41a}\u{1d424}\u{1d41e}", "fake"),
            ("f\u{336}a\u{336}k\u{336}e\u{336}", "fake"),
            ("\u{406}van", "Ivan"),
            ("f\u{1b}ake", "fake"),
            ("fake\nnews", "fake news"),
            ("fake \t\r\n\u{2028}\u{3000}   news", "fake news"),
            ("fake\u{200b} \u{85}news", "fake news"),
            ("ニュース", "ニュース"),
        ] {
            assert_eq!(fold(text), seen, "{text:?}");
        }
        assert!(matches!(fold("plain text"), Cow::Borrowed(_)));
    }
}
