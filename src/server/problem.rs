//! Refusals as problem details (RFC 9457) with their status.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::{Content, RefOr, Response as DocumentedResponse, ResponseBuilder};
use utoipa::{IntoResponses, PartialSchema as _, openapi};

use crate::access::Fault;
use crate::api::{PROBLEM_JSON, Problem, WorkDemand};
use crate::registry::Error;
use crate::store::{self, QuotaRefusal};
use crate::time::Timestamp;

/// The base of the kinds' URIs.
const KINDS: &str = "https://portcullis.dev/problems/";

/// A handler's refusal.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    kind: &'static str,
    title: &'static str,
    detail: String,
    next: Option<String>,
    /// Seconds to wait before another attempt.
    retry_after: Option<u64>,
    /// The missing proof of work.
    work: Option<Box<WorkDemand>>,
}

impl Refusal {
    /// The request is malformed.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "malformed", "malformed request", detail)
            .next("see /openapi.json for the expected form")
    }

    /// The resource is not known.
    pub(super) fn missing(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "unknown", "not found", detail)
    }

    /// The resource requires authentication.
    pub(super) fn unauthenticated(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "authentication required", detail)
            .next("answer a challenge of POST /v1/challenges at POST /v1/sessions, and send the bearer")
    }

    /// The body ended early or arrived too slowly.
    pub(super) fn too_slow() -> Self {
        let detail = "the body ended early or arrived too slowly";
        Self::new(StatusCode::REQUEST_TIMEOUT, "cut-off", "incomplete body", detail).next("send it again")
    }

    /// A rate limit or quota is exceeded.
    pub(super) fn too_many(detail: impl Into<String>, retry_after: u64) -> Self {
        let mut refusal = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "too many requests", detail)
            .next("wait as long as Retry-After says, and try again");
        refusal.retry_after = Some(retry_after);
        refusal
    }

    pub(super) fn new(
        status: StatusCode,
        kind: &'static str,
        title: &'static str,
        detail: impl Into<String>,
    ) -> Self {
        Self { status, kind, title, detail: detail.into(), next: None, retry_after: None, work: None }
    }

    pub(super) fn next(mut self, next: impl Into<String>) -> Self {
        self.next = Some(next.into());
        self
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (fault, next) = error.next_step();
        let (status, (kind, title)) = match (&error, fault) {
            (Error::Unknown { .. } | Error::NoPart { .. }, _) => {
                (StatusCode::NOT_FOUND, ("unknown", "not found"))
            }
            (Error::WorkNeeded { .. }, _) => (StatusCode::FORBIDDEN, ("work", "proof of work required")),
            (Error::Store(store::Error::Intake(_)), _) => {
                (StatusCode::TOO_MANY_REQUESTS, ("too-many", "too many requests"))
            }
            (
                Error::Over { .. }
                | Error::ApprovalOfEnded { .. }
                | Error::GrantedAlready { .. }
                | Error::NothingToApprove { .. }
                | Error::NeverStood { .. },
                _,
            ) => (StatusCode::CONFLICT, ("conflict", "conflict with the current state")),
            (_, Fault::Request) => (StatusCode::BAD_REQUEST, ("malformed", "malformed request")),
            (_, Fault::Rule) => (StatusCode::FORBIDDEN, ("denied", "forbidden by a rule")),
            (_, Fault::Proof) => (StatusCode::UNPROCESSABLE_ENTITY, ("unverified", "verification failed")),
            (_, Fault::Busy) => (StatusCode::SERVICE_UNAVAILABLE, ("unavailable", "temporarily unavailable")),
        };
        let detail = match &error {
            error if fault != Fault::Busy => chain(error),
            // Internal errors are for the operator only.
            Error::Log(_) | Error::Store(_) | Error::Blob(_) | Error::Io { .. } | Error::Catalogue(_) => {
                tracing::error!(error = %chain(&error), "internal registry error");
                "internal registry error".to_owned()
            }
            error => chain(error),
        };
        let mut refusal = Self::new(status, kind, title, detail).next(next);
        refusal.retry_after = match &error {
            Error::Store(store::Error::Intake(refusal)) => Some(retry_after(refusal)),
            Error::Crowded => Some(5),
            _ => (fault == Fault::Busy).then_some(1),
        };
        if let Error::WorkNeeded { demand } = error {
            refusal.work = Some(Box::new(demand));
        }
        refusal
    }
}

/// Seconds until a quota may be free again: a daily one at midnight UTC, the queue's after a decision.
fn retry_after(refusal: &QuotaRefusal) -> u64 {
    const DAY: i64 = 24 * 3600;
    match refusal {
        QuotaRefusal::PersonDay { .. }
        | QuotaRefusal::NewcomersDay { .. }
        | QuotaRefusal::NetworkDay { .. }
        | QuotaRefusal::KindDay { .. }
        | QuotaRefusal::UsageDay { .. } => {
            let left = DAY - Timestamp::now().unix_seconds().rem_euclid(DAY);
            u64::try_from(left).unwrap_or(0)
        }
        QuotaRefusal::Pending { .. } | QuotaRefusal::Repeated { .. } => 3600,
    }
}

/// An error and its distinct causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = error.source();
    }
    text
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let problem = Problem {
            kind: format!("{KINDS}{}", self.kind),
            title: self.title.to_owned(),
            status: self.status.as_u16(),
            detail: self.detail,
            next: self.next,
            work: self.work.map(|work| *work),
        };
        let mut response = (self.status, Json(problem)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM_JSON));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// The refusals of any handler, for the API's description.
pub(super) struct Refusals;

impl IntoResponses for Refusals {
    fn responses() -> std::collections::BTreeMap<String, RefOr<DocumentedResponse>> {
        let statuses = [
            ("400", "malformed request"),
            ("401", "authentication required"),
            ("403", "forbidden by a rule"),
            ("404", "not found"),
            ("405", "method not allowed"),
            ("408", "the request arrived too slowly"),
            ("409", "conflict with the current state"),
            ("413", "the body is too long"),
            ("415", "the body is not JSON"),
            ("422", "verification failed"),
            ("429", "too many requests"),
            ("503", "temporarily unavailable"),
        ];
        let response = |description: &str| {
            ResponseBuilder::new()
                .description(description)
                .content(PROBLEM_JSON, Content::new(Some(openapi::Ref::from_schema_name("Problem"))))
                .build()
        };
        let _ = Problem::schema; // The name that the reference above means.
        statuses.iter().map(|(status, words)| ((*status).to_owned(), response(words).into())).collect()
    }
}
