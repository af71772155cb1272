//! What can go wrong with the database.

use std::io;

use crate::identity::KeyId;

/// The database refuses, or holds what this program did not write.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, or refuses.
    #[error("database error: {0}")]
    Database(#[from] sqlx::Error),
    /// What was to be written together with others was not written.
    #[error("the database write failed: {reason}")]
    NotWritten { reason: String },
    /// Its tables cannot be brought to this version's form.
    #[error("database migration failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A URL of a database that this program does not know.
    #[error("`{scheme}` is not a supported database; use sqlite:<file> or postgres://…")]
    Scheme { scheme: String },
    /// A request that its author may not make now.
    #[error(transparent)]
    Intake(#[from] super::QuotaRefusal),
    /// A row that cannot be read.
    #[error("a row of {table} is damaged: {reason}")]
    Row { table: &'static str, reason: String },
    /// More rows than a decision reads; deciding on a part of them would be guessing.
    #[error("more than {max} rows of {table} apply, too many for a decision")]
    TooMany { table: &'static str, max: i64 },
    /// A backup's file cannot be read or written.
    #[error("cannot read or write the backup file")]
    File(#[from] io::Error),
    /// A backup that cannot be used.
    #[error("the backup cannot be used: {reason}")]
    Backup { reason: String },
    /// A backup that nobody signed: of an earlier release, or somebody took the signature off.
    #[error("the backup is not signed")]
    BackupUnsigned,
    /// A backup that another registry took, or that was altered and signed again.
    #[error("the backup is not signed by this registry's key {expected}{}", by(named.as_ref()))]
    BackupForeign { expected: KeyId, named: Option<KeyId> },
    /// A backup is brought into an empty database only.
    #[error("the database is not empty: {table} has rows")]
    NotEmpty { table: &'static str },
}

fn by(named: Option<&KeyId>) -> String {
    named.map(|key| format!("; it names {key}")).unwrap_or_default()
}
