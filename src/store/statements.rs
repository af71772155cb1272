//! Signed statements, and their effects.

use std::collections::BTreeSet;

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::requests::{NewRequest, RequestState, change_request, open_request};
use super::{Error, MAX_ROWS, Page, Store, option_text, parse, parse_option};
use super::{RequestAdmission, SanctionChange, StatementQuota, UsageChange};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::log::Entry;
use crate::name::CheckpointId;
use crate::time::Timestamp;

const TABLE: &str = "statements";

/// A stored statement.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatementRow {
    /// The digest of its payload.
    pub digest: Sha256Digest,
    /// The signer of this envelope; each member signs a grant in an envelope of their own.
    pub signer: KeyId,
    pub kind: String,
    pub checkpoint: CheckpointId,
    /// The request or grant to which it belongs.
    pub about: Option<Sha256Digest>,
    /// The person concerned: the researcher, or the member of a handover.
    pub holder: KeyId,
    /// JSON.
    pub envelope: String,
    pub received: Timestamp,
}

impl StatementRow {
    /// Whether its content was erased; its digest and key ids stay.
    pub fn is_erased(&self) -> bool {
        self.envelope.is_empty()
    }
}

/// The effect of a statement, in the same transaction.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    None,
    /// A request joins the queue.
    Opens {
        stage: String,
        /// The earlier request that it renews.
        renews: Option<Sha256Digest>,
        /// Quotas.
        admission: RequestAdmission,
    },
    /// A request changes its state.
    Changes {
        request: Sha256Digest,
        state: RequestState,
        /// The reason, if there is one.
        note: String,
    },
}

/// A statement to be stored, with its log entry.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone)]
pub struct FiledStatement {
    pub row: StatementRow,
    /// Its entry. Shares have none, because they belong to a grant.
    pub entry: Option<Entry>,
}

/// The contents of one transaction.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone)]
pub struct Filing {
    pub statements: Vec<FiledStatement>,
    /// The effect of the last new statement.
    pub effect: Effect,
    /// Further entries that a new statement causes, each entered once.
    pub entries: Vec<Entry>,
    /// Changes of usage journals.
    pub usage: Option<UsageChange>,
    /// Only store if this many envelopes of grants answer the request.
    pub expected: Option<(Sha256Digest, usize)>,
    /// Changes of sanctions by a new statement.
    pub sanctions: Vec<SanctionChange>,
    /// The quota that each new statement's signer is charged; `None` for the registry's own.
    pub charge: Option<StatementQuota>,
}

impl Filing {
    /// One statement without effects.
    pub fn one(filed: FiledStatement) -> Self {
        Self {
            statements: vec![filed],
            effect: Effect::None,
            entries: Vec::new(),
            usage: None,
            expected: None,
            sanctions: Vec::new(),
            charge: None,
        }
    }

    /// Adds a change of sanctions.
    #[must_use]
    pub fn with_sanction(mut self, change: SanctionChange) -> Self {
        self.sanctions.push(change);
        self
    }

    /// Adds an effect.
    #[must_use]
    pub fn with(mut self, effect: Effect) -> Self {
        self.effect = effect;
        self
    }
}

impl Store {
    /// Stores statements with their effects and entries in one transaction; returns whether any was new. Known statements change nothing.
    /// Fails if `expected` does not hold.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn put(&self, mut filing: Filing) -> Result<bool, Error> {
        if let Some(writer) = &self.writer {
            match writer.put(filing).await {
                Ok(done) => return done,
                Err(back) => filing = back,
            }
        }
        let mut transaction = self.write().await?;
        let done = put(&mut transaction, &filing).await?;
        transaction.commit().await?;
        Ok(done)
    }

    /// All statements in the order of receipt, each with its number.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn all_statements(&self, page: Page) -> Result<Vec<(i64, StatementRow)>, Error> {
        let rows = sqlx::query("SELECT * FROM statements WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(page.after)
            .bind(page.rows())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(numbered).collect()
    }

    /// Statements of a kind, of any checkpoint.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn statements_of_kind(
        &self,
        kind: &str,
        page: Page,
    ) -> Result<Vec<(i64, StatementRow)>, Error> {
        let rows = sqlx::query("SELECT * FROM statements WHERE kind = $1 AND seq > $2 ORDER BY seq LIMIT $3")
            .bind(kind)
            .bind(page.after)
            .bind(page.rows())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(numbered).collect()
    }

    /// A person's statements that are not erased, without those by others about them.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn statements_to_erase(
        &self,
        person: KeyId,
        max: usize,
    ) -> Result<BTreeSet<Sha256Digest>, Error> {
        let rows = sqlx::query(
            "SELECT DISTINCT digest FROM statements WHERE holder = $1 AND envelope <> '' ORDER BY digest LIMIT $2",
        )
        .bind(person.to_string())
        .bind(i64::try_from(max).unwrap_or(i64::MAX))
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(|row| parse(TABLE, &row.try_get::<String, _>("digest")?)).collect()
    }

    /// The number of a person's statements, and of those not erased.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn count_of_person(&self, person: KeyId) -> Result<(u64, u64), Error> {
        let row = sqlx::query(
            "SELECT COUNT(DISTINCT digest) AS kept, COUNT(DISTINCT CASE WHEN envelope <> '' THEN digest END) AS whole
             FROM statements WHERE holder = $1",
        )
        .bind(person.to_string())
        .fetch_one(&self.pool)
        .await?;
        let count = |name: &str| row.try_get::<i64, _>(name).map(|count| u64::try_from(count).unwrap_or(0));
        Ok((count("kept")?, count("whole")?))
    }

    /// The last statement of a kind about a person that is not erased.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn last_of_person(&self, person: KeyId, kind: &str) -> Result<Option<StatementRow>, Error> {
        let row = sqlx::query(
            "SELECT * FROM statements WHERE holder = $1 AND kind = $2 AND envelope <> '' ORDER BY seq DESC LIMIT 1",
        )
        .bind(person.to_string())
        .bind(kind)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// Deletes the contents of these statements and the notes on a person's requests; digests and key ids stay.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn erase(&self, person: KeyId, digests: &BTreeSet<Sha256Digest>) -> Result<(), Error> {
        let mut transaction = self.write().await?;
        for digest in digests {
            sqlx::query("UPDATE statements SET envelope = '' WHERE digest = $1")
                .bind(digest.to_string())
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query(
            "UPDATE request_events SET note = '' WHERE request IN (SELECT digest FROM requests WHERE holder = $1)",
        )
        .bind(person.to_string())
        .execute(&mut *transaction)
        .await?;
        sqlx::query("DELETE FROM later_hits WHERE holder = $1")
            .bind(person.to_string())
            .execute(&mut *transaction)
            .await?;
        sqlx::query("DELETE FROM usage_generations WHERE holder = $1")
            .bind(person.to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// All envelopes with this digest, one per signer.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`], [`Error::TooMany`].
    pub async fn statement(&self, digest: Sha256Digest) -> Result<Vec<StatementRow>, Error> {
        // SQLite plans a query again if another LIMIT is bound, and this is the most frequent query.
        const { assert!(MAX_ROWS == 1000) };
        let rows = sqlx::query("SELECT * FROM statements WHERE digest = $1 ORDER BY seq LIMIT 1001")
            .bind(digest.to_string())
            .fetch_all(&self.pool)
            .await?;
        if rows.len() > 1000 {
            return Err(Error::TooMany { table: TABLE, max: MAX_ROWS });
        }
        rows.iter().map(read).collect()
    }

    /// An envelope with its number.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn placed_statement(
        &self,
        digest: Sha256Digest,
        signer: KeyId,
    ) -> Result<Option<(i64, StatementRow)>, Error> {
        let row = sqlx::query("SELECT * FROM statements WHERE digest = $1 AND signer = $2")
            .bind(digest.to_string())
            .bind(signer.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(numbered).transpose()
    }

    /// Statements of a kind about a request or grant, each with its number.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn statements_about(
        &self,
        kind: &str,
        about: Sha256Digest,
        page: Page,
    ) -> Result<Vec<(i64, StatementRow)>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM statements WHERE about = $1 AND kind = $2 AND seq > $3 ORDER BY seq LIMIT $4",
        )
        .bind(about.to_string())
        .bind(kind)
        .bind(page.after)
        .bind(page.rows())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(numbered).collect()
    }

    /// The envelopes of all grants that answer a request.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn grants_that_answer(&self, request: Sha256Digest) -> Result<Vec<StatementRow>, Error> {
        // Bounded by the people in a request times the members of boards.
        let rows = sqlx::query("SELECT * FROM statements WHERE about = $1 AND kind = 'grant' ORDER BY seq")
            .bind(request.to_string())
            .fetch_all(&self.pool)
            .await?;
        rows.iter().map(read).collect()
    }

    /// The newest statement of a kind and checkpoint by one signer.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn newest_by(
        &self,
        kind: &str,
        checkpoint: &CheckpointId,
        signer: KeyId,
    ) -> Result<Option<StatementRow>, Error> {
        let row = sqlx::query(
            "SELECT * FROM statements WHERE kind = $1 AND checkpoint = $2 AND signer = $3 ORDER BY seq DESC LIMIT 1",
        )
        .bind(kind)
        .bind(checkpoint.to_string())
        .bind(signer.to_string())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// The newest statements of a kind about a request or grant, newest first.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn newest_about(
        &self,
        kind: &str,
        about: Sha256Digest,
        limit: i64,
    ) -> Result<Vec<(i64, StatementRow)>, Error> {
        let rows =
            sqlx::query("SELECT * FROM statements WHERE about = $1 AND kind = $2 ORDER BY seq DESC LIMIT $3")
                .bind(about.to_string())
                .bind(kind)
                .bind(limit.clamp(1, MAX_ROWS))
                .fetch_all(&self.pool)
                .await?;
        rows.iter().map(numbered).collect()
    }

    /// The newest statement of a kind about an object by one signer.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn newest_about_by(
        &self,
        kind: &str,
        about: Sha256Digest,
        signer: KeyId,
    ) -> Result<Option<StatementRow>, Error> {
        let row = sqlx::query(
            "SELECT * FROM statements WHERE about = $1 AND kind = $2 AND signer = $3 ORDER BY seq DESC LIMIT 1",
        )
        .bind(about.to_string())
        .bind(kind)
        .bind(signer.to_string())
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(read).transpose()
    }

    /// Statements of a kind and checkpoint, each with its number.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn statements_of(
        &self,
        kind: &str,
        checkpoint: &CheckpointId,
        page: Page,
    ) -> Result<Vec<(i64, StatementRow)>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM statements WHERE kind = $1 AND checkpoint = $2 AND seq > $3 ORDER BY seq LIMIT $4",
        )
        .bind(kind)
        .bind(checkpoint.to_string())
        .bind(page.after)
        .bind(page.rows())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(numbered).collect()
    }

    /// Statements of a kind that concern a person.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn statements_for(
        &self,
        kind: &str,
        holder: KeyId,
        page: Page,
    ) -> Result<Vec<(i64, StatementRow)>, Error> {
        let rows = sqlx::query(
            "SELECT * FROM statements WHERE holder = $1 AND kind = $2 AND seq > $3 ORDER BY seq LIMIT $4",
        )
        .bind(holder.to_string())
        .bind(kind)
        .bind(page.after)
        .bind(page.rows())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(numbered).collect()
    }

    /// The newest statement of a kind that concerns a person.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn newest_of(&self, kind: &str, holder: KeyId) -> Result<Option<StatementRow>, Error> {
        let row =
            sqlx::query("SELECT * FROM statements WHERE kind = $1 AND holder = $2 ORDER BY seq DESC LIMIT 1")
                .bind(kind)
                .bind(holder.to_string())
                .fetch_optional(&self.pool)
                .await?;
        row.as_ref().map(|row| numbered(row).map(|(_, row)| row)).transpose()
    }

    /// Statements of a kind whose digest begins with these hexadecimal digits.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn statements_by_prefix(
        &self,
        kind: &str,
        prefix: &str,
        page: Page,
    ) -> Result<Vec<(i64, StatementRow)>, Error> {
        // `g` follows the hexadecimal digits. Only the index of digests is selective here: `|| ''` and `+ 0` keep planners from using other
        // indexes to avoid the sort.
        let rows = sqlx::query(
            "SELECT * FROM statements WHERE digest >= $1 AND digest < $2 AND kind || '' = $3 AND seq + 0 > $4 \
             ORDER BY seq + 0 LIMIT $5",
        )
        .bind(prefix)
        .bind(format!("{prefix}g"))
        .bind(kind)
        .bind(page.after)
        .bind(page.rows())
        .fetch_all(&self.pool)
        .await?;
        rows.iter().map(numbered).collect()
    }
}

/// Stores a filing in a transaction.
pub(super) async fn put(transaction: &mut Transaction<'static, Any>, filing: &Filing) -> Result<bool, Error> {
    if let Some((request, known)) = filing.expected
        && count_answers(transaction, request).await? != Some(known)
    {
        return Ok(false);
    }
    if let Some(usage) = &filing.usage
        && !super::usage::change(transaction, usage).await?
    {
        return Ok(false);
    }
    let mut last = None;
    for FiledStatement { row, entry } in &filing.statements {
        if insert(transaction, row).await? {
            if let Some(quota) = filing.charge {
                super::quotas::charge_statement(transaction, row, quota).await?;
            }
            last = Some(row);
            if let Some(entry) = entry {
                super::log::append(transaction, entry).await?;
            }
        }
    }
    if let Some(row) = last {
        apply(transaction, row, &filing.effect).await?;
        for entry in &filing.entries {
            super::log::append_once(transaction, entry).await?;
        }
        for change in &filing.sanctions {
            super::sanctions::apply(transaction, change).await?;
        }
    }
    Ok(last.is_some())
}

/// The number of envelopes of grants that answer a request. The lock on the request's row serializes members who sign at the same time,
/// also at two replicas.
async fn count_answers(
    transaction: &mut Transaction<'static, Any>,
    request: Sha256Digest,
) -> Result<Option<usize>, Error> {
    sqlx::query("UPDATE requests SET state = state WHERE digest = $1")
        .bind(request.to_string())
        .execute(&mut **transaction)
        .await?;
    let found = sqlx::query("SELECT COUNT(*) AS known FROM statements WHERE about = $1 AND kind = 'grant'")
        .bind(request.to_string())
        .fetch_one(&mut **transaction)
        .await?;
    Ok(usize::try_from(found.try_get::<i64, _>("known")?).ok())
}

async fn insert(transaction: &mut Transaction<'static, Any>, row: &StatementRow) -> Result<bool, Error> {
    let done = sqlx::query(
        "INSERT INTO statements (digest, signer, kind, checkpoint, about, holder, envelope, received) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (digest, signer) DO NOTHING",
    )
    .bind(row.digest.to_string())
    .bind(row.signer.to_string())
    .bind(row.kind.as_str())
    .bind(row.checkpoint.to_string())
    .bind(option_text(row.about.as_ref()))
    .bind(row.holder.to_string())
    .bind(row.envelope.as_str())
    .bind(row.received.unix_seconds())
    .execute(&mut **transaction)
    .await?;
    Ok(done.rows_affected() == 1)
}

async fn apply(
    transaction: &mut Transaction<'static, Any>,
    row: &StatementRow,
    effect: &Effect,
) -> Result<(), Error> {
    match effect {
        Effect::None => Ok(()),
        Effect::Opens { stage, renews, admission } => {
            super::quotas::admit_request(transaction, row, *admission).await?;
            let opened = NewRequest { stage, renews: renews.as_ref(), asks: admission.asks };
            open_request(transaction, row, opened).await
        }
        Effect::Changes { request, state, note } => {
            change_request(transaction, *request, *state, row.signer, note, row.received).await
        }
    }
}

pub(super) fn read(row: &AnyRow) -> Result<StatementRow, Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    Ok(StatementRow {
        digest: parse(TABLE, &text("digest")?)?,
        signer: parse(TABLE, &text("signer")?)?,
        kind: text("kind")?,
        checkpoint: parse(TABLE, &text("checkpoint")?)?,
        about: parse_option(TABLE, &text("about")?)?,
        holder: parse(TABLE, &text("holder")?)?,
        envelope: text("envelope")?,
        received: Timestamp::from_unix_seconds(row.try_get("received")?),
    })
}

fn numbered(row: &AnyRow) -> Result<(i64, StatementRow), Error> {
    Ok((row.try_get("seq")?, read(row)?))
}
