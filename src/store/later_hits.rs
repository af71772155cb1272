//! Rules that were met while a case about them was open: none is lost, however harmless the first was.

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::{Error, Store, parse};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::time::Timestamp;
use crate::usage::JournalId;

const TABLE: &str = "later_hits";

/// A rule that was met while a case about it, under the same grant, was open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaterHit {
    /// Under which grant.
    pub grant: Sha256Digest,
    /// By whom.
    pub holder: KeyId,
    /// Which rule.
    pub rule: String,
    /// The record that met it: its journal, place and digest; none if a history did.
    pub record: Option<(JournalId, u64, Sha256Digest)>,
    /// How grave it is, as the rule says.
    pub severity: String,
    /// What was found.
    pub reason: String,
    /// When it came in.
    pub at: Timestamp,
}

impl LaterHit {
    /// The same rule met by the same record, or by a history, is one.
    pub fn place(&self) -> String {
        let record = self.record.map(|(journal, seq, _)| format!("{journal}/{seq}"));
        format!("{}/{}/{}", self.grant, self.rule, record.unwrap_or_default())
    }
}

impl Store {
    /// The hits under a grant that wait for a case, now that none about their rules is open: the oldest, at most so many.
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

/// Keeps a hit until the open case about its rule is decided.
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

/// Takes hits away, for a case takes them up; nothing is written where another case took one of them.
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
