//! Errors of the database.

use std::io;

use crate::identity::KeyId;

/// The database failed, or holds unexpected data.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, or refused the query.
    #[error("database error: {0}")]
    Database(#[from] sqlx::Error),
    /// A combined transaction was not written.
    #[error("the database write failed: {reason}")]
    NotWritten { reason: String },
    /// The tables cannot be migrated to this version.
    #[error("database migration failed: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// Unsupported database URL.
    #[error("`{scheme}` is not a supported database; use sqlite:<file> or postgres://…")]
    Scheme { scheme: String },
    /// A quota refuses the request.
    #[error(transparent)]
    Intake(#[from] super::QuotaRefusal),
    /// A row cannot be read.
    #[error("a row of {table} is damaged: {reason}")]
    Row { table: &'static str, reason: String },
    /// More rows than a decision reads; a part of them is no basis for it.
    #[error("more than {max} rows of {table} apply, too many for a decision")]
    TooMany { table: &'static str, max: i64 },
    /// The backup file cannot be read or written.
    #[error("cannot read or write the backup file")]
    File(#[from] io::Error),
    /// The backup cannot be used.
    #[error("the backup cannot be used: {reason}")]
    Backup { reason: String },
    /// The backup has no signature: it is from an earlier release, or the signature was removed.
    #[error("the backup is not signed")]
    BackupUnsigned,
    /// The backup is from another registry, or was altered and signed again.
    #[error("the backup is not signed by this registry's key {expected}{}", by(named.as_ref()))]
    BackupForeign { expected: KeyId, named: Option<KeyId> },
    /// Backups are restored into an empty database only.
    #[error("the database is not empty: {table} has rows")]
    NotEmpty { table: &'static str },
}

fn by(named: Option<&KeyId>) -> String {
    named.map(|key| format!("; it names {key}")).unwrap_or_default()
}
