//! Labels of metrics, from sets that are closed at build time.

use axum::extract::MatchedPath;
use axum::http::{Method, StatusCode};

/// The label of values outside the set.
const OTHER: &str = "other";
/// The label of requests without a route.
const NONE: &str = "none";

/// Status codes of this program.
const STATUSES: [(u16, &str); 33] = [
    (100, "100"),
    (101, "101"),
    (200, "200"),
    (201, "201"),
    (202, "202"),
    (204, "204"),
    (206, "206"),
    (301, "301"),
    (302, "302"),
    (303, "303"),
    (304, "304"),
    (307, "307"),
    (308, "308"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (409, "409"),
    (410, "410"),
    (412, "412"),
    (413, "413"),
    (415, "415"),
    (416, "416"),
    (421, "421"),
    (422, "422"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (503, "503"),
    (504, "504"),
];

/// The label of a method: a standard one, or `other`.
pub(crate) fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::PATCH => "PATCH",
        Method::OPTIONS => "OPTIONS",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => OTHER,
    }
}

/// The label of a status code.
pub(crate) fn status_label(status: StatusCode) -> &'static str {
    let code = status.as_u16();
    STATUSES.iter().find(|(known, _)| *known == code).map_or(OTHER, |(_, label)| label)
}

/// The label of a route: one of the server's own, or `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RouteLabel(&'static str);

impl RouteLabel {
    /// The label of the matched route, of those that the server has.
    pub(crate) fn new(matched: Option<&MatchedPath>, routes: &[&'static str]) -> Self {
        let Some(matched) = matched else { return Self(NONE) };
        Self(routes.iter().find(|route| **route == matched.as_str()).copied().unwrap_or(OTHER))
    }

    pub(crate) fn as_str(self) -> &'static str {
        self.0
    }
}

/// The labels of a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Labels {
    pub(crate) method: &'static str,
    pub(crate) route: RouteLabel,
    pub(crate) status: &'static str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_client_invents_is_other() {
        assert_eq!(method_label(&Method::GET), "GET");
        assert_eq!(method_label(&Method::from_bytes(b"GETT").unwrap()), OTHER);
        assert_eq!(method_label(&Method::from_bytes("X".repeat(30_000).as_bytes()).unwrap()), OTHER);
        assert_eq!(status_label(StatusCode::from_u16(799).unwrap()), OTHER);
        assert_eq!(status_label(StatusCode::TOO_MANY_REQUESTS), "429");
        assert_eq!(RouteLabel::new(None, &["/healthz"]).as_str(), NONE);
    }
}
