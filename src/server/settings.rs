//! `portcullis.toml`: where a registry listens, and where it keeps what.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::access::Origin;
use crate::api::WorkDemand;
use crate::checkpoint::fetch::BaseUrl;
use crate::digest::Sha256Digest;
use crate::registry::IntakeRules;

/// The settings of one replica. Paths are relative to the folder of the file that they stand in.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The form of this file; 1.
    pub schema: u32,
    /// Where to listen.
    #[serde(default = "loopback")]
    pub listen: SocketAddr,
    /// `sqlite:<file>` or `postgres://…`.
    #[serde(default = "sqlite")]
    pub database: String,
    /// A folder, or `s3://<bucket>/<prefix>`.
    #[serde(default = "folder")]
    pub blobs: String,
    /// Whether chunks in S3 are handed out as presigned URLs, so that their bytes never pass through here.
    #[serde(default = "yes")]
    pub presign: bool,
    /// The certificate and key for TLS.
    pub tls: Option<Tls>,
    /// Whether to speak plain HTTP to others than this machine, such as a proxy that does TLS.
    #[serde(default)]
    pub plain_http: bool,
    /// Whether the last address of `X-Forwarded-For` is who asks: only behind a proxy that writes it.
    #[serde(default)]
    pub behind_proxy: bool,
    /// Where clients speak to it, if that is not where it listens: behind a proxy, by a name. Sessions are opened at these only, so that whoever
    /// relays a sign-in gets nothing for it.
    #[serde(default)]
    pub origins: Vec<Origin>,
    /// How much is taken.
    #[serde(default)]
    pub limits: LimitSettings,
    /// Witnesses that cosign the log's heads before clients see them.
    #[serde(default, rename = "witness")]
    pub witnesses: Vec<WitnessSettings>,
    /// The SHA-256 of the code that lets the first proposals of a catalogue in.
    pub founding_code_sha256: Option<Sha256Digest>,
}

/// A witness of the log.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WitnessSettings {
    /// Its key: `<name>+<hash>+<key>`, as `portcullis witness init` shows it.
    pub key: String,
    /// Its address.
    pub url: String,
}

/// Files in PEM.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The chain of certificates.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// How much is taken.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LimitSettings {
    /// Units of work a second for one address; 0 is no limit.
    pub per_address: u32,
    /// Units of work a second for one identity; 0 is no limit.
    pub per_identity: u32,
    /// Connections of one address at a time; 0 is no limit.
    pub connections_per_address: u32,
    /// Seconds that a request may take to come and to be answered.
    pub seconds: u64,
    /// Zero bits of the work that a newcomer does for a request; 0 is none.
    pub newcomer_work_bits: u32,
    /// Requests of newcomers that are taken from one address in a day; 0 is no limit.
    pub newcomer_requests_per_address: u32,
    /// Requests of newcomers for one checkpoint in a day; 0 is no limit.
    pub newcomer_requests: u32,
    /// Requests of one person that may be pending for one checkpoint; 0 is no limit.
    pub pending_per_person: u32,
    /// Requests of one person in a day; 0 is no limit.
    pub requests_per_person: u32,
    /// Statements of one kind by one person in a day; 0 is no limit.
    pub statements_per_person: u32,
    /// MiB of usage of one person in a day; 0 is no limit.
    pub usage_mib_per_person: u32,
    /// The same of one person for whom no board ever approved anything.
    pub usage_mib_per_public_person: u32,
}

impl LimitSettings {
    /// What the registry is told of them.
    pub fn intake(&self) -> IntakeRules {
        IntakeRules {
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
        let intake = IntakeRules::default();
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

/// Settings that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not the TOML that is expected.
    #[error("{} cannot be used: {reason}", path.display())]
    Malformed {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A later form.
    #[error("{} has schema {schema}; this version knows 1", path.display())]
    Schema {
        /// Which file.
        path: PathBuf,
        /// The form.
        schema: u32,
    },
    /// More work than any client does.
    #[error("{} asks newcomers for more than {max} bits of work", path.display())]
    WorkBits {
        /// Which file.
        path: PathBuf,
        /// How many bits there may be.
        max: u32,
    },
    /// It would speak plain HTTP to the world.
    #[error("it would listen on {listen} in plain HTTP, where others can read and change what is said")]
    PlainHttp {
        /// Where.
        listen: SocketAddr,
    },
}

impl Settings {
    /// Reads the text of `path`.
    ///
    /// # Errors
    /// [`SettingsError::Malformed`], [`SettingsError::Schema`].
    pub fn parse(text: &str, path: &Path) -> Result<Self, SettingsError> {
        let malformed = |error: toml::de::Error| SettingsError::Malformed {
            path: path.to_owned(),
            reason: error.to_string(),
        };
        let settings: Self =
            toml::Deserializer::parse(text).and_then(crate::json::deserialize_strict).map_err(malformed)?;
        if settings.schema != 1 {
            return Err(SettingsError::Schema { path: path.to_owned(), schema: settings.schema });
        }
        if settings.limits.newcomer_work_bits > WorkDemand::MAX_BITS {
            let (path, max) = (path.to_owned(), WorkDemand::MAX_BITS);
            return Err(SettingsError::WorkBits { path, max });
        }
        Ok(settings.below(path.parent().unwrap_or(Path::new("."))))
    }

    /// With every relative path below `folder`.
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

    /// Where clients speak to a registry that listens at `address`: where the settings say, or else there, which on this machine has several
    /// names.
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

    /// Refuses to speak plain HTTP to others, unless told.
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
