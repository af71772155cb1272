//! Numbers as people read them.

/// Bytes in decimal units: `497.8 MB`.
pub(super) fn bytes(count: u64) -> String {
    indicatif::DecimalBytes(count).to_string()
}

/// A count in groups of three: `124,439,808`.
pub(super) fn count(count: u64) -> String {
    indicatif::HumanCount(count).to_string()
}

/// `1 request`, `2 requests`.
pub(super) fn counted(count: usize, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}
