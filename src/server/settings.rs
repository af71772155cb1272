//! `portcullis.toml`: the settings of a registry.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::access::Origin;
use crate::api::WorkDemand;
use crate::checkpoint::fetch::BaseUrl;
use crate::digest::Sha256Digest;
use crate::registry::AdmissionRules;

/// The settings of one replica. Paths are relative to the file's folder.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The version of the file's format; 1.
    pub schema: u32,
    /// The address to listen on.
    #[serde(default = "loopback")]
    pub listen: SocketAddr,
    /// `sqlite:<file>` or `postgres://…`.
    #[serde(default = "sqlite")]
    pub database: String,
    /// A folder, or `s3://<bucket>/<prefix>`.
    #[serde(default = "folder")]
    pub blobs: String,
    /// Whether to redirect to presigned URLs of chunks in S3, instead of sending the bytes.
    #[serde(default = "yes")]
    pub presign: bool,
    /// Certificate and key for TLS.
    pub tls: Option<Tls>,
    /// Whether to serve plain HTTP to other machines, such as a proxy that terminates TLS.
    #[serde(default)]
    pub plain_http: bool,
    /// Whether to take the client's address from the last one in `X-Forwarded-For`; only behind a proxy that sets it.
    #[serde(default)]
    pub behind_proxy: bool,
    /// The addresses that clients use, if they differ from the listening address, such as behind a proxy. Sessions are opened for these
    /// only, so that a relayed sign-in fails.
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// Limits and quotas.
    #[serde(default)]
    pub limits: LimitSettings,
    /// Witnesses that cosign tree heads before clients see them.
    #[serde(default, rename = "witness")]
    pub witnesses: Vec<WitnessSettings>,
    /// The SHA-256 of the founding code, which admits the first proposals of a catalogue.
    pub founding_code_sha256: Option<Sha256Digest>,
}

/// A witness of the log.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessSettings {
    /// Its key, `<name>+<hash>+<key>`, as shown by `portcullis witness init`.
    pub key: String,
    pub url: String,
}

/// PEM files.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The certificate chain.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// Limits and quotas.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Units of work per second and address; 0 means no limit.
    pub per_address: u32,
    /// Units of work per second and identity; 0 means no limit.
    pub per_identity: u32,
    /// Concurrent connections per address; 0 means no limit.
    pub connections_per_address: u32,
    /// Maximum seconds of a request and its response.
    pub seconds: u64,
    /// Zero bits of a newcomer's proof of work for a request; 0 means none.
    pub newcomer_work_bits: u32,
    /// Newcomers' requests per address and day; 0 means no limit.
    pub newcomer_requests_per_address: u32,
    /// Newcomers' requests per checkpoint and day; 0 means no limit.
    pub newcomer_requests: u32,
    /// Pending requests per person and checkpoint; 0 means no limit.
    pub pending_per_person: u32,
    /// Requests per person and day; 0 means no limit.
    pub requests_per_person: u32,
    /// Statements of one kind per person and day; 0 means no limit.
    pub statements_per_person: u32,
    /// MiB of usage per person and day; 0 means no limit.
    pub usage_mib_per_person: u32,
    /// MiB of usage per day of a person whom no board has approved.
    pub usage_mib_per_public_person: u32,
}

impl LimitSettings {
    /// The limits for the registry.
    pub fn intake(&self) -> AdmissionRules {
        AdmissionRules {
            work_bits: self.newcomer_work_bits,
            pending_per_person: self.pending_per_person,
            requests_per_person: self.requests_per_person,
            newcomer_requests: self.newcomer_requests,
            statements_per_person: self.statements_per_person,
            usage_bytes: u64::from(self.usage_mib_per_person) << 20,
            public_usage_bytes: u64::from(self.usage_mib_per_public_person) << 20,
        }
    }
}

impl Default for LimitSettings {
    fn default() -> Self {
        let intake = AdmissionRules::default();
        Self {
            per_address: 500,
            per_identity: 200,
            connections_per_address: 128,
            seconds: 60,
            newcomer_work_bits: intake.work_bits,
            newcomer_requests_per_address: 20,
            newcomer_requests: intake.newcomer_requests,
            pending_per_person: intake.pending_per_person,
            requests_per_person: intake.requests_per_person,
            statements_per_person: intake.statements_per_person,
            usage_mib_per_person: u32::try_from(intake.usage_bytes >> 20).unwrap_or(u32::MAX),
            usage_mib_per_public_person: u32::try_from(intake.public_usage_bytes >> 20).unwrap_or(u32::MAX),
        }
    }
}

/// The settings cannot be used.
#[expect(missing_docs, reason = "the messages name the fields")]
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Malformed TOML, or unknown keys.
    #[error("{} cannot be used: {reason}", path.display())]
    Malformed { path: PathBuf, reason: String },
    /// Unsupported version of the format.
    #[error("{} has schema {schema}; this version supports 1", path.display())]
    Schema { path: PathBuf, schema: u32 },
    /// More proof of work than clients do.
    #[error("{} requires more than {max} bits of work from newcomers", path.display())]
    WorkBits { path: PathBuf, max: u32 },
    /// Plain HTTP to other machines is not allowed.
    #[error("refusing plain HTTP on {listen}: others could read and change the traffic")]
    PlainHttp { listen: SocketAddr },
}

impl Settings {
    /// Parses the text of `path`.
    ///
    /// # Errors
    /// [`SettingsError::Malformed`], [`SettingsError::Schema`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let malformed = |error: toml::de::Error| SettingsError::Malformed {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let settings: Self =
            toml::Deserializer::parse(text).and_then(crate::json::strictly).map_err(malformed)?;
        if settings.schema != 1 {
            return Err(SettingsError::Schema { path: path.to_owned(), schema: settings.schema });
        }
        if settings.limits.newcomer_work_bits > WorkDemand::MAX_BITS {
            let (path, max) = (path.to_owned(), WorkDemand::MAX_BITS);
            return Err(SettingsError::WorkBits { path, max });
        }
        Ok(settings.below(path.parent().unwrap_or(Path::new("."))))
    }

    /// Resolves relative paths against `folder`.
    fn below(mut self, folder: &Path) -> Self {
        if let Some(file) = self.database.strip_prefix("sqlite:") {
            self.database = format!("sqlite:{}", folder.join(file).display());
        }
        if !self.blobs.starts_with("s3://") {
            self.blobs = folder.join(&self.blobs).display().to_string();
        }
        if let Some(tls) = &mut self.tls {
            tls.certificate = folder.join(&tls.certificate);
            tls.key = folder.join(&tls.key);
        }
        self
    }

    /// The addresses that clients use for a registry that listens on `address`: those of the settings, or `address` with its local names.
    pub(super) fn origins_at(&self, address: SocketAddr) -> Vec<Origin> {
        if !self.origins.is_empty() {
            return self.origins.clone();
        }
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let mut hosts = vec![address];
        let mut names = Vec::new();
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            let own = [IpAddr::from(Ipv4Addr::LOCALHOST), IpAddr::from(Ipv6Addr::LOCALHOST)];
            hosts.extend(own.map(|ip| SocketAddr::new(ip, address.port())));
            names.push(format!("localhost:{}", address.port()));
        }
        let hosts = hosts.into_iter().map(|host| host.to_string()).chain(names);
        let bases = hosts.filter_map(|host| format!("{scheme}://{host}").parse::<BaseUrl>().ok());
        let origins: BTreeSet<_> = bases.map(|base| Origin::from(&base)).collect();
        origins.into_iter().collect()
    }

    /// Refuses plain HTTP to other machines, unless the settings allow it.
    ///
    /// # Errors
    /// [`SettingsError::PlainHttp`].
    pub fn require_private_or_tls(&self) -> Result<(), SettingsError> {
        if self.tls.is_some() || self.plain_http || self.listen.ip().is_loopback() {
            return Ok(());
        }
        Err(SettingsError::PlainHttp { listen: self.listen })
    }
}

fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7415))
}

fn sqlite() -> String {
    "sqlite:registry.db".to_owned()
}

fn folder() -> String {
    "chunks".to_owned()
}

fn yes() -> bool {
    true
}
