//! A policy to be spoiled.

/// A sound policy of two stages.
pub const PARTNERS: &str = r#"schema = 1
checkpoint = "demo-small"
version = 4
expires = 2027-06-30T00:00:00Z

[[stage]]
name = "partners"
audience.organizations = ["Example University"]
approvals = { board = 2 }
agreement = "agreement.md"
uses = ["bias-analysis", "detection"]
max_days = 180
limits.tokens_per_day = 2_000_000
usage = "sealed"
lease_hours = 24

[[stage]]
name = "public"
audience = "anyone"
usage = "counts"

[stage.requires]
soak_days = 90
[[stage.requires.evidence]]
kind = "detection"
metric = "accuracy"
at_least = 0.95
samples = 5000
"#;

/// The policy above with pieces of it replaced.
pub fn edited(edits: &[(&str, &str)]) -> String {
    edits.iter().fold(PARTNERS.to_owned(), |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replacen(from, to, 1)
    })
}
