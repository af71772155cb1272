//! The log's rows: waiting entries, tiles, and the head, which moves by compare-and-swap.
//!
//! Entries are written in the transaction of the change that they record. A *turn* gives waiting entries their places in the order of
//! writing, and stores places, tiles and head in one transaction, so a crash leaves all of it or nothing. The head's row is locked for the
//! turn. A database may release the lock of a lost connection, so the head is compared as well.

use std::collections::BTreeMap;

use sqlx::{Any, Executor as _, Row as _, Transaction};

use super::{Error, Kind, Store, parse};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::{Entry, EntryKind, Part, TreeHead};

/// Maximum entries per turn.
const MAX_ENTRIES: i64 = 10_000;

/// Places per SQL statement.
const AT_ONCE: usize = 500;

/// The stored head.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRow {
    /// Size and root.
    pub head: TreeHead,
    /// The log's signed note; empty for an empty log.
    pub note: String,
    /// The last cosigned note; empty without witnesses.
    pub cosigned: String,
}

/// An entry that waits for its place.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingEntry {
    /// Its number in the order of writing.
    pub seq: i64,
    pub entry: String,
}

/// An entry with the statement that it records.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordRow {
    pub place: i64,
    pub entry: String,
    /// The statement's envelopes by signer; an erased one is empty.
    pub envelopes: Vec<(KeyId, String)>,
}

/// One turn of the sequencer, which holds the head's lock.
pub struct Turn {
    transaction: Transaction<'static, Any>,
    /// The head that the turn continues.
    pub head: HeadRow,
    /// Waiting entries in order.
    pub waiting: Vec<WaitingEntry>,
}

impl Store {
    /// The log's head.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn log_head(&self) -> Result<HeadRow, Error> {
        let row = sqlx::query("SELECT * FROM log_head").fetch_one(&self.pool).await?;
        read_head(&row)
    }

    /// Whether any entry waits for its place.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn log_waits(&self) -> Result<bool, Error> {
        let row = sqlx::query("SELECT seq FROM log_entries WHERE place < 0 LIMIT 1");
        Ok(row.fetch_optional(&self.pool).await?.is_some())
    }

    /// The last entry of a kind for `statement`, with its place; `None` as place while it waits.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn log_entry(
        &self,
        kind: EntryKind,
        statement: Sha256Digest,
    ) -> Result<Option<(String, Option<u64>)>, Error> {
        let row = sqlx::query(
            "SELECT entry, place FROM log_entries WHERE statement = $1 AND kind = $2 ORDER BY seq DESC LIMIT 1",
        )
        .bind(statement.to_string())
        .bind(kind.as_str())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| Ok((row.try_get("entry")?, u64::try_from(row.try_get::<i64, _>("place")?).ok())))
            .transpose()
    }

    /// `count` entries from a place on, in order.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn log_entries(&self, from: u64, count: u64) -> Result<Vec<String>, Error> {
        let end = i64::try_from(from.saturating_add(count)).unwrap_or(i64::MAX);
        // The index of places needs `place >= 0`. SQLite searches from the first bound in the text; in the other order it reads the log
        // from its start.
        let rows = sqlx::query(
            "SELECT entry FROM log_entries WHERE place >= $1 AND place < $2 AND place >= 0 ORDER BY place",
        )
        .bind(i64::try_from(from).unwrap_or(i64::MAX))
        .bind(end)
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| Ok(row.try_get("entry")?)).collect()
    }

    /// `count` entries from a place on, each with its statement's envelopes and the ids of their signers.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn log_records(&self, from: u64, count: u64) -> Result<Vec<RecordRow>, Error> {
        let end = i64::try_from(from.saturating_add(count)).unwrap_or(i64::MAX);
        let rows = sqlx::query(
            "SELECT e.place AS place, e.entry AS entry, s.signer AS signer, s.envelope AS envelope \
             FROM log_entries e LEFT JOIN statements s ON s.digest = e.statement AND e.kind <> 'grant' \
             WHERE e.place >= $1 AND e.place < $2 AND e.place >= 0 ORDER BY e.place, s.seq",
        )
        .bind(i64::try_from(from).unwrap_or(i64::MAX))
        .bind(end)
        .fetch_all(&self.pool)
        .await?;
        let mut records: Vec<RecordRow> = Vec::new();
        for row in &rows {
            let place: i64 = row.try_get("place")?;
            if records.last().is_none_or(|last| last.place != place) {
                records.push(RecordRow { place, entry: row.try_get("entry")?, envelopes: Vec::new() });
            }
            let signer: Option<String> = row.try_get("signer")?;
            if let (Some(signer), Some(record)) = (signer, records.last_mut()) {
                record.envelopes.push((parse("statements", &signer)?, row.try_get("envelope")?));
            }
        }
        Ok(records)
    }

    /// A tile of hashes at its present width.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn log_tile(&self, level: u8, index: u64) -> Result<Option<Vec<u8>>, Error> {
        let row = sqlx::query("SELECT bytes FROM log_tiles WHERE name = $1")
            .bind(name(level, index))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| Ok(row.try_get("bytes")?)).transpose()
    }

    /// Stores a cosigned note if it is longer than the stored one; returns whether it was.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn log_cosigned(&self, before: &str, note: &str) -> Result<bool, Error> {
        let done = sqlx::query("UPDATE log_head SET cosigned = $1 WHERE cosigned = $2")
            .bind(note)
            .bind(before)
            .execute(&self.pool)
            .await?;
        Ok(done.rows_affected() == 1)
    }

    /// Whether the log has no entries, not even waiting ones.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn log_is_new(&self) -> Result<bool, Error> {
        let row = sqlx::query("SELECT seq FROM log_entries LIMIT 1").fetch_optional(&self.pool).await?;
        Ok(row.is_none())
    }

    /// Enters `entries` if the log is new; returns whether it was.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn begin_log(&self, entries: &[Entry]) -> Result<bool, Error> {
        let mut transaction = self.write().await?;
        transaction.execute("UPDATE log_head SET size = size WHERE one = 1").await?;
        let known = sqlx::query("SELECT seq FROM log_entries LIMIT 1");
        if known.fetch_optional(&mut *transaction).await?.is_some() {
            return Ok(false);
        }
        for entry in entries {
            append(&mut transaction, entry).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Begins a turn, after waiting for another replica's.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn log_turn(&self) -> Result<Turn, Error> {
        let mut transaction = self.write().await?;
        if self.kind == Kind::Postgres {
            // A turn that hangs loses its lock.
            transaction.execute("SET LOCAL idle_in_transaction_session_timeout = '10s'").await?;
            transaction.execute("SET LOCAL lock_timeout = '10s'").await?;
        }
        transaction.execute("UPDATE log_head SET size = size WHERE one = 1").await?;
        let row = sqlx::query("SELECT * FROM log_head").fetch_one(&mut *transaction).await?;
        let head = read_head(&row)?;
        let rows = sqlx::query("SELECT seq, entry FROM log_entries WHERE place < 0 ORDER BY seq LIMIT $1")
            .bind(MAX_ENTRIES)
            .fetch_all(&mut *transaction)
            .await?;
        let waiting = rows
            .iter()
            .map(|row| Ok(WaitingEntry { seq: row.try_get("seq")?, entry: row.try_get("entry")? }))
            .collect::<Result<_, Error>>()?;
        Ok(Turn { transaction, head, waiting })
    }
}

impl Turn {
    /// Whether the turn takes everything that was written before it began.
    pub fn takes_all(&self) -> bool {
        i64::try_from(self.waiting.len()).is_ok_and(|waiting| waiting < MAX_ENTRIES)
    }

    /// The tiles and entries at the log's right edge.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn edge(&mut self) -> Result<BTreeMap<(Option<u8>, u64), Vec<u8>>, Error> {
        let mut edge = BTreeMap::new();
        let size = self.head.head.size();
        let mut level: u8 = 0;
        while size >> (8 * u32::from(level)) > 0 {
            let index = (size >> (8 * u32::from(level))) / crate::log::TILE_WIDTH;
            let row = sqlx::query("SELECT bytes FROM log_tiles WHERE name = $1")
                .bind(name(level, index))
                .fetch_optional(&mut *self.transaction)
                .await?;
            if let Some(row) = row {
                edge.insert((Some(level), index), row.try_get("bytes")?);
            }
            level += 1;
        }
        Ok(edge)
    }

    /// Ends the turn: stores places, tiles and head, if the head is still the same; returns whether it was.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn finish(
        mut self,
        parts: &[(Part, Vec<u8>)],
        head: &TreeHead,
        note: &str,
    ) -> Result<bool, Error> {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        let mut place = self.head.head.size();
        for some in self.waiting.chunks(AT_ONCE) {
            let listed: Vec<_> = some.iter().map(|waiting| waiting.seq.to_string()).collect();
            // The text contains numbers only.
            let query = format!(
                "UPDATE log_entries SET place = numbered.place FROM \
                 (SELECT seq, $1 + ROW_NUMBER() OVER (ORDER BY seq) - 1 AS place FROM log_entries WHERE seq IN ({})) AS numbered \
                 WHERE log_entries.seq = numbered.seq",
                listed.join(",")
            );
            sqlx::query(sqlx::AssertSqlSafe(query))
                .bind(number(place))
                .execute(&mut *self.transaction)
                .await?;
            place += some.len() as u64;
        }
        for (part, bytes) in parts {
            let Some(level) = part.level else { continue };
            sqlx::query(
                "INSERT INTO log_tiles (name, bytes) VALUES ($1, $2) \
                 ON CONFLICT (name) DO UPDATE SET bytes = excluded.bytes",
            )
            .bind(name(level, part.index))
            .bind(bytes.as_slice())
            .execute(&mut *self.transaction)
            .await?;
        }
        let done =
            sqlx::query("UPDATE log_head SET size = $1, root = $2, note = $3 WHERE size = $4 AND root = $5")
                .bind(number(head.size()))
                .bind(head.root().to_string())
                .bind(note)
                .bind(number(self.head.head.size()))
                .bind(self.head.head.root().to_string())
                .execute(&mut *self.transaction)
                .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        self.transaction.commit().await?;
        Ok(true)
    }
}

fn name(level: u8, index: u64) -> String {
    format!("{level}/{index}")
}

fn read_head(row: &sqlx::any::AnyRow) -> Result<HeadRow, Error> {
    let size: i64 = row.try_get("size")?;
    let root: Sha256Digest = parse("log_head", &row.try_get::<String, _>("root")?)?;
    let damaged = |reason: String| Error::Row { table: "log_head", reason };
    let size = u64::try_from(size).map_err(|error| damaged(error.to_string()))?;
    let head = TreeHead::new(size, root).map_err(|error| damaged(error.to_string()))?;
    Ok(HeadRow { head, note: row.try_get("note")?, cosigned: row.try_get("cosigned")? })
}

/// Writes a waiting entry, in the transaction of what it records.
pub(super) async fn append(transaction: &mut Transaction<'static, Any>, entry: &Entry) -> Result<(), Error> {
    sqlx::query("INSERT INTO log_entries (kind, statement, entry, place) VALUES ($1, $2, $3, -1)")
        .bind(entry.kind.as_str())
        .bind(entry.statement.to_string())
        .bind(entry.to_json())
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// As [`append`], unless an entry of the same kind records the same.
pub(super) async fn append_once(
    transaction: &mut Transaction<'static, Any>,
    entry: &Entry,
) -> Result<(), Error> {
    let known = sqlx::query("SELECT seq FROM log_entries WHERE statement = $1 AND kind = $2 LIMIT 1")
        .bind(entry.statement.to_string())
        .bind(entry.kind.as_str())
        .fetch_optional(&mut **transaction)
        .await?;
    if known.is_some() { Ok(()) } else { append(transaction, entry).await }
}
