//! Hits of rules while a case about them is open: stored until it is decided, so that none is lost.

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::{Error, Store, parse};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::time::Timestamp;
use crate::usage::JournalId;

const TABLE: &str = "later_hits";

/// A hit of a rule while a case about it, under the same grant, is open.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaterHit {
    pub grant: Sha256Digest,
    pub holder: KeyId,
    pub rule: String,
    /// The record that met the rule: journal, place and digest; `None` for a history.
    pub record: Option<(JournalId, u64, Sha256Digest)>,
    /// The rule's severity.
    pub severity: String,
    /// What was found.
    pub reason: String,
    pub at: Timestamp,
}

impl LaterHit {
    /// A key: the same rule met by the same record, or by a history, is stored once.
    pub fn place(&self) -> String {
        let record = self.record.map(|(journal, seq, _)| format!("{journal}/{seq}"));
        format!("{}/{}/{}", self.grant, self.rule, record.unwrap_or_default())
    }
}

impl Store {
    /// The oldest stored hits under a grant whose rules have no open case, at most `limit`.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn later_hits(&self, grant: Sha256Digest, max: usize) -> Result<Vec<LaterHit>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM later_hits WHERE grant_digest = $1 AND NOT EXISTS \
             (SELECT 1 FROM open_case_rules WHERE open_case_rules.place = later_hits.grant_digest || '/' || later_hits.rule) \
             ORDER BY at, place LIMIT $2",
        )
        .bind(grant.to_string())
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(read).collect()
    }
}

/// Stores a hit until the open case about its rule is decided.
pub(super) async fn keep(transaction: &mut Transaction<'static, Any>, hit: &LaterHit) -> Result<(), Error> {
    let (journal, seq, record) = match hit.record {
        Some((journal, seq, digest)) => (journal.to_string(), seq, digest.to_string()),
        None => (String::new(), 0, String::new()),
    };
    sqlx::query(
        "INSERT INTO later_hits (place, grant_digest, holder, rule, journal, seq, record, severity, reason, at) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) \
         ON CONFLICT (place) DO UPDATE SET severity = excluded.severity, reason = excluded.reason, at = excluded.at",
    )
    .bind(hit.place())
    .bind(hit.grant.to_string())
    .bind(hit.holder.to_string())
    .bind(&hit.rule)
    .bind(journal)
    .bind(i64::try_from(seq).unwrap_or(i64::MAX))
    .bind(record)
    .bind(&hit.severity)
    .bind(&hit.reason)
    .bind(hit.at.unix_seconds())
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Removes hits that a new case includes; fails if another case took one of them.
pub(super) async fn take(
    transaction: &mut Transaction<'static, Any>,
    places: &[String],
) -> Result<(), Error> {
    for place in places {
        let taken = sqlx::query("DELETE FROM later_hits WHERE place = $1").bind(place);
        if taken.execute(&mut **transaction).await?.rows_affected() != 1 {
            return Err(Error::NotWritten {
                reason: "another case already includes the same records".to_owned(),
            });
        }
    }
    Ok(())
}

fn read(row: &AnyRow) -> Result<LaterHit, Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let journal = text("journal")?;
    let record = if journal.is_empty() {
        None
    } else {
        let seq = u64::try_from(row.try_get::<i64, _>("seq")?).unwrap_or_default();
        Some((parse(TABLE, &journal)?, seq, parse(TABLE, &text("record")?)?))
    };
    Ok(LaterHit {
        grant: parse(TABLE, &text("grant_digest")?)?,
        holder: parse(TABLE, &text("holder")?)?,
        rule: text("rule")?,
        record,
        severity: text("severity")?,
        reason: text("reason")?,
        at: Timestamp::from_unix_seconds(row.try_get("at")?),
    })
}
