//! The tables of a backup in their order, with their columns.

use std::sync::LazyLock;

use serde_json::Value;

use Column::{Bytes, Number, Text};

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Column {
    Number,
    Text,
    Bytes,
}

impl Column {
    /// The value in rows of releases without the column.
    pub(super) fn empty(self) -> &'static Value {
        static NUMBER: LazyLock<Value> = LazyLock::new(|| Value::from(0));
        static TEXT: LazyLock<Value> = LazyLock::new(|| Value::from(""));
        match self {
            Number => &NUMBER,
            Text | Bytes => &TEXT,
        }
    }
}

/// A table with its columns; the first column orders the rows.
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [(&'static str, Column)],
}

/// All tables but those that end with the database: sessions, challenges, daily quotas.
pub(super) const TABLES: [Table; 15] = [
    Table {
        name: "statements",
        columns: &[
            ("seq", Number),
            ("digest", Text),
            ("signer", Text),
            ("kind", Text),
            ("checkpoint", Text),
            ("about", Text),
            ("holder", Text),
            ("envelope", Text),
            ("received", Number),
        ],
    },
    Table {
        name: "requests",
        columns: &[
            ("seq", Number),
            ("digest", Text),
            ("checkpoint", Text),
            ("holder", Text),
            ("stage", Text),
            ("state", Text),
            ("assignee", Text),
            ("renews", Text),
            ("created", Number),
            ("decided", Number),
            ("asks", Text),
        ],
    },
    Table {
        name: "request_events",
        columns: &[
            ("seq", Number),
            ("request", Text),
            ("at", Number),
            ("state", Text),
            ("actor", Text),
            ("note", Text),
        ],
    },
    Table { name: "catalogue_files", columns: &[("path", Text), ("bytes", Bytes)] },
    Table { name: "catalogue_version", columns: &[("one", Number), ("version", Number)] },
    Table {
        name: "seals",
        columns: &[
            ("manifest", Text),
            ("checkpoint", Text),
            ("manifest_bytes", Bytes),
            ("shares_bytes", Bytes),
        ],
    },
    Table {
        name: "log_entries",
        columns: &[("seq", Number), ("kind", Text), ("statement", Text), ("entry", Text), ("place", Number)],
    },
    Table {
        name: "usage_journals",
        columns: &[
            ("journal", Text),
            ("holder", Text),
            ("records", Number),
            ("head", Text),
            ("told", Number),
            ("leased_until", Number),
            ("leased_for", Text),
            ("lost", Number),
            ("raised", Text),
        ],
    },
    Table {
        name: "usage_generations",
        columns: &[
            ("place", Text),
            ("holder", Text),
            ("checkpoint", Text),
            ("at", Number),
            ("tokens", Number),
            ("sketch", Text),
            ("ended", Number),
            ("leased_for", Text),
        ],
    },
    Table {
        name: "revocations",
        columns: &[
            ("statement", Text),
            ("grant_digest", Text),
            ("holder", Text),
            ("checkpoint", Text),
            ("at", Number),
        ],
    },
    Table {
        name: "cases",
        columns: &[
            ("statement", Text),
            ("grant_digest", Text),
            ("holder", Text),
            ("checkpoint", Text),
            ("outcome", Text),
            ("until", Number),
            ("decided", Number),
            ("appealed", Number),
        ],
    },
    Table { name: "open_case_rules", columns: &[("place", Text), ("case_digest", Text)] },
    Table {
        name: "later_hits",
        columns: &[
            ("place", Text),
            ("grant_digest", Text),
            ("holder", Text),
            ("rule", Text),
            ("journal", Text),
            ("seq", Number),
            ("record", Text),
            ("severity", Text),
            ("reason", Text),
            ("at", Number),
        ],
    },
    Table { name: "log_tiles", columns: &[("name", Text), ("bytes", Bytes)] },
    Table {
        name: "log_head",
        columns: &[("one", Number), ("size", Number), ("root", Text), ("note", Text), ("cosigned", Text)],
    },
];

/// Tables that always have one row.
pub(super) const OF_ONE_ROW: [&str; 2] = ["catalogue_version", "log_head"];
