//! Usage: how far each journal came in, and what histories are scored by.

use sqlx::{Any, Row as _, Transaction};

use super::{Error, Store, parse};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::time::Timestamp;
use crate::usage::JournalId;

/// Generations that a history is made of at most.
const MOST_GENERATIONS: i64 = 20_000;
/// People of whom a cohort is made at most.
const MOST_PEOPLE: i64 = 10_000;

/// How far a journal came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    /// Which journal.
    pub journal: JournalId,
    /// Whose.
    pub holder: KeyId,
    /// How many records are here.
    pub records: u64,
    /// The digest of the last of them.
    pub head: Sha256Digest,
}

/// A generation, as a history holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    /// The place of the record with which it began.
    pub begin: u64,
    /// With which checkpoint.
    pub checkpoint: CheckpointId,
    /// When it began.
    pub at: Timestamp,
    /// How many tokens came out; as long as it goes on, how many may.
    pub tokens: u64,
    /// What the prompt looks like; empty where that is not kept.
    pub sketch: String,
}

/// What a batch changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageFiling {
    /// The journal as it stands then.
    pub after: JournalRow,
    /// How many records must be here before, and the digest of the last; of a new journal, none.
    pub before: Option<(u64, Sha256Digest)>,
    /// Generations that begin in it.
    pub begun: Vec<GenerationRow>,
    /// Generations that end in it, with their tokens.
    pub ended: Vec<(u64, u64)>,
}

impl Store {
    /// How far a journal came in.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn journal(&self, journal: JournalId) -> Result<Option<JournalRow>, Error> {
        let row = sqlx::query("SELECT * FROM usage_journals WHERE journal = $1")
            .bind(journal.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Whether anything of a person's journals came in.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn has_journal(&self, holder: KeyId) -> Result<bool, Error> {
        let row = sqlx::query("SELECT journal FROM usage_journals WHERE holder = $1 LIMIT 1")
            .bind(holder.to_string())
            .fetch_optional(&self.pool)
            .await?;
        Ok(row.is_some())
    }

    /// A person's generations since a time, the oldest first; of very many, the newest.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn generations(
        &self,
        holder: KeyId,
        since: Timestamp,
    ) -> Result<Vec<(Timestamp, u64, String)>, Error> {
        let rows = sqlx::query(
            "SELECT at, tokens, sketch FROM usage_generations WHERE holder = $1 AND at > $2 ORDER BY at DESC LIMIT $3",
        )
        .bind(holder.to_string())
        .bind(since.unix_seconds())
        .bind(MOST_GENERATIONS)
        .fetch_all(&self.pool)
        .await?;
        let read = |row: &sqlx::any::AnyRow| {
            let tokens = u64::try_from(row.try_get::<i64, _>("tokens")?).unwrap_or(0);
            Ok((Timestamp::from_unix_seconds(row.try_get("at")?), tokens, row.try_get("sketch")?))
        };
        rows.iter().rev().map(read).collect()
    }

    /// Tokens of each other person who used a checkpoint since a time.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn cohort(
        &self,
        checkpoint: &CheckpointId,
        besides: KeyId,
        since: Timestamp,
    ) -> Result<Vec<u64>, Error> {
        let rows = sqlx::query(
            "SELECT CAST(SUM(tokens) AS BIGINT) AS tokens FROM usage_generations \
             WHERE checkpoint = $1 AND at > $2 AND holder <> $3 GROUP BY holder LIMIT $4",
        )
        .bind(checkpoint.to_string())
        .bind(since.unix_seconds())
        .bind(besides.to_string())
        .bind(MOST_PEOPLE)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok(u64::try_from(row.try_get::<i64, _>("tokens")?).unwrap_or(0))).collect()
    }
}

/// Moves a journal on, if it stands where the batch begins; whether it did.
pub(super) async fn file(
    transaction: &mut Transaction<'static, Any>,
    filing: &UsageFiling,
) -> Result<bool, Error> {
    let after = &filing.after;
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let moved = match &filing.before {
        None => sqlx::query(
            "INSERT INTO usage_journals (journal, holder, records, head) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (journal) DO NOTHING",
        )
        .bind(after.journal.to_string())
        .bind(after.holder.to_string())
        .bind(number(after.records))
        .bind(after.head.to_string()),
        Some((records, head)) => sqlx::query(
            "UPDATE usage_journals SET records = $1, head = $2 WHERE journal = $3 AND records = $4 AND head = $5 AND holder = $6",
        )
        .bind(number(after.records))
        .bind(after.head.to_string())
        .bind(after.journal.to_string())
        .bind(number(*records))
        .bind(head.to_string())
        .bind(after.holder.to_string()),
    };
    if moved.execute(&mut **transaction).await?.rows_affected() != 1 {
        return Ok(false);
    }
    let place = |begin: u64| format!("{}/{begin}", after.journal);
    for generation in &filing.begun {
        sqlx::query(
            "INSERT INTO usage_generations (place, holder, checkpoint, at, tokens, sketch) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(place(generation.begin))
        .bind(after.holder.to_string())
        .bind(generation.checkpoint.to_string())
        .bind(generation.at.unix_seconds())
        .bind(number(generation.tokens))
        .bind(generation.sketch.as_str())
        .execute(&mut **transaction)
        .await?;
    }
    for (begin, tokens) in &filing.ended {
        sqlx::query("UPDATE usage_generations SET tokens = $1 WHERE place = $2")
            .bind(number(*tokens))
            .bind(place(*begin))
            .execute(&mut **transaction)
            .await?;
    }
    Ok(true)
}

fn read(row: &sqlx::any::AnyRow) -> Result<JournalRow, Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let table = "usage_journals";
    Ok(JournalRow {
        journal: parse(table, &text("journal")?)?,
        holder: parse(table, &text("holder")?)?,
        records: u64::try_from(row.try_get::<i64, _>("records")?).unwrap_or(0),
        head: parse(table, &text("head")?)?,
    })
}
