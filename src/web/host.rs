//! The host that a request names, exactly once.
//!
//! A web page can have its own name resolve to this machine (DNS rebinding). And if a proxy reads another of two `Host` headers than this
//! program, the two decide about different hosts. HTTP/1.1 names the host in `Host`; HTTP/2 names it in the URI and may omit `Host`. If
//! both are there, they must agree.

use std::net::IpAddr;

use axum::http::header::{self, HeaderName};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, Request, Uri, Version};

/// A request has no valid host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// There is none.
    #[error("the request names no host")]
    Missing,
    /// There is more than one.
    #[error("the request names its host more than once")]
    Several,
    /// Not a host with an optional port.
    #[error("what the request names is no host")]
    Malformed,
}

/// The host of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host(Authority);

impl Host {
    /// The host that the headers or the URI name.
    pub(crate) fn from_headers(headers: &HeaderMap, uri: &Uri) -> Result<Self, HostError> {
        let sent = single_value(headers, header::HOST)?.map(Self::parse).transpose()?;
        let authority = uri.authority().map(|authority| Self::check(authority.clone())).transpose()?;
        match (sent, authority) {
            (None, None) => Err(HostError::Missing),
            (Some(sent), Some(authority)) if !sent.is_same(&authority) => Err(HostError::Several),
            (Some(host), _) | (None, Some(host)) => Ok(host),
        }
    }

    /// The host of a request; HTTP/1.0, which health checks of load balancers use, may omit it.
    pub(crate) fn from_request<B>(request: &Request<B>) -> Result<Option<Self>, HostError> {
        match Self::from_headers(request.headers(), request.uri()) {
            Err(HostError::Missing) if request.version() <= Version::HTTP_10 => Ok(None),
            host => host.map(Some),
        }
    }

    /// The host of the page that sent the request, if any; the origin `null` is an error.
    pub(crate) fn from_origin(headers: &HeaderMap) -> Result<Option<Self>, HostError> {
        let Some(origin) = single_value(headers, header::ORIGIN)? else { return Ok(None) };
        let origin = origin.to_str().map_err(|_| HostError::Malformed)?;
        let (_, authority) = origin.split_once("://").ok_or(HostError::Malformed)?;
        Self::check(authority.parse().map_err(|_| HostError::Malformed)?).map(Some)
    }

    /// Whether it is this machine, as `localhost` or by address.
    pub(crate) fn is_loopback(&self) -> bool {
        let name = self.0.host();
        let address = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(name);
        name.eq_ignore_ascii_case("localhost")
            || address.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    }

    fn parse(value: &HeaderValue) -> Result<Self, HostError> {
        let text = value.to_str().map_err(|_| HostError::Malformed)?;
        Self::check(text.parse().map_err(|_| HostError::Malformed)?)
    }

    /// Refuses user information before the host, and non-digits in the port.
    fn check(authority: Authority) -> Result<Self, HostError> {
        let rest = authority.as_str().strip_prefix(authority.host()).ok_or(HostError::Malformed)?;
        let has_port = rest.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        if (rest.is_empty() || has_port) && !authority.host().is_empty() {
            Ok(Self(authority))
        } else {
            Err(HostError::Malformed)
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        self.0.host().eq_ignore_ascii_case(other.0.host()) && self.0.port_u16() == other.0.port_u16()
    }
}

/// The value of a header that may occur only once.
fn single_value(headers: &HeaderMap, name: HeaderName) -> Result<Option<&HeaderValue>, HostError> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(HostError::Several),
        (value, None) => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> Result<Host, HostError> {
        Host::parse(&text.parse().unwrap())
    }

    fn named(hosts: &[&str], uri: &'static str) -> Result<Host, HostError> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, host.parse().unwrap());
        }
        Host::from_headers(&headers, &Uri::from_static(uri))
    }

    #[test]
    fn names_of_this_machine_are_known_from_others() {
        for local in ["localhost", "localhost:8080", "LocalHost", "127.0.0.1:8080", "[::1]:8080", "127.9.9.9"]
        {
            assert!(host(local).unwrap().is_loopback(), "{local}");
        }
        for other in ["evil.example", "localhost.evil.example:80", "10.0.0.1", "[::2]:80", "127.0.0.1.nip.io"]
        {
            assert!(!host(other).unwrap().is_loopback(), "{other}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for wrong in [
            "",
            "localhost:",
            "localhost:80:evil.example",
            "localhost:evil",
            "localhost:99999",
            "[::1]evil.example",
            "[::1",
            "evil.example@localhost",
            "localhost, evil.example",
            "localhost/path",
        ] {
            assert_eq!(host(wrong), Err(HostError::Malformed), "{wrong}");
        }
    }

    #[test]
    fn a_host_is_named_once_by_header_or_by_uri_or_by_both_alike() {
        assert!(named(&["localhost:80"], "/v1/models").is_ok());
        assert!(named(&[], "http://127.0.0.1:80/v1/models").is_ok());
        assert!(named(&["localhost:80"], "http://LOCALHOST:80/").is_ok());
        assert_eq!(named(&[], "/v1/models"), Err(HostError::Missing));
        assert_eq!(named(&["localhost", "localhost"], "/"), Err(HostError::Several));
        assert_eq!(named(&["localhost", "evil.example"], "/"), Err(HostError::Several));
        assert_eq!(named(&["localhost"], "http://[::1]/"), Err(HostError::Several));
        assert_eq!(named(&["localhost:80"], "http://localhost:81/"), Err(HostError::Several));
    }
}
