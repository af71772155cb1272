//! What can go wrong with the database.

/// The database refuses, or holds what this program did not write.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database cannot be reached, or refuses.
    #[error("the database fails: {0}")]
    Database(#[from] sqlx::Error),
    /// Its tables cannot be brought to this version's form.
    #[error("the database's tables cannot be brought up to date: {0}")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// A URL of a database that this program does not know.
    #[error("`{scheme}` is no database that is supported; write sqlite:<file> or postgres://…")]
    Scheme {
        /// The scheme given.
        scheme: String,
    },
    /// A row that cannot be read.
    #[error("a row of {table} is damaged: {reason}")]
    Row {
        /// Which table.
        table: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}
