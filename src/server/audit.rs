//! The log with what it records, for auditors.

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

/// Which part of the log.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(super) struct AuditQuery {
    /// From which place on.
    #[serde(default)]
    from: u64,
}

/// A part of the log with the statements that it records. For auditors; that they read it is an entry too.
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
