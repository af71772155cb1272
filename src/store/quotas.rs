//! Quotas of what comes in, checked in the transaction that files it: of two who try at once, at two replicas even, one waits for the other.

use sqlx::{Any, Row as _, Transaction};

use super::{Error, StatementRow, Store, parse};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::time::Timestamp;

/// Seconds of a day.
const DAY: i64 = 24 * 3600;
/// Networks that use up a day's quota of newcomers, if each takes its share.
const NETWORKS: u32 = 10;
/// How many times the quota is taken where each further request is its network's first.
const RESERVE: u32 = 4;

/// Why a request is not filed.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QuotaRefusal {
    /// The same person waits for an answer to the same request.
    #[error("the same request is already pending: {request}")]
    Repeated { request: Sha256Digest },
    /// One person has as many requests in one queue as may be.
    #[error("one person may have at most {max} pending requests for a checkpoint")]
    Pending { max: u32 },
    /// One person asked as often as may be in a day.
    #[error("one person may make at most {max} requests a day")]
    PersonDay { max: u32 },
    /// One person signed as many statements of a kind as may be in a day.
    #[error("one person may submit at most {max} statements of kind `{kind}` a day")]
    KindDay { kind: String, max: u32 },
    /// Newcomers of one network asked for one checkpoint as often as may be in a day.
    #[error("newcomers of one network may make at most {max} requests a day for a checkpoint")]
    NetworkDay { max: u32 },
    /// One person handed in as much usage as may be in a day.
    #[error("one person may submit at most {} MiB of usage a day", mebibytes(*max))]
    UsageDay { max: u64 },
    /// Newcomers asked for one checkpoint as often as may be in a day.
    #[error("all newcomers together may make at most {max} requests a day for a checkpoint")]
    NewcomersDay { max: u32 },
}

/// Part of [`QuotaRefusal`]'s words: a whole number of MiB.
fn mebibytes(bytes: u64) -> u64 {
    bytes >> 20
}

/// How many statements of a kind one person may hand in in a day; 0 is no limit. Cases that a registry opens by itself are nobody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatementQuota {
    /// How many.
    pub max: u32,
    /// The registry's own key, which is not counted.
    pub registry: KeyId,
}

/// The share that newcomers of one network have of what all of them may ask in a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewcomerQuota {
    /// Requests of all of them together.
    pub all: u32,
    /// Where the request comes from, if that is known: a digest that only this registry can make of the network.
    pub network: Option<Sha256Digest>,
}

impl NewcomerQuota {
    /// What one network has of it.
    pub fn share(&self) -> u32 {
        (self.all / NETWORKS).max(1)
    }
}

/// What a request is held against before it is filed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestAdmission {
    /// The digest of what it asks for, without its date.
    pub asks: Sha256Digest,
    /// What its author may use; nothing for those whom the catalogue names.
    pub quota: Option<RequestQuota>,
}

/// By whom somebody was approved for something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approval {
    /// By somebody on a board.
    Board,
    /// By the registry of a public stage alone, which approves everybody.
    Registry,
}

/// How much one author may ask; 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestQuota {
    /// Requests of theirs that are pending for the same checkpoint.
    pub pending: u32,
    /// Requests of theirs in a day.
    pub a_day: u32,
    /// Requests in a day of all newcomers for the same checkpoint, if the author is one.
    pub newcomers: Option<NewcomerQuota>,
}

impl Store {
    /// The key of challenges, the same at every replica; `fresh` becomes it if there is none yet.
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

    /// Forgets what is over: quotas of earlier days, challenges and bearers. Anybody may ask for a challenge, so that no more of them are
    /// kept than were asked for in the minutes for which they are good.
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

    /// How many bytes of usage a person handed in on the day of `now`.
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

    /// How many requests of newcomers for a checkpoint were taken on the day of `now`.
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

    /// Counts bytes of usage that came in from a person.
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

    /// Who ever approved a grant for this person, where `registry` are the keys of the registry.
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

/// Refuses a request that its author may not make now, and counts it otherwise.
pub(super) async fn admit_request(
    transaction: &mut Transaction<'static, Any>,
    row: &StatementRow,
    admission: RequestAdmission,
) -> Result<(), Error> {
    let RequestAdmission { asks, quota } = admission;
    let day = day_of(row.received);
    // Counting comes first: its row keeps others with the same key waiting until this transaction is over.
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
    // A network that has not asked today is let in beyond the quota, so that whoever uses it up keeps out nobody but their neighbours.
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

/// Something that is counted by the day.
struct DailyCount<'a> {
    what: &'a str,
    day: i64,
    /// How often it may happen; 0 is no limit.
    max: u32,
}

/// Counts one more, unless there were as many as may be; whether it did.
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
