//! Access control, and metrics of every response.

use std::fmt;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::problem::Problem;
use super::{App, ROUTES};
use crate::web::{Host, RouteLabel, method_label, status_label};

/// Minimum bytes of a key.
const MIN_KEY_BYTES: usize = 16;

/// The API key, which clients send as a bearer credential. It is wiped when dropped and never printed.
pub(crate) struct Key(Zeroizing<String>);

/// The text is not a valid key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an API key must have at least {MIN_KEY_BYTES} characters, all of them visible ASCII")]
pub(crate) struct KeyError;

impl Key {
    /// A key of at least 16 characters that can be sent in a header.
    ///
    /// # Errors
    /// [`KeyError`] if it is shorter or has characters other than visible ASCII.
    pub(crate) fn new(text: String) -> Result<Self, KeyError> {
        let text = Zeroizing::new(text);
        let fits = text.len() >= MIN_KEY_BYTES && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(KeyError) }
    }

    /// Whether the headers contain the key. Comparison takes constant time for keys of the same length.
    fn is_in(&self, headers: &HeaderMap) -> bool {
        let sent = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
        let sent = sent.and_then(|value| value.split_at_checked(7));
        sent.is_some_and(|(scheme, key)| {
            scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(key.ct_eq(self.0.as_bytes()))
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Requires exactly one valid host in every request.
pub(super) async fn require_host(request: Request, next: Next) -> Response {
    match Host::of_request(&request) {
        Ok(_) => next.run(request).await,
        Err(error) => Problem::malformed(error.to_string()).into_response(),
    }
}

/// Requires the API key if one is set; otherwise accepts loopback requests only.
pub(super) async fn require_access(State(app): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    match &app.key {
        Some(key) if !key.is_in(headers) => {
            let message = "authentication required: send the API key as `Authorization: Bearer …`";
            return Problem::unauthenticated(message).into_response();
        }
        // A web page can make its own DNS name point to this machine (DNS rebinding); its requests have that name.
        None if app.loopback
            && !Host::of(headers, request.uri()).is_ok_and(|host| is_local(&host, headers)) =>
        {
            let message = "permission denied: without an API key, the endpoint accepts only requests to localhost or a loopback address";
            return Problem::denied(message).into_response();
        }
        _ => {}
    }
    next.run(request).await
}

/// Whether the request has a loopback host and does not come from a page of another site.
fn is_local(host: &Host, headers: &HeaderMap) -> bool {
    host.is_loopback()
        && Host::of_origin(headers).is_ok_and(|page| page.is_none_or(|page| page.is_loopback()))
}

/// Counts and logs the response. No header and no body is logged.
pub(super) async fn record_request(request: Request, next: Next) -> Response {
    let start = Instant::now();
    let method = method_label(request.method());
    let route = RouteLabel::of(request.extensions().get::<MatchedPath>(), &ROUTES).as_str();
    let response = next.run(request).await;
    let status = response.status();
    metrics::counter!("portcullis_http_requests_total", "route" => route, "status" => status_label(status))
        .increment(1);
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    tracing::info!(method, route, status = status.as_u16(), milliseconds, "request");
    response
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::*;

    #[test]
    fn a_page_of_another_site_is_refused() {
        let is_accepted = |pages: &[&'static str]| {
            let mut headers = HeaderMap::from_iter([(header::HOST, "localhost:80".parse().unwrap())]);
            for page in pages {
                headers.append(header::ORIGIN, page.parse().unwrap());
            }
            is_local(&Host::of(&headers, &Uri::from_static("/v1/models")).unwrap(), &headers)
        };
        assert!(is_accepted(&[]) && is_accepted(&["http://localhost:3000"]));
        assert!(!is_accepted(&["https://evil.example"]) && !is_accepted(&["null"]));
        assert!(!is_accepted(&["http://localhost", "https://evil.example"]));
    }

    #[test]
    fn a_key_is_long_and_fits_a_header() {
        assert!(Key::new("0123456789abcdef".to_owned()).is_ok());
        for wrong in ["", "short", "with a space in it", "ümläuts-are-not-sent"] {
            assert_eq!(Key::new(wrong.to_owned()).unwrap_err(), KeyError, "{wrong}");
        }
        let key = Key::new("0123456789abcdef".to_owned()).unwrap();
        let sent = |value: &'static str| {
            key.is_in(&HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]))
        };
        assert!(sent("Bearer 0123456789abcdef") && sent("bearer 0123456789abcdef"));
        assert!(!sent("Bearer 0123456789abcdeg") && !sent("Bearer ") && !sent("0123456789abcdef"));
        assert!(!key.is_in(&HeaderMap::new()));
    }
}
