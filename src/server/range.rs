//! Byte ranges (RFC 9110, section 14): one range, with a strong validator.

use std::ops::Range;

use axum::http::{HeaderMap, header};

/// The part of a representation to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Whole,
    Bytes(Range<u64>),
    /// The range is outside the representation.
    OutOfRange,
}

/// Reads `Range` and `If-Range`. A malformed or multiple range is ignored, as the RFC allows.
pub(super) fn select_range(headers: &HeaderMap, tag: &str, size: u64) -> Part {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if text(header::IF_RANGE).is_some_and(|validator| validator.trim() != tag) {
        return Part::Whole;
    }
    let Some((first, last)) = text(header::RANGE).and_then(parse) else {
        return Part::Whole;
    };
    match (first, last) {
        (Some(first), last) if first < size => {
            let end = last.map_or(size, |last| last.saturating_add(1).min(size));
            if end > first { Part::Bytes(first..end) } else { Part::Whole }
        }
        (None, Some(suffix)) if suffix > 0 && size > 0 => Part::Bytes(size.saturating_sub(suffix)..size),
        _ => Part::OutOfRange,
    }
}

fn parse(text: &str) -> Option<(Option<u64>, Option<u64>)> {
    let (first, last) = text.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| if text.is_empty() { Some(None) } else { text.parse().ok().map(Some) };
    match (number(first)?, number(last)?) {
        (None, None) => None,
        (Some(first), Some(last)) if last < first => None,
        range => Some(range),
    }
}

/// Whether the client has the current version (`If-None-Match`).
pub(super) fn is_known(headers: &HeaderMap, tag: &str) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    known.is_some_and(|known| {
        known.split(',').map(str::trim).any(|known| known == "*" || known.trim_start_matches("W/") == tag)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    fn part(range: &str) -> Part {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, range.parse().unwrap());
        select_range(&headers, "\"tag\"", 10)
    }

    #[test]
    fn ranges_are_read_as_the_rfc_says() {
        for (range, expected) in [
            ("bytes=0-9", Part::Bytes(0..10)),
            ("bytes=2-3", Part::Bytes(2..4)),
            ("bytes=7-", Part::Bytes(7..10)),
            ("bytes=7-99", Part::Bytes(7..10)),
            ("bytes=-3", Part::Bytes(7..10)),
            ("bytes=-30", Part::Bytes(0..10)),
            ("bytes=10-", Part::OutOfRange),
            ("bytes=-0", Part::OutOfRange),
            ("bytes=3-2", Part::Whole),
            ("bytes=-", Part::Whole),
            ("bytes=0-1,4-5", Part::Whole),
            ("lines=0-1", Part::Whole),
            ("bytes=99999999999999999999-", Part::Whole),
        ] {
            assert_eq!(part(range), expected, "{range}");
        }
    }

    #[test]
    fn a_range_of_something_else_is_not_sent() {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, "bytes=2-3".parse().unwrap());
        headers.insert(header::IF_RANGE, "\"other\"".parse().unwrap());
        assert_eq!(select_range(&headers, "\"tag\"", 10), Part::Whole);
        headers.insert(header::IF_RANGE, "\"tag\"".parse().unwrap());
        assert_eq!(select_range(&headers, "\"tag\"", 10), Part::Bytes(2..4));
    }
}
