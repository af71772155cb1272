//! What to do when a registry does not serve.

use super::{Advice, hint_for_io};
use crate::cli::failure::Kind;
use crate::endpoint::EndpointError;
use crate::server::{ServeError, SettingsError};

pub(super) fn explain_serving(error: &ServeError) -> Advice {
    let hint = match error {
        ServeError::Settings(error) => return explain_settings(error),
        ServeError::Listen { .. } => "choose another --listen, or stop the program that listens there",
        ServeError::Certificate { .. } => "check [tls] in portcullis.toml: both files are in PEM",
        ServeError::Log(_) => {
            "check the database, or restore a backup: `portcullis registry restore --from <file>`"
        }
        ServeError::Metrics(_) => "this is a bug: please report it",
        ServeError::Io(source) => return (Kind::Unavailable, hint_for_io(source)),
    };
    (Kind::Unavailable, Some(hint.to_owned()))
}

pub(super) fn explain_endpoint(error: &EndpointError) -> Advice {
    let (kind, hint) = match error {
        EndpointError::NoKey { .. } => {
            (Kind::Usage, "set PORTCULLIS_API_KEY to what clients must send, or listen on 127.0.0.1")
        }
        EndpointError::Listen { .. } => {
            (Kind::Unavailable, "choose another --listen, or stop the program that listens there")
        }
        EndpointError::Model(_) => (Kind::Usage, "give --draft a smaller checkpoint of the same family"),
        EndpointError::Metrics(_) => (Kind::Internal, "this is a bug: please report it"),
        EndpointError::Threads(source) | EndpointError::Io(source) => {
            return (Kind::Unavailable, hint_for_io(source));
        }
    };
    (kind, Some(hint.to_owned()))
}

pub(super) fn explain_settings(error: &SettingsError) -> Advice {
    let hint = match error {
        SettingsError::Malformed { .. } => "docs/registry.md describes all settings",
        SettingsError::WorkBits { .. } => {
            "20 bits take a fraction of a second; each further bit doubles the time"
        }
        SettingsError::Schema { .. } => "use the version of portcullis that it was written for",
        SettingsError::PlainHttp { .. } => {
            "set [tls] certificate and key; or, behind a TLS proxy, set plain_http = true"
        }
    };
    (Kind::Usage, Some(hint.to_owned()))
}
