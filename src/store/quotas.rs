//! Quotas, checked in the transaction that stores a statement: of two concurrent ones, also at two replicas, one waits for the other.

use sqlx::{Any, Row as _, Transaction};

use super::{Error, StatementRow, Store, parse};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// Seconds of a day.
const DAY: i64 = 24 * 3600;
/// Networks that together use up the newcomers' daily quota, if each uses its share.
const NETWORKS: u32 = 10;
/// How many times the quota is available to the first request of each network.
const RESERVE: u32 = 4;

/// A quota refuses the statement.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotaRefusal {
    /// The person has a pending request with the same terms.
    #[error("the same request is already pending: {request}")]
    Repeated { request: Sha256Digest },
    /// The person has too many pending requests for the checkpoint.
    #[error("one person may have at most {max} pending requests for a checkpoint")]
    Pending { max: u32 },
    /// The person made too many requests today.
    #[error("one person may make at most {max} requests a day")]
    PersonDay { max: u32 },
    /// The person signed too many statements of this kind today.
    #[error("one person may submit at most {max} statements of kind `{kind}` a day")]
    KindDay { kind: String, max: u32 },
    /// Newcomers of this network made too many requests for the checkpoint today.
    #[error("newcomers of one network may make at most {max} requests a day for a checkpoint")]
    NetworkDay { max: u32 },
    /// The person submitted too much usage today.
    #[error("one person may submit at most {} MiB of usage a day", mebibytes(*max))]
    UsageDay { max: u64 },
    /// Newcomers made too many requests for the checkpoint today.
    #[error("all newcomers together may make at most {max} requests a day for a checkpoint")]
    NewcomersDay { max: u32 },
}

/// MiB in a message of [`QuotaRefusal`].
fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

/// Statements of one kind that a person may submit per day; 0 means no limit. Cases that the registry opens are not counted.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementQuota {
    pub max: u32,
    /// The registry's own key, which is not counted.
    pub registry: KeyId,
}

/// The newcomers' daily quota for a checkpoint, and the requesting network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewcomerQuota {
    /// Requests of all newcomers.
    pub all: u32,
    /// The keyed digest of the request's network, if known.
    pub network: Option<Sha256Digest>,
}

impl NewcomerQuota {
    /// The share of one network.
    pub fn share(&self) -> u32 {
        (self.all / NETWORKS).max(1)
    }
}

/// The quotas for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestAdmission {
    /// The digest of the request's terms, without its date.
    pub asks: Sha256Digest,
    /// The author's quotas; `None` for people in the catalogue.
    pub quota: Option<RequestQuota>,
}

/// By whom a person was approved before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// A board member.
    Board,
    /// The registry of a public stage, which approves everyone.
    Registry,
}

/// Quotas of one author; 0 means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestQuota {
    /// Pending requests for the same checkpoint.
    pub pending: u32,
    /// Requests per day.
    pub a_day: u32,
    /// The newcomers' quota, if the author is one.
    pub newcomers: Option<NewcomerQuota>,
}

impl Store {
    /// The key of challenges, the same at every replica; `fresh` is stored if there is none yet.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn intake_key(&self, fresh: Sha256Digest) -> Result<Sha256Digest, Error> {
        sqlx::query("INSERT INTO intake_key (one, bytes) VALUES (1, $1) ON CONFLICT (one) DO NOTHING")
            .bind(fresh.to_string())
            .execute(&self.pool)
            .await?;
        let row = sqlx::query("SELECT bytes FROM intake_key").fetch_one(&self.pool).await?;
        parse("intake_key", &row.try_get::<String, _>("bytes")?)
    }

    /// Deletes expired rows: quotas of earlier days, challenges and bearers. Anyone may request a challenge, so their number stays bounded
    /// by their short life.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn forget(&self, now: Timestamp) -> Result<(), Error> {
        sqlx::query("DELETE FROM intake_counts WHERE day < $1").bind(day_of(now)).execute(&self.pool).await?;
        for query in ["DELETE FROM challenges WHERE expires <= $1", "DELETE FROM bearers WHERE expires <= $1"]
        {
            sqlx::query(query).bind(now.unix_seconds()).execute(&self.pool).await?;
        }
        Ok(())
    }

    /// Bytes of usage that a person submitted on the day of `now`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn usage_of_day(&self, person: KeyId, now: Timestamp) -> Result<u64, Error> {
        let row = sqlx::query("SELECT count FROM intake_counts WHERE what = $1 AND day = $2")
            .bind(format!("usage/{person}"))
            .bind(day_of(now))
            .fetch_optional(&self.pool)
            .await?;
        let count = row.map_or(Ok(0), |row| row.try_get::<i64, _>("count"))?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    /// Requests of newcomers for a checkpoint on the day of `now`.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn newcomers_of_day(&self, checkpoint: &CheckpointId, now: Timestamp) -> Result<u32, Error> {
        let row = sqlx::query("SELECT count FROM intake_counts WHERE what = $1 AND day = $2")
            .bind(newcomers_of(checkpoint))
            .bind(day_of(now))
            .fetch_optional(&self.pool)
            .await?;
        let count = row.map_or(Ok(0), |row| row.try_get::<i64, _>("count"))?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Counts bytes of a person's usage.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn count_usage(&self, person: KeyId, bytes: u64, now: Timestamp) -> Result<(), Error> {
        sqlx::query(
            "INSERT INTO intake_counts (what, day, count) VALUES ($1, $2, $3) \
             ON CONFLICT (what, day) DO UPDATE SET count = intake_counts.count + $4",
        )
        .bind(format!("usage/{person}"))
        .bind(day_of(now))
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .bind(i64::try_from(bytes).unwrap_or(i64::MAX))
        .execute(&self.pool)
        .await?;
        Ok(())
    }

    /// By whom a person was ever approved; `registry` are the registry's keys.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn approval_of(&self, person: KeyId, registry: &[KeyId]) -> Result<Option<Approval>, Error> {
        let signers =
            sqlx::query("SELECT DISTINCT signer FROM statements WHERE holder = $1 AND kind = 'grant'")
                .bind(person.to_string())
                .fetch_all(&self.pool)
                .await?;
        let mut approval = None;
        for row in signers {
            let signer: KeyId = parse("statements", &row.try_get::<String, _>("signer")?)?;
            if !registry.contains(&signer) {
                return Ok(Some(Approval::Board));
            }
            approval = Some(Approval::Registry);
        }
        Ok(approval)
    }
}

/// Counts a request, or refuses it if a quota is used up.
pub(super) async fn admit_request(
    transaction: &mut Transaction<'static, Any>,
    row: &StatementRow,
    admission: RequestAdmission,
) -> Result<(), Error> {
    let RequestAdmission { asks, quota } = admission;
    let day = day_of(row.received);
    // The counting comes first: its row makes concurrent requests wait until this transaction ends.
    let person = format!("person/{}", row.holder);
    let a_day = quota.map_or(0, |quota| quota.a_day);
    if !count(transaction, DailyCount { what: &person, day, max: a_day }).await? {
        return Err(QuotaRefusal::PersonDay { max: a_day }.into());
    }
    let same = sqlx::query(
        "SELECT digest FROM requests WHERE holder = $1 AND asks = $2 AND state = 'pending' LIMIT 1",
    )
    .bind(row.holder.to_string())
    .bind(asks.to_string())
    .fetch_optional(&mut **transaction)
    .await?;
    if let Some(same) = same {
        let request = parse("requests", &same.try_get::<String, _>("digest")?)?;
        return Err(QuotaRefusal::Repeated { request }.into());
    }
    let Some(quota) = quota else { return Ok(()) };
    if quota.pending > 0 && pending(transaction, row).await? >= i64::from(quota.pending) {
        return Err(QuotaRefusal::Pending { max: quota.pending }.into());
    }
    let Some(newcomers) = quota.newcomers.filter(|newcomers| newcomers.all > 0) else { return Ok(()) };
    // The first request of a network today is accepted beyond the quota, so that a flood keeps out its own neighbours only.
    let mut max = newcomers.all;
    if let Some(network) = newcomers.network {
        let what = format!("newcomers/{}/{network}", row.checkpoint);
        let share = newcomers.share();
        if count(transaction, DailyCount { what: &what, day, max: 1 }).await? {
            max = max.saturating_mul(RESERVE);
        } else if !count(transaction, DailyCount { what: &what, day, max: share }).await? {
            return Err(QuotaRefusal::NetworkDay { max: share }.into());
        }
    }
    let all = newcomers_of(&row.checkpoint);
    if !count(transaction, DailyCount { what: &all, day, max }).await? {
        return Err(QuotaRefusal::NewcomersDay { max: newcomers.all }.into());
    }
    Ok(())
}

fn newcomers_of(checkpoint: &CheckpointId) -> String {
    format!("newcomers/{checkpoint}")
}

/// Counts a new statement of its signer, or refuses it.
pub(super) async fn charge_statement(
    transaction: &mut Transaction<'static, Any>,
    row: &StatementRow,
    quota: StatementQuota,
) -> Result<(), Error> {
    let StatementQuota { max, registry } = quota;
    if max == 0 || row.signer == registry {
        return Ok(());
    }
    let what = format!("kind/{}/{}", row.kind, row.signer);
    if count(transaction, DailyCount { what: &what, day: day_of(row.received), max }).await? {
        return Ok(());
    }
    Err(QuotaRefusal::KindDay { kind: row.kind.clone(), max }.into())
}

fn day_of(now: Timestamp) -> i64 {
    now.unix_seconds().div_euclid(DAY)
}

/// A daily counter.
struct DailyCount<'a> {
    what: &'a str,
    day: i64,
    /// Maximum; 0 means no limit.
    max: u32,
}

/// Counts one more unless the maximum is reached; returns whether it did.
async fn count(transaction: &mut Transaction<'static, Any>, counted: DailyCount<'_>) -> Result<bool, Error> {
    let max = if counted.max == 0 { i64::MAX } else { i64::from(counted.max) };
    let done = sqlx::query(
        "INSERT INTO intake_counts (what, day, count) VALUES ($1, $2, 1) \
         ON CONFLICT (what, day) DO UPDATE SET count = intake_counts.count + 1 WHERE intake_counts.count < $3",
    )
    .bind(counted.what)
    .bind(counted.day)
    .bind(max)
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn pending(transaction: &mut Transaction<'static, Any>, row: &StatementRow) -> Result<i64, Error> {
    let found = sqlx::query(
        "SELECT COUNT(*) AS pending FROM requests WHERE holder = $1 AND checkpoint = $2 AND state = 'pending'",
    )
    .bind(row.holder.to_string())
    .bind(row.checkpoint.to_string())
    .fetch_one(&mut **transaction)
    .await?;
    Ok(found.try_get("pending")?)
}
