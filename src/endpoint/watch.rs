//! Who may ask, and what is measured of every answer.

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

/// Fewest bytes of a key.
const FEWEST: usize = 16;

/// What a client proves by sending it as a bearer; wiped when dropped, never printed.
pub struct Key(Zeroizing<String>);

/// A text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a key has at least {FEWEST} characters, all of them visible ASCII")]
pub struct KeyError;

impl Key {
    /// A key that can be sent in a header and not be guessed soon.
    ///
    /// # Errors
    /// [`KeyError`].
    pub fn new(text: String) -> Result<Self, KeyError> {
        let text = Zeroizing::new(text);
        let fits = text.len() >= FEWEST && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(text)) } else { Err(KeyError) }
    }

    /// Whether the headers carry it, in the same time for every wrong one of its length.
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

/// Refuses a request that does not name its host once and exactly.
pub(super) async fn require_host(request: Request, next: Next) -> Response {
    match Host::from_request(&request) {
        Ok(_) => next.run(request).await,
        Err(error) => Problem::malformed(error.to_string()).into_response(),
    }
}

/// Lets in who has the key; where there is none, who asks on this machine for this machine.
pub(super) async fn let_in(State(app): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    match &app.key {
        Some(key) if !key.is_in(headers) => {
            let message = "send the key that the endpoint was started with, as `Authorization: Bearer …`";
            return Problem::unauthenticated(message).into_response();
        }
        // A page in a browser can have its own name lead to this machine (DNS rebinding), and asks by that name.
        None if app.loopback
            && !Host::from_headers(headers, request.uri()).is_ok_and(|host| is_local(&host, headers)) =>
        {
            let message = "without a key this endpoint answers only to localhost, by that name or by address";
            return Problem::denied(message).into_response();
        }
        _ => {}
    }
    next.run(request).await
}

/// Whether the request is for a name of this machine, and from no page of another site.
fn is_local(host: &Host, headers: &HeaderMap) -> bool {
    host.is_loopback()
        && Host::from_origin(headers).is_ok_and(|page| page.is_none_or(|page| page.is_loopback()))
}

/// Measures the answer and writes a line about it. No header and no body is written.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = method_label(request.method());
    let route = RouteLabel::new(request.extensions().get::<MatchedPath>(), &ROUTES).as_str();
    let response = next.run(request).await;
    let status = response.status();
    metrics::counter!("portcullis_http_requests_total", "route" => route, "status" => status_label(status))
        .increment(1);
    let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
    tracing::info!(method, route, status = status.as_u16(), milliseconds, "answered");
    response
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::*;

    #[test]
    fn a_page_of_another_site_does_not_ask() {
        let asked = |pages: &[&'static str]| {
            let mut headers = HeaderMap::from_iter([(header::HOST, "localhost:80".parse().unwrap())]);
            for page in pages {
                headers.append(header::ORIGIN, page.parse().unwrap());
            }
            is_local(&Host::from_headers(&headers, &Uri::from_static("/v1/models")).unwrap(), &headers)
        };
        assert!(asked(&[]) && asked(&["http://localhost:3000"]));
        assert!(!asked(&["https://evil.example"]) && !asked(&["null"]));
        assert!(!asked(&["http://localhost", "https://evil.example"]));
    }

    #[test]
    fn a_key_is_long_and_can_be_sent() {
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
