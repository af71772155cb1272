//! The registry's database: SQLite in a file, or PostgreSQL; one set of queries for both. All SQL is here and nothing else is.
//!
//! What is acknowledged is durable: SQLite runs in WAL mode with full synchronization, PostgreSQL with its own defaults. A statement and
//! what it changes are written in one transaction.

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

/// Maximum rows that one query hands out.
pub const MAX_ROWS: i64 = 1000;

/// How long a query waits for a connection or a lock.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a connection may have been idle and is not tried before it is used.
const TRUSTED_FOR: Duration = Duration::from_secs(1);

/// A database.
#[derive(Debug, Clone)]
pub struct Store {
    pool: AnyPool,
    kind: Kind,
    /// Where statements queue to be written together; none if the database itself sees to that.
    writer: Option<Writer>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Sqlite,
    Postgres,
}

impl Store {
    /// Opens the database of a URL, `sqlite:<file>` or `postgres://…`, and brings its tables up to date.
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
            // A connection that was just used is not tried again first: that would be one more way to the server and back.
            Kind::Postgres => pool.test_before_acquire(false).before_acquire(|connection, used| {
                Box::pin(async move {
                    if used.idle_for > TRUSTED_FOR {
                        connection.ping().await?;
                    }
                    Ok(true)
                })
            }),
            // A file does not go away as a server does: there is no need to try each connection before it is used.
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

    /// Whether the database answers.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn ping(&self) -> Result<(), Error> {
        sqlx::query("SELECT 1").execute(&self.pool).await?;
        Ok(())
    }

    /// Finishes what is under way and closes every connection.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    /// A transaction that will write: on SQLite it takes the one writer's lock at once, so that none fails half way.
    async fn write(&self) -> Result<Transaction<'static, Any>, Error> {
        Ok(match self.kind {
            Kind::Sqlite => self.pool.begin_with("BEGIN IMMEDIATE").await?,
            Kind::Postgres => self.pool.begin().await?,
        })
    }
}

/// Reads a column that this program wrote as text.
fn parse<T: FromStr>(table: &'static str, text: &str) -> Result<T, Error> {
    text.parse()
        .map_err(|_| Error::Row { table, reason: format!("`{}`", text.chars().take(80).collect::<String>()) })
}

/// The same where nothing is written as the empty text.
fn parse_option<T: FromStr>(table: &'static str, text: &str) -> Result<Option<T>, Error> {
    if text.is_empty() { Ok(None) } else { parse(table, text).map(Some) }
}

fn option_text<T: ToString>(value: Option<&T>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}
