//! Sanctions against people: revocations and cases, as they were verified when they were received.
//!
//! Decisions read this state by person and checkpoint instead of a list of statements, which others could make so long that the relevant
//! one is cut off.

use sqlx::any::AnyRow;
use sqlx::{Any, Row as _, Transaction};

use super::{Error, LaterHit, MAX_ROWS, StatementRow, Store, parse, parse_option, statements};
use crate::digest::Sha256Digest;
use crate::identity::KeyId;
use crate::misuse::Outcome;
use crate::name::CheckpointId;
use crate::time::Timestamp;

const CASES: &str = "cases";

/// The grant that a sanction names, its holder and its checkpoint.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SanctionedGrant {
    pub grant: Sha256Digest,
    pub holder: KeyId,
    pub checkpoint: CheckpointId,
}

/// A change of sanctions by a verified statement.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SanctionChange {
    /// A revocation.
    Revoked { statement: Sha256Digest, grant: SanctionedGrant, at: Timestamp },
    /// An opened case.
    CaseOpened {
        statement: Sha256Digest,
        grant: SanctionedGrant,
        /// The rules that were met; empty if it was opened by hand.
        rules: Vec<String>,
        at: Timestamp,
    },
    /// A decision in a case, possibly a later one.
    CaseDecided {
        case: Sha256Digest,
        outcome: Outcome,
        /// The end of a suspension.
        until: Option<Timestamp>,
        at: Timestamp,
    },
    /// A hit while a case about its rule is open.
    HitKept(LaterHit),
    /// Stored hits that a new case includes, by [`LaterHit::place`].
    HitsTaken(Vec<String>),
    /// An appeal.
    CaseAppealed { case: Sha256Digest },
}

/// The state of a case.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaseRow {
    pub statement: Sha256Digest,
    pub grant: SanctionedGrant,
    /// The last decision.
    pub outcome: Option<Outcome>,
    /// The end of a suspension.
    pub until: Option<Timestamp>,
    /// Whether the person has appealed since.
    pub is_appealed: bool,
}

/// Sanctions against a person for one checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sanctions {
    /// The last revocation: grants issued by then have ended.
    pub revoked: Option<Timestamp>,
    /// Revocations up to this time were cleared by a case without a finding or with a warning.
    pub cleared: Option<Timestamp>,
    /// The end of the longest suspension.
    pub suspended_until: Option<Timestamp>,
}

impl Sanctions {
    /// Whether a grant issued at this time has ended.
    pub fn ends(&self, issued: Timestamp) -> bool {
        self.revoked.is_some_and(|revoked| issued <= revoked)
    }

    /// The end of the current suspension.
    pub fn suspended_at(&self, now: Timestamp) -> Option<Timestamp> {
        self.suspended_until.filter(|until| now < *until)
    }

    /// The last revocation that no case cleared.
    pub fn standing_revocation(&self) -> Option<Timestamp> {
        self.revoked.filter(|revoked| self.cleared.is_none_or(|cleared| cleared < *revoked))
    }
}

impl Store {
    /// The sanctions against a person for a checkpoint.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn sanctions(&self, holder: KeyId, checkpoint: &CheckpointId) -> Result<Sanctions, Error> {
        let row = sqlx::query(
            "SELECT COALESCE((SELECT MAX(at) FROM revocations WHERE holder = $1 AND checkpoint = $2), 0) AS revoked, \
             COALESCE((SELECT MAX(decided) FROM cases WHERE holder = $1 AND checkpoint = $2 AND outcome = 'revoke'), 0) AS ended, \
             COALESCE((SELECT MAX(clears) FROM cases WHERE holder = $1 AND checkpoint = $2 \
             AND outcome IN ('no-finding', 'warn')), 0) AS cleared, \
             COALESCE((SELECT MAX(until) FROM cases WHERE holder = $1 AND checkpoint = $2 AND outcome = 'suspend'), 0) AS suspended",
        )
        .bind(holder.to_string())
        .bind(checkpoint.to_string())
        .fetch_one(&self.pool)
        .await?;
        read_sanctions(&row)
    }

    /// A statement's envelopes by its digest, with the sanctions against its holder: one query instead of two, for the most frequent
    /// decision.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`], [`Error::TooMany`].
    pub async fn statement_and_sanctions(
        &self,
        digest: Sha256Digest,
    ) -> Result<(Vec<StatementRow>, Sanctions), Error> {
        const { assert!(MAX_ROWS == 1000) };
        let rows = sqlx::query(
            "SELECT s.*, \
             COALESCE((SELECT MAX(at) FROM revocations WHERE holder = s.holder AND checkpoint = s.checkpoint), 0) AS revoked, \
             COALESCE((SELECT MAX(decided) FROM cases WHERE holder = s.holder AND checkpoint = s.checkpoint AND outcome = 'revoke'), 0) AS ended, \
             COALESCE((SELECT MAX(clears) FROM cases WHERE holder = s.holder AND checkpoint = s.checkpoint \
             AND outcome IN ('no-finding', 'warn')), 0) AS cleared, \
             COALESCE((SELECT MAX(until) FROM cases WHERE holder = s.holder AND checkpoint = s.checkpoint AND outcome = 'suspend'), 0) AS suspended \
             FROM statements s WHERE s.digest = $1 ORDER BY s.seq LIMIT 1001",
        )
        .bind(digest.to_string())
        .fetch_all(&self.pool)
        .await?;
        if rows.len() > 1000 {
            return Err(Error::TooMany { table: "statements", max: MAX_ROWS });
        }
        let sanctions = rows.first().map(read_sanctions).transpose()?.unwrap_or_default();
        let rows = rows.iter().map(statements::read).collect::<Result<_, _>>()?;
        Ok((rows, sanctions))
    }

    /// The last revocation of a person's grants for a checkpoint.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn last_revocation(
        &self,
        holder: KeyId,
        checkpoint: &CheckpointId,
    ) -> Result<Option<Sha256Digest>, Error> {
        let row = sqlx::query(
            "SELECT statement FROM revocations WHERE holder = $1 AND checkpoint = $2 ORDER BY at DESC LIMIT 1",
        )
        .bind(holder.to_string())
        .bind(checkpoint.to_string())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| parse("revocations", &row.try_get::<String, _>("statement")?)).transpose()
    }

    /// The case with a person's longest suspension.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn suspending_case(
        &self,
        holder: KeyId,
        checkpoint: &CheckpointId,
    ) -> Result<Option<Sha256Digest>, Error> {
        let row = sqlx::query(
            "SELECT statement FROM cases WHERE holder = $1 AND checkpoint = $2 AND outcome = 'suspend' \
             ORDER BY until DESC LIMIT 1",
        )
        .bind(holder.to_string())
        .bind(checkpoint.to_string())
        .fetch_optional(&self.pool)
        .await?;
        row.map(|row| parse(CASES, &row.try_get::<String, _>("statement")?)).transpose()
    }

    /// The state of a case.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn case(&self, statement: Sha256Digest) -> Result<Option<CaseRow>, Error> {
        let row = sqlx::query("SELECT * FROM cases WHERE statement = $1")
            .bind(statement.to_string())
            .fetch_optional(&self.pool)
            .await?;
        row.as_ref().map(read).transpose()
    }

    /// The open case about a grant and a rule; the rule is empty for cases opened by hand.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::Row`].
    pub async fn open_case(&self, grant: Sha256Digest, rule: &str) -> Result<Option<Sha256Digest>, Error> {
        let row = sqlx::query("SELECT case_digest FROM open_case_rules WHERE place = $1")
            .bind(place(grant, rule))
            .fetch_optional(&self.pool)
            .await?;
        row.map(|row| parse("open_case_rules", &row.try_get::<String, _>("case_digest")?)).transpose()
    }

    /// Whether statements from before this table was filled exist.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn lacks_sanctions(&self) -> Result<bool, Error> {
        let row = sqlx::query(
            "SELECT (SELECT COUNT(*) FROM revocations) + (SELECT COUNT(*) FROM cases) AS kept, \
             (SELECT COUNT(*) FROM statements WHERE kind IN ('revocation', 'case')) AS filed",
        )
        .fetch_one(&self.pool)
        .await?;
        Ok(row.try_get::<i64, _>("kept")? == 0 && row.try_get::<i64, _>("filed")? > 0)
    }

    /// Stores the sanctions derived from earlier statements, in one transaction.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn adopt_sanctions(&self, changes: &[SanctionChange]) -> Result<(), Error> {
        let mut transaction = self.write().await?;
        for change in changes {
            apply(&mut transaction, change).await?;
        }
        Ok(transaction.commit().await?)
    }
}

/// Applies a change, in the transaction that stores the statement.
pub(super) async fn apply(
    transaction: &mut Transaction<'static, Any>,
    change: &SanctionChange,
) -> Result<(), Error> {
    match change {
        SanctionChange::Revoked { statement, grant, at } => {
            sqlx::query(
                "INSERT INTO revocations (statement, grant_digest, holder, checkpoint, at) VALUES ($1, $2, $3, $4, $5) \
                 ON CONFLICT (statement) DO NOTHING",
            )
            .bind(statement.to_string())
            .bind(grant.grant.to_string())
            .bind(grant.holder.to_string())
            .bind(grant.checkpoint.to_string())
            .bind(at.unix_seconds())
            .execute(&mut **transaction)
            .await?;
        }
        SanctionChange::CaseOpened { statement, grant, rules, at } => {
            let opening = NewCase { statement: *statement, grant, rules, at: *at };
            open_case(transaction, &opening).await?;
        }
        SanctionChange::CaseDecided { case, outcome, until, at } => {
            sqlx::query(
                "UPDATE cases SET outcome = $1, until = $2, decided = $3, appealed = 0, \
                 clears = CASE WHEN $1 = 'revoke' THEN $3 ELSE clears END WHERE statement = $4",
            )
            .bind(outcome.as_str())
            .bind(until.map_or(0, Timestamp::unix_seconds))
            .bind(at.unix_seconds())
            .bind(case.to_string())
            .execute(&mut **transaction)
            .await?;
            sqlx::query("DELETE FROM open_case_rules WHERE case_digest = $1")
                .bind(case.to_string())
                .execute(&mut **transaction)
                .await?;
        }
        SanctionChange::HitKept(hit) => super::later_hits::keep(transaction, hit).await?,
        SanctionChange::HitsTaken(places) => super::later_hits::take(transaction, places).await?,
        SanctionChange::CaseAppealed { case } => {
            sqlx::query("UPDATE cases SET appealed = 1 WHERE statement = $1")
                .bind(case.to_string())
                .execute(&mut **transaction)
                .await?;
        }
    }
    Ok(())
}

/// A new case.
struct NewCase<'a> {
    statement: Sha256Digest,
    grant: &'a SanctionedGrant,
    rules: &'a [String],
    at: Timestamp,
}

async fn open_case(transaction: &mut Transaction<'static, Any>, opening: &NewCase<'_>) -> Result<(), Error> {
    let NewCase { statement, grant, rules, at } = opening;
    let is_by_hand = rules.is_empty();
    sqlx::query(
        "INSERT INTO cases (statement, grant_digest, holder, checkpoint, outcome, until, decided, appealed, clears) \
         VALUES ($1, $2, $3, $4, '', 0, 0, 0, $5) ON CONFLICT (statement) DO NOTHING",
    )
    .bind(statement.to_string())
    .bind(grant.grant.to_string())
    .bind(grant.holder.to_string())
    .bind(grant.checkpoint.to_string())
    .bind(if is_by_hand { at.unix_seconds() } else { 0 })
    .execute(&mut **transaction)
    .await?;
    let by_hand = [String::new()];
    for rule in if is_by_hand { &by_hand } else { *rules } {
        sqlx::query(
            "INSERT INTO open_case_rules (place, case_digest) VALUES ($1, $2) ON CONFLICT (place) DO NOTHING",
        )
        .bind(place(grant.grant, rule))
        .bind(statement.to_string())
        .execute(&mut **transaction)
        .await?;
    }
    Ok(())
}

fn read_sanctions(row: &AnyRow) -> Result<Sanctions, Error> {
    let revoked = time(row, "revoked")?.max(time(row, "ended")?);
    Ok(Sanctions { revoked, cleared: time(row, "cleared")?, suspended_until: time(row, "suspended")? })
}

/// A grant and a rule as one key.
fn place(grant: Sha256Digest, rule: &str) -> String {
    format!("{grant}/{rule}")
}

/// 0 stands for `None`.
fn time(row: &AnyRow, column: &str) -> Result<Option<Timestamp>, Error> {
    let seconds: i64 = row.try_get(column)?;
    Ok((seconds > 0).then(|| Timestamp::from_unix_seconds(seconds)))
}

fn read(row: &AnyRow) -> Result<CaseRow, Error> {
    let text = |name: &str| row.try_get::<String, _>(name);
    Ok(CaseRow {
        statement: parse(CASES, &text("statement")?)?,
        grant: SanctionedGrant {
            grant: parse(CASES, &text("grant_digest")?)?,
            holder: parse(CASES, &text("holder")?)?,
            checkpoint: parse(CASES, &text("checkpoint")?)?,
        },
        outcome: parse_option(CASES, &text("outcome")?)?,
        until: time(row, "until")?,
        is_appealed: row.try_get::<i64, _>("appealed")? != 0,
    })
}
