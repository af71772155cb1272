//! What a registry's server shows of a request beyond its statements: its place in the queue, who looks after it, what happened.

use std::fmt::Write as _;

use crate::api::RequestStanding;
use crate::cli::people::Names;
use crate::cli::units::counted;
use crate::identity::KeyId;

/// Lines about a request's standing.
pub(super) fn describe(standing: &RequestStanding, names: &Names<'_>) -> String {
    let mut text = String::new();
    let times = match (standing.median_seconds, standing.p90_seconds) {
        (Some(median), Some(p90)) => {
            format!("half are decided within {}, nine of ten within {}", duration(median), duration(p90))
        }
        _ => "nothing was decided yet".to_owned(),
    };
    // Writing to a string cannot fail.
    if let Some(place) = standing.place {
        let _ = writeln!(text, "  queue        {} in the queue; {times}", ordinal(place));
    }
    if let Some(assignee) = standing.request.assignee {
        let _ = writeln!(text, "  assignee     {}", names.name_of(assignee));
    }
    if let Some(renews) = standing.request.renews {
        let _ = writeln!(text, "  renews       {renews}");
    }
    for item in &standing.sanctions {
        let person = names.name_of(item.person);
        let _ = match item.kind.as_str() {
            "suspended" => writeln!(text, "  sanction     {person} is suspended until {}", item.time),
            _ => writeln!(
                text,
                "  sanction     {person} was revoked on {}: a new grant is a new decision",
                item.time
            ),
        };
    }
    for event in &standing.history {
        let actor = names.name_of(event.actor);
        let to = event.note.as_str().parse::<KeyId>().map(|key| names.name_of(key));
        let _ = match (event.state.as_str(), to) {
            ("assigned", Ok(to)) => writeln!(text, "  {}  assigned to {to} by {actor}", event.at),
            ("assigned", Err(_)) => writeln!(text, "  {}  unassigned by {actor}", event.at),
            (_, _) if event.note.as_str().is_empty() => {
                writeln!(text, "  {}  {} by {actor}", event.at, event.state)
            }
            _ => writeln!(text, "  {}  {} by {actor}: {}", event.at, event.state, event.note),
        };
    }
    text
}

fn ordinal(place: i64) -> String {
    let suffix = match (place % 10, place % 100) {
        (1, rest) if rest != 11 => "st",
        (2, rest) if rest != 12 => "nd",
        (3, rest) if rest != 13 => "rd",
        _ => "th",
    };
    format!("{place}{suffix}")
}

/// `40 seconds`, `3 hours`, `12 days`: rounded up, since it is a promise of a kind.
fn duration(seconds: i64) -> String {
    let (unit, name) = match seconds {
        ..120 => (1, "second"),
        120..7200 => (60, "minute"),
        7200..172_800 => (3600, "hour"),
        _ => (86_400, "day"),
    };
    counted(usize::try_from((seconds + unit - 1) / unit).unwrap_or(0), name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_times_read_as_people_say_them() {
        let said: Vec<_> = [1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal).to_vec();
        assert_eq!(said, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]);
        let said: Vec<_> = [0, 1, 119, 121, 7199, 7201, 200_000].map(duration).to_vec();
        assert_eq!(
            said,
            ["0 seconds", "1 second", "119 seconds", "3 minutes", "120 minutes", "3 hours", "3 days"]
        );
    }
}
