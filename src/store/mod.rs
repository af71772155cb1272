//! The registry's database: SQLite in a file, or PostgreSQL, with the same queries. All SQL is in this room.
//!
//! Acknowledged data is durable: SQLite runs in WAL mode with full synchronization, PostgreSQL with its defaults. A statement and its
//! effects are written in one transaction.

mod backup;
mod catalogue;
mod error;
mod later_hits;
mod log;
mod quotas;
mod requests;
mod sanctions;
mod seals;
mod sessions;
mod statements;
mod usage;
mod writer;

pub use backup::BackupTrust;
pub use catalogue::CatalogueFiles;
pub use error::Error;
pub use later_hits::LaterHit;
pub use log::{HeadRow, RecordRow, Turn, WaitingEntry};
pub use quotas::{Approval, NewcomerQuota, QuotaRefusal, RequestAdmission, RequestQuota, StatementQuota};
pub use requests::{Event, Page, RequestFilter, RequestRow, RequestState};
pub use sanctions::{CaseRow, SanctionChange, SanctionedGrant, Sanctions};
pub use seals::SealRow;
pub use statements::{Effect, FiledStatement, Filing, StatementRow};
pub use usage::{DeclarationChange, GenerationRow, JournalRow, UsageChange, UsageFiling};

use std::str::FromStr;
use std::time::Duration;

use sqlx::any::{AnyConnectOptions, AnyPoolOptions};
use sqlx::{Any, AnyPool, Connection as _, Executor as _, Transaction};

use writer::Writer;

/// Maximum rows per query.
pub const MAX_ROWS: i64 = 1000;

/// Maximum wait for a connection or a lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// Idle time after which a connection is tested before use.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// The registry's database; clones share its connections.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    kind: Kind,
    /// Writes queued statements together; `None` if the database does so itself.
    writer: Option<Writer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

impl Store {
    /// Opens `sqlite:<file>` or `postgres://…`, and migrates its tables.
    ///
    /// # Errors
    /// [`Error::Scheme`], [`Error::Database`], [`Error::Migration`].
    pub async fn open(url: &str) -> Result<Self, Error> {
        sqlx::any::install_default_drivers();
        let (kind, url) = match url.split_once(':') {
            Some(("sqlite", path)) => (Kind::Sqlite, format!("sqlite://{path}?mode=rwc")),
            Some(("postgres" | "postgresql", _)) => (Kind::Postgres, url.to_owned()),
            _ => return Err(Error::Scheme { scheme: url.split(':').next().unwrap_or_default().to_owned() }),
        };
        let options = AnyConnectOptions::from_str(&url)?;
        let pool = AnyPoolOptions::new().max_connections(16).acquire_timeout(PATIENCE);
        let pool = match kind {
            // Testing a connection that was just used would cost another round trip.
            Kind::Postgres => pool.test_before_acquire(false).before_acquire(|connection, used| {
                Box::pin(async move {
                    if used.idle_for > TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            }),
            // A file needs no test of each connection before use.
            Kind::Sqlite => pool.test_before_acquire(false).after_connect(|connection, _| {
                Box::pin(async move {
                    connection.execute("PRAGMA journal_mode = WAL").await?;
                    connection.execute("PRAGMA synchronous = FULL").await?;
                    connection.execute("PRAGMA busy_timeout = 10000").await?;
                    connection.execute("PRAGMA foreign_keys = ON").await?;
                    Ok(())
                })
            }),
        };
        let pool = pool.connect_with(options).await?;
        match kind {
            Kind::Sqlite => sqlx::migrate!("src/store/migrations/sqlite").run(&pool).await?,
            Kind::Postgres => sqlx::migrate!("src/store/migrations/postgres").run(&pool).await?,
        }
        let writer = (kind == Kind::Sqlite).then(|| Writer::start(pool.clone()));
        Ok(Self { pool, kind, writer })
    }

    /// Checks that the database answers.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Finishes running work and closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A write transaction. On SQLite it takes the writer's lock at once, so that it cannot fail half way.
    async fn write(&self) -> Result<Transaction<'static, Any>, Error> {
        Ok(match self.kind {
            Kind::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await?,
            Kind::Postgres => self.pool.begin().await?,
        })
    }
}

/// Parses a text column.
fn parse<T: FromStr>(table: &'static str, text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|_| Error::Row { table, reason: format!("`{}`", text.chars().take(80).collect::<String>()) })
}

/// Parses a text column; the empty text is `None`.
fn parse_option<T: FromStr>(table: &'static str, text: &str) -> Result<Option<T>, Error> {
    if text.is_empty() { Ok(None) } else { parse(table, text).map(Some) }
}

fn option_text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}
