//! Usage: the state of each journal, and the histories that rules read.

use sqlx::{Any, Row as _, Transaction};

use super::{Error, Store, parse};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::time::Timestamp;
use crate::usage::{JournalId, first_link};

/// The state of a journal.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JournalRow {
    pub journal: JournalId,
    pub holder: KeyId,
    /// Number of synced records.
    pub records: u64,
    /// The digest of the last record, or the link that the first record cites.
    pub head: Sha256Digest,
    /// When its owner last reported its state.
    pub told: Timestamp,
    /// The end of its last lease; 1970 if there was none.
    pub leased_until: Timestamp,
    /// The grant of the last lease.
    pub leased_for: Option<Sha256Digest>,
    /// Whether its owner declared it lost.
    pub is_lost: bool,
    /// The case about its loss.
    pub raised: Option<Sha256Digest>,
}

/// A generation in a history.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GenerationRow {
    /// The record with which it began.
    pub begin: u64,
    pub checkpoint: CheckpointId,
    pub grant: Sha256Digest,
    pub at: Timestamp,
    /// Generated tokens; while it runs, the maximum.
    pub tokens: u64,
    /// The prompt's sketch; empty if it is not kept.
    pub sketch: String,
}

/// The effect of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsageFiling {
    /// The journal's state after the batch.
    pub after: JournalRow,
    /// The required state before it: number of records and last digest; `None` for a new journal.
    pub before: Option<(u64, Sha256Digest)>,
    /// Generations that begin in the batch.
    pub begun: Vec<GenerationRow>,
    /// Generations that end in the batch, with their tokens.
    pub ended: Vec<(u64, u64)>,
}

/// The effect of a declaration.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeclarationChange {
    /// The journal in use from now on.
    pub journal: JournalId,
    pub holder: KeyId,
    pub told: Timestamp,
    /// Lost journals, each with its case.
    pub lost: Vec<(JournalId, Option<Sha256Digest>)>,
}

/// A change of journals.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UsageChange {
    Batch(UsageFiling),
    /// A lease for a journal in this state.
    Leased(JournalRow),
    Declared(DeclarationChange),
}

impl Store {
    /// The state of a journal.
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

    /// The journals of a person, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn journals_of(&self, holder: KeyId, max: usize) -> Result<Vec<JournalRow>, Error> {
        let rows = sqlx::query("SELECT * FROM usage_journals WHERE holder = $1 ORDER BY journal LIMIT $2")
            .bind(holder.to_string())
            .bind(i64::try_from(max).unwrap_or(i64::MAX))
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The unfinished generations of a journal: the record with which each began, and its time. Those of earlier versions are left out.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn open_generations(
        &self,
        holder: KeyId,
        journal: JournalId,
    ) -> Result<Vec<(u64, Timestamp)>, Error> {
        let rows = sqlx::query("SELECT place, at FROM usage_generations WHERE holder = $1 AND ended = 0")
            .bind(holder.to_string())
            .fetch_all(&self.pool)
            .await?;
        let prefix = format!("{journal}/");
        let mut open = Vec::new();
        for row in &rows {
            let place: String = row.try_get("place")?;
            if let Some(begin) = place.strip_prefix(&prefix).and_then(|begin| begin.parse().ok()) {
                open.push((begin, Timestamp::from_unix_seconds(row.try_get("at")?)));
            }
        }
        Ok(open)
    }

    /// The grant under which a generation began, if known.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn grant_of_generation(
        &self,
        journal: JournalId,
        begin: u64,
    ) -> Result<Option<Sha256Digest>, Error> {
        let row = sqlx::query("SELECT leased_for FROM usage_generations WHERE place = $1")
            .bind(format!("{journal}/{begin}"))
            .fetch_optional(&self.pool)
            .await?;
        let grant: Option<String> = row.map(|row| row.try_get("leased_for")).transpose()?;
        Ok(grant.and_then(|grant| grant.parse().ok()))
    }

    /// A person's generations since a time, the oldest first; `None` if there are more than `max`, because a part of them would mislead.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn generations(
        &self,
        holder: KeyId,
        since: Timestamp,
        max: usize,
    ) -> Result<Option<Vec<(Timestamp, u64, String)>>, Error> {
        let bound = i64::try_from(max).unwrap_or(i64::MAX - 1) + 1;
        let rows = sqlx::query(
            "SELECT at, tokens, sketch FROM usage_generations WHERE holder = $1 AND at > $2 ORDER BY at LIMIT $3",
        )
        .bind(holder.to_string())
        .bind(since.unix_seconds())
        .bind(bound)
        .fetch_all(&self.pool)
        .await?;
        if rows.len() > max {
            return Ok(None);
        }
        let read = |row: &sqlx::any::AnyRow| {
            let tokens = u64::try_from(row.try_get::<i64, _>("tokens")?).unwrap_or(0);
            Ok((Timestamp::from_unix_seconds(row.try_get("at")?), tokens, row.try_get("sketch")?))
        };
        rows.iter().map(read).collect::<Result<_, Error>>().map(Some)
    }

    /// The median of other people's tokens with a checkpoint since a time; of an even number, the upper one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn cohort_median(
        &self,
        checkpoint: &CheckpointId,
        besides: KeyId,
        since: Timestamp,
    ) -> Result<Option<u64>, Error> {
        let row = sqlx::query(
            "WITH others AS (SELECT CAST(SUM(tokens) AS BIGINT) AS tokens FROM usage_generations \
             WHERE checkpoint = $1 AND at > $2 AND holder <> $3 GROUP BY holder) \
             SELECT tokens FROM others ORDER BY tokens LIMIT 1 OFFSET (SELECT COUNT(*) / 2 FROM others)",
        )
        .bind(checkpoint.to_string())
        .bind(since.unix_seconds())
        .bind(besides.to_string())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok(u64::try_from(row.try_get::<i64, _>("tokens")?).unwrap_or(0))).transpose()
    }
}

/// Applies a change; returns whether the journals were in the expected state.
pub(super) async fn change(
    transaction: &mut Transaction<'static, Any>,
    change: &UsageChange,
) -> Result<bool, Error> {
    match change {
        UsageChange::Batch(filing) => file(transaction, filing).await,
        UsageChange::Leased(row) => lease(transaction, row).await,
        UsageChange::Declared(declared) => declare(transaction, declared).await,
    }
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// Stores a new journal.
async fn open(
    transaction: &mut Transaction<'static, Any>,
    journal: JournalId,
    holder: KeyId,
    records: u64,
    head: Sha256Digest,
    told: Timestamp,
) -> Result<bool, Error> {
    let opened = sqlx::query(
        "INSERT INTO usage_journals (journal, holder, records, head, told) VALUES ($1, $2, $3, $4, $5) \
         ON CONFLICT (journal) DO NOTHING",
    )
    .bind(journal.to_string())
    .bind(holder.to_string())
    .bind(number(records))
    .bind(head.to_string())
    .bind(told.unix_seconds());
    Ok(opened.execute(&mut **transaction).await?.rows_affected() == 1)
}

/// Stores a journal's report and lease; a person's first journal becomes known by it.
async fn lease(transaction: &mut Transaction<'static, Any>, row: &JournalRow) -> Result<bool, Error> {
    open(transaction, row.journal, row.holder, row.records, row.head, row.told).await?;
    let grant = row.leased_for.map(|grant| grant.to_string()).unwrap_or_default();
    let leased = sqlx::query(
        "UPDATE usage_journals SET told = $1, leased_until = $2, leased_for = $3 \
         WHERE journal = $4 AND holder = $5 AND records = $6 AND head = $7 AND lost = 0",
    )
    .bind(row.told.unix_seconds())
    .bind(row.leased_until.unix_seconds())
    .bind(grant)
    .bind(row.journal.to_string())
    .bind(row.holder.to_string())
    .bind(number(row.records))
    .bind(row.head.to_string());
    Ok(leased.execute(&mut **transaction).await?.rows_affected() == 1)
}

async fn declare(
    transaction: &mut Transaction<'static, Any>,
    declared: &DeclarationChange,
) -> Result<bool, Error> {
    let DeclarationChange { journal, holder, told, lost } = declared;
    open(transaction, *journal, *holder, 0, first_link(*journal), *told).await?;
    for (journal, case) in lost {
        let given_up = sqlx::query(
            "UPDATE usage_journals SET lost = 1, raised = $1 WHERE journal = $2 AND holder = $3 AND lost = 0",
        )
        .bind(case.map(|case| case.to_string()).unwrap_or_default())
        .bind(journal.to_string())
        .bind(holder.to_string());
        if given_up.execute(&mut **transaction).await?.rows_affected() != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Advances a journal if it is where the batch begins; returns whether it was.
async fn file(transaction: &mut Transaction<'static, Any>, filing: &UsageFiling) -> Result<bool, Error> {
    let after = &filing.after;
    let is_moved = match &filing.before {
        None => open(transaction, after.journal, after.holder, after.records, after.head, after.told).await?,
        Some((records, head)) => {
            let moved = sqlx::query(
                "UPDATE usage_journals SET records = $1, head = $2, told = $3 \
                 WHERE journal = $4 AND records = $5 AND head = $6 AND holder = $7 AND lost = 0",
            )
            .bind(number(after.records))
            .bind(after.head.to_string())
            .bind(after.told.unix_seconds())
            .bind(after.journal.to_string())
            .bind(number(*records))
            .bind(head.to_string())
            .bind(after.holder.to_string());
            moved.execute(&mut **transaction).await?.rows_affected() == 1
        }
    };
    if !is_moved {
        return Ok(false);
    }
    let place = |begin: u64| format!("{}/{begin}", after.journal);
    for generation in &filing.begun {
        sqlx::query(
            "INSERT INTO usage_generations (place, holder, checkpoint, at, tokens, sketch, ended, leased_for) \
             VALUES ($1, $2, $3, $4, $5, $6, 0, $7)",
        )
        .bind(place(generation.begin))
        .bind(after.holder.to_string())
        .bind(generation.checkpoint.to_string())
        .bind(generation.at.unix_seconds())
        .bind(number(generation.tokens))
        .bind(generation.sketch.as_str())
        .bind(generation.grant.to_string())
        .execute(&mut **transaction)
        .await?;
    }
    for (begin, tokens) in &filing.ended {
        sqlx::query("UPDATE usage_generations SET tokens = $1, ended = 1 WHERE place = $2")
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
    let digest = |text: &str| match text {
        "" => Ok(None),
        text => parse(table, text).map(Some),
    };
    Ok(JournalRow {
        journal: parse(table, &text("journal")?)?,
        holder: parse(table, &text("holder")?)?,
        records: u64::try_from(row.try_get::<i64, _>("records")?).unwrap_or(0),
        head: parse(table, &text("head")?)?,
        told: Timestamp::from_unix_seconds(row.try_get("told")?),
        leased_until: Timestamp::from_unix_seconds(row.try_get("leased_until")?),
        leased_for: digest(&text("leased_for")?)?,
        is_lost: row.try_get::<i64, _>("lost")? != 0,
        raised: digest(&text("raised")?)?,
    })
}
