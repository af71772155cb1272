//! Who may ask, and what is measured of every answer.

use std::fmt;
use std::net::IpAddr;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::App;
use super::problem::Problem;

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

/// Lets in who has the key; where there is none, who asks on this machine for this machine.
pub(super) async fn let_in(State(app): State<App>, request: Request, next: Next) -> Response {
    let headers = request.headers();
    match &app.key {
        Some(key) if !key.is_in(headers) => {
            let message = "send the key that the endpoint was started with, as `Authorization: Bearer …`";
            return Problem::unauthenticated(message).into_response();
        }
        // A page in a browser can have its own name lead to this machine (DNS rebinding), and asks by that name.
        None if app.loopback && !is_local(headers, request.uri()) => {
            let message = "without a key this endpoint answers only to localhost, by that name or by address";
            return Problem::denied(message).into_response();
        }
        _ => {}
    }
    next.run(request).await
}

/// Whether the request is for a name of this machine, and from no page of another site. HTTP/2 names the machine in the URI and
/// need not send `Host`; where both do, both count.
fn is_local(headers: &HeaderMap, uri: &Uri) -> bool {
    let of = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    let origin = of(header::ORIGIN).map(|origin| origin.split_once("://").map_or("", |(_, host)| host));
    let (host, authority) = (of(header::HOST), uri.host());
    let is_named = host.is_some() || authority.is_some();
    is_named && [host, authority, origin].into_iter().flatten().all(is_local_name)
}

fn is_local_name(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Measures the answer and writes a line about it. No header and no body is written.
pub(super) async fn observe(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map(|path| path.as_str().to_owned());
    let route = route.unwrap_or_else(|| "none".to_owned());
    let response = next.run(request).await;
    let status = response.status().as_u16();
    let labels = [("route", route.clone()), ("status", status.to_string())];
    metrics::counter!("portcullis_http_requests_total", &labels).increment(1);
    let milliseconds = begun.elapsed().as_secs_f64() * 1e3;
    tracing::info!(%method, route, status, milliseconds, "answered");
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_this_machine_are_known_from_others() {
        for local in ["localhost", "localhost:8080", "LocalHost", "127.0.0.1:8080", "[::1]:8080", "127.9.9.9"]
        {
            assert!(is_local_name(local), "{local}");
        }
        for other in
            ["", "evil.example", "localhost.evil.example:80", "10.0.0.1", "[::2]:80", "127.0.0.1.nip.io"]
        {
            assert!(!is_local_name(other), "{other}");
        }
    }

    #[test]
    fn the_machine_is_named_by_host_or_by_uri_and_by_both_alike() {
        let asked = |host: Option<&'static str>, uri: &'static str| {
            let host = host.map(|host| (header::HOST, host.parse().unwrap()));
            is_local(&HeaderMap::from_iter(host), &Uri::from_static(uri))
        };
        assert!(asked(Some("localhost:80"), "/v1/models"));
        assert!(asked(None, "http://127.0.0.1:80/v1/models"));
        assert!(asked(Some("localhost"), "http://[::1]:80/"));
        assert!(!asked(None, "/v1/models"));
        assert!(!asked(None, "http://evil.example/"));
        assert!(!asked(Some("localhost"), "http://evil.example/"));
        assert!(!asked(Some("evil.example"), "http://localhost/"));
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
