//! Numbers and times as people read them.

use crate::time::Timestamp;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const TWO_DAYS: i64 = 2 * DAY;

/// Bytes in decimal units: `497.8 MB`.
pub(super) fn bytes(count: u64) -> String {
    indicatif::DecimalBytes(count).to_string()
}

/// A count in groups of three: `124,439,808`.
pub(super) fn count(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}

/// So many of something whose plural ends in `s`: `1 request`, `3 requests`.
pub(super) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// How long ago something was, for tables: `40 s`, `3 min`, `5 h`, `2 d`.
pub(super) fn age(from: Timestamp, now: Timestamp) -> String {
    span(now.seconds_since(from).max(0))
}

/// How long something holds yet, for tables; `over` if it does not.
pub(super) fn left(until: Timestamp, now: Timestamp) -> String {
    match until.seconds_since(now) {
        seconds if seconds <= 0 => "over".to_owned(),
        seconds => span(seconds),
    }
}

/// Whole units, begun ones not counted.
fn span(seconds: i64) -> String {
    match seconds {
        ..MINUTE => format!("{seconds} s"),
        MINUTE..HOUR => format!("{} min", seconds / MINUTE),
        // A lease of a day ends in so many hours.
        HOUR..TWO_DAYS => format!("{} h", seconds / HOUR),
        _ => format!("{} d", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_read_as_people_say_them() {
        let now = Timestamp::from_unix_seconds(1_800_000_000);
        for (seconds, said) in [
            (-5, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (7_199, "1 h"),
            (86_399, "23 h"),
            (86_400, "24 h"),
            (172_800, "2 d"),
            (40_000_000, "462 d"),
        ] {
            assert_eq!(age(now.plus_seconds(-seconds), now), said);
        }
        assert_eq!(left(now, now), "over");
        assert_eq!(left(now.plus_days(30), now), "30 d");
    }

    #[test]
    fn one_is_no_plural() {
        assert_eq!(
            [counted(0, "request"), counted(1, "request"), counted(2, "request")],
            ["0 requests", "1 request", "2 requests"]
        );
    }
}
