//! The record: how fast entries are taken in, how fast they are audited, what the journal adds to a generation, how soon a long log is served.
//!
//! ```sh
//! cargo bench --bench record                                   # all of it; the log is 1,000,000 entries long
//! cargo bench --bench record -- throughput journal             # some of it
//! cargo bench --bench record -- audit --entries 100000         # on a shorter log
//! ```
//!
//! Everything is on the disk of `TMPDIR`, with its real synchronization. Bare loops of SQLite commits and of synchronized writes are measured in
//! the same run.
#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints, and fails by panicking"
)]

mod audit;
mod journal;
mod restart;
#[path = "../../tests/support/mod.rs"]
mod support;
mod throughput;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let place = arguments.iter().position(|argument| argument == "--entries");
    let entries =
        place.and_then(|place| arguments.get(place + 1)).map_or(1_000_000, |text| text.parse().unwrap());
    let parts = ["throughput", "journal", "audit", "restart"];
    let is_wanted = |name: &str| {
        !arguments.iter().any(|argument| parts.contains(&argument.as_str()))
            || arguments.iter().any(|argument| argument == name)
    };
    if is_wanted("throughput") {
        throughput::measure();
    }
    if is_wanted("journal") {
        journal::measure();
    }
    if is_wanted("audit") {
        audit::measure(entries);
    }
    if is_wanted("restart") {
        restart::measure(entries);
    }
}

/// A sorted list's value below which this part of it lies, in milliseconds.
fn milliseconds(sorted: &[std::time::Duration], part: f64) -> f64 {
    let place = ((sorted.len() as f64 * part) as usize).min(sorted.len() - 1);
    sorted[place].as_secs_f64() * 1000.0
}
