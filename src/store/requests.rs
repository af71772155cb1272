//! The queue of requests: their states, assignees and histories.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::{Error, MAX_ROWS, StatementRow, Store, option_text, parse, parse_option};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::name::CheckpointId;
use crate::time::Timestamp;

const TABLE: &str = "requests";
/// Recent decisions used for estimates.
const RECENT: i64 = 1000;

/// The state of a request.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RequestState {
    Pending,
    /// A grant was valid at the last check.
    Granted,
    Denied,
    Withdrawn,
    /// Its grant was revoked.
    Ended,
}

impl RequestState {
    /// As stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Granted => "granted",
            Self::Denied => "denied",
            Self::Withdrawn => "withdrawn",
            Self::Ended => "ended",
        }
    }
}

impl fmt::Display for RequestState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for RequestState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Pending, Self::Granted, Self::Denied, Self::Withdrawn, Self::Ended]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("`{text}` is not pending, granted, denied, withdrawn or ended"))
    }
}

/// A request in the queue.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestRow {
    /// Number in the order of receipt.
    pub seq: i64,
    pub digest: Sha256Digest,
    pub checkpoint: CheckpointId,
    /// The author's key.
    pub holder: KeyId,
    pub stage: String,
    pub state: RequestState,
    /// The assigned member.
    pub assignee: Option<KeyId>,
    /// The earlier request that it renews.
    pub renews: Option<Sha256Digest>,
    /// Time of receipt.
    pub created: Timestamp,
    /// Time of the first decision.
    pub decided: Option<Timestamp>,
}

/// An event in a request's history.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    pub at: Timestamp,
    /// The new state, or `assigned`.
    pub state: String,
    pub actor: KeyId,
    /// The reason, or the assignee.
    pub note: String,
}

/// A filter for requests.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestFilter {
    Holder(KeyId),
    Checkpoint(CheckpointId),
    /// Requests for a checkpoint in one state.
    Queue(CheckpointId, RequestState),
}

/// A page of a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// The number after which to begin.
    pub after: i64,
    /// Maximum number of rows, at most [`MAX_ROWS`].
    pub limit: i64,
}

impl Page {
    /// The first rows, as many as one query returns.
    pub const FIRST: Self = Self { after: 0, limit: MAX_ROWS };

    /// The number of rows within bounds.
    pub fn rows(self) -> i64 {
        self.limit.clamp(1, MAX_ROWS)
    }
}

impl Store {
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn request(&self, digest: Sha256Digest) -> Result<Option<RequestRow>, Error> {
        let row = sqlx::query("SELECT * FROM requests WHERE digest = $1")
            .bind(digest.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// Requests in the order of receipt.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn requests(&self, filter: &RequestFilter, page: Page) -> Result<Vec<RequestRow>, Error> {
        let query = match filter {
            RequestFilter::Holder(holder) => {
                sqlx::query("SELECT * FROM requests WHERE seq > $1 AND holder = $3 ORDER BY seq LIMIT $2")
                    .bind(page.after)
                    .bind(page.rows())
                    .bind(holder.to_string())
            }
            RequestFilter::Checkpoint(checkpoint) => {
                sqlx::query("SELECT * FROM requests WHERE seq > $1 AND checkpoint = $3 ORDER BY seq LIMIT $2")
                    .bind(page.after)
                    .bind(page.rows())
                    .bind(checkpoint.to_string())
            }
            RequestFilter::Queue(checkpoint, state) => sqlx::query(
                "SELECT * FROM requests WHERE seq > $1 AND checkpoint = $3 AND state = $4 ORDER BY seq LIMIT $2",
            )
            .bind(page.after)
            .bind(page.rows())
            .bind(checkpoint.to_string())
            .bind(state.as_str()),
        };
        query.fetch_all(&self.pool).await?.iter().map(read).collect()
    }

    /// The history of a request, in order.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn history(&self, request: Sha256Digest) -> Result<Vec<Event>, Error> {
        let rows = sqlx::query("SELECT * FROM request_events WHERE request = $1 ORDER BY seq LIMIT $2")
            .bind(request.to_string())
            .bind(MAX_ROWS)
            .fetch_all(&self.pool)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(Event {
                    at: Timestamp::from_unix_seconds(row.try_get("at")?),
                    state: row.try_get("state")?,
                    actor: parse("request_events", &row.try_get::<String, _>("actor")?)?,
                    note: row.try_get("note")?,
                })
            })
            .collect()
    }

    /// Assigns a request to a member, or to no one.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn assign(
        &self,
        request: Sha256Digest,
        assignee: Option<KeyId>,
        actor: KeyId,
        at: Timestamp,
    ) -> Result<(), Error> {
        let mut transaction = self.write().await?;
        sqlx::query("UPDATE requests SET assignee = $1 WHERE digest = $2")
            .bind(option_text(assignee.as_ref()))
            .bind(request.to_string())
            .execute(&mut *transaction)
            .await?;
        let note = option_text(assignee.as_ref());
        record(&mut transaction, request, "assigned", actor, &note, at).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The request's place in its checkpoint's queue, from 1.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn place_in_queue(&self, request: &RequestRow) -> Result<i64, Error> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS place FROM requests WHERE checkpoint = $1 AND state = 'pending' AND seq <= $2",
        )
        .bind(request.checkpoint.to_string())
        .bind(request.seq)
        .fetch_one(&self.pool)
        .await?;
        Ok(row.try_get("place")?)
    }

    /// The seconds that the latest decisions for a checkpoint took, in ascending order, at most 1,000.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn decision_times(&self, checkpoint: &CheckpointId) -> Result<Vec<i64>, Error> {
        let rows = sqlx::query(
            "SELECT decided - created AS seconds FROM requests WHERE checkpoint = $1 AND decided > 0 \
             ORDER BY decided DESC LIMIT $2",
        )
        .bind(checkpoint.to_string())
        .bind(RECENT)
        .fetch_all(&self.pool)
        .await?;
        let mut times = rows.iter().map(|row| row.try_get("seconds")).collect::<Result<Vec<i64>, _>>()?;
        times.sort_unstable();
        Ok(times)
    }
}

/// The columns of a new request beside its statement.
pub(super) struct NewRequest<'a> {
    pub(super) stage: &'a str,
    pub(super) renews: Option<&'a Sha256Digest>,
    /// The digest of its terms, without its date.
    pub(super) asks: Sha256Digest,
}

pub(super) async fn open_request(
    transaction: &mut Transaction<'static, Any>,
    row: &StatementRow,
    opened: NewRequest<'_>,
) -> Result<(), Error> {
    let NewRequest { stage, renews, asks } = opened;
    sqlx::query(
        "INSERT INTO requests (digest, checkpoint, holder, stage, state, assignee, renews, created, decided, asks) \
         VALUES ($1, $2, $3, $4, 'pending', '', $5, $6, 0, $7)",
    )
    .bind(row.digest.to_string())
    .bind(row.checkpoint.to_string())
    .bind(row.holder.to_string())
    .bind(stage)
    .bind(option_text(renews))
    .bind(row.received.unix_seconds())
    .bind(asks.to_string())
    .execute(&mut **transaction)
    .await?;
    record(transaction, row.digest, "pending", row.signer, "", row.received).await
}

pub(super) async fn change_request(
    transaction: &mut Transaction<'static, Any>,
    request: Sha256Digest,
    state: RequestState,
    actor: KeyId,
    note: &str,
    at: Timestamp,
) -> Result<(), Error> {
    sqlx::query(
        "UPDATE requests SET state = $1, decided = CASE WHEN decided = 0 AND $2 <> 'withdrawn' THEN $3 ELSE decided END \
         WHERE digest = $4",
    )
    .bind(state.as_str())
    .bind(state.as_str())
    .bind(at.unix_seconds())
    .bind(request.to_string())
    .execute(&mut **transaction)
    .await?;
    record(transaction, request, state.as_str(), actor, note, at).await
}

async fn record(
    transaction: &mut Transaction<'static, Any>,
    request: Sha256Digest,
    state: &str,
    actor: KeyId,
    note: &str,
    at: Timestamp,
) -> Result<(), Error> {
    sqlx::query("INSERT INTO request_events (request, at, state, actor, note) VALUES ($1, $2, $3, $4, $5)")
        .bind(request.to_string())
        .bind(at.unix_seconds())
        .bind(state)
        .bind(actor.to_string())
        .bind(note)
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

fn read(row: &AnyRow) -> Result<RequestRow, Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    let decided: i64 = row.try_get("decided")?;
    Ok(RequestRow {
        seq: row.try_get("seq")?,
        digest: parse(TABLE, &text("digest")?)?,
        checkpoint: parse(TABLE, &text("checkpoint")?)?,
        holder: parse(TABLE, &text("holder")?)?,
        stage: text("stage")?,
        state: parse(TABLE, &text("state")?)?,
        assignee: parse_option(TABLE, &text("assignee")?)?,
        renews: parse_option(TABLE, &text("renews")?)?,
        created: Timestamp::from_unix_seconds(row.try_get("created")?),
        decided: (decided > 0).then(|| Timestamp::from_unix_seconds(decided)),
    })
}
