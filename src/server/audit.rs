//! The log with the recorded statements, for auditors.

use axum::extract::State;
use serde::Deserialize;
use utoipa::IntoParams;

use super::App;
use super::extract::{Query, Reader};
use super::private::Private;
use super::problem::{Refusal, Refusals};
use super::statements::raw;
use crate::api::{AuditPage, AuditRecord};
use crate::store::RecordRow;
use crate::time::Timestamp;

/// The requested part of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// The place of the first record.
    #[serde(default)]
    from: u64,
}

/// A page of the log with the recorded statements, for auditors. The read itself becomes a log entry.
#[utoipa::path(
    get,
    path = "/v1/audit/records",
    operation_id = "audit_records",
    tag = "log",
    params(AuditQuery),
    security(("bearer" = [])),
    responses((status = 200, body = AuditPage), Refusals)
)]
pub(super) async fn records(
    State(app): State<App>,
    Reader(reader): Reader,
    Query(query): Query<AuditQuery>,
) -> Result<Private<AuditPage>, Refusal> {
    let rows = app.registry.audit_page(query.from, reader, Timestamp::now()).await?;
    let record = |row: RecordRow| {
        let statements = row.envelopes.into_iter().map(|(_, envelope)| raw(envelope));
        Ok::<_, Refusal>(AuditRecord { entry: row.entry, statements: statements.collect::<Result<_, _>>()? })
    };
    let page = rows.try_map(|rows| {
        let records = rows.into_iter().map(record).collect::<Result<_, _>>()?;
        Ok::<_, Refusal>(AuditPage { from: query.from, records })
    });
    page.map(Private)
}
