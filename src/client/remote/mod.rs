//! A registry over HTTP, as its clients use it: statements, the catalogue, sealed checkpoints, leases.
//!
//! Nothing that it says is believed: statements and metadata are verified by those who asked for them. What it can do is refuse, hide
//! and delay; answers are bounded in length and time. The bearer goes to the registry's own origin only.

mod catalogue;
mod error;
mod http;
mod log;
mod pages;
mod patience;
mod repository;
mod sealed;
mod session;
mod statements;

pub use error::RemoteError;
pub use patience::{AnyLine, Line, Patience};
pub use repository::TufRepository;
pub use session::{Credentials, Nobody};

use std::sync::{Arc, Mutex};

use crate::api::{
    CatalogueListing, Decision, FOUNDING_CODE, JournalState, MAX_PROPOSAL_BYTES, ProposalReceipt,
    RegistryInfo, RequestStanding,
};
use crate::catalogue::{Parcel, Subject};
use crate::checkpoint::fetch::BaseUrl;
use crate::digest::Sha256Digest;
use crate::progress::{NoProgress, Progress};
use crate::statement::Envelope;
use crate::time::Timestamp;
use http::{Ask, Http};

/// Longest answer to a question that is not about files.
const MAX_ANSWER: u64 = 1 << 20;
/// Longest answer that holds a page of statements.
const MAX_PAGE: u64 = 64 << 20;

/// A registry at an address, and the one who asks it.
#[derive(Clone)]
pub struct RemoteRegistry {
    http: Arc<Http>,
    credentials: Arc<dyn Credentials>,
    signing_in: Arc<Mutex<()>>,
    watcher: Arc<dyn Progress>,
}

impl RemoteRegistry {
    /// The registry at `base`; `credentials` are asked for only where something is not for everybody.
    ///
    /// # Errors
    /// [`RemoteError::Client`].
    pub fn new(base: &BaseUrl, credentials: Arc<dyn Credentials>) -> Result<Self, RemoteError> {
        Self::on(base, credentials, Patience::NORMAL, Arc::new(AnyLine))
    }

    /// The same over a line of which something is known, with so much patience.
    ///
    /// # Errors
    /// [`RemoteError::Client`].
    pub fn on(
        base: &BaseUrl,
        credentials: Arc<dyn Credentials>,
        patience: Patience,
        line: Arc<dyn Line>,
    ) -> Result<Self, RemoteError> {
        let http = Arc::new(Http::new(base.clone(), patience, line)?);
        Ok(Self { http, credentials, signing_in: Arc::default(), watcher: Arc::new(NoProgress) })
    }

    /// The same, with somebody who is told what takes long.
    #[must_use]
    pub fn watched_by(mut self, watcher: Arc<dyn Progress>) -> Self {
        self.watcher = watcher;
        self
    }

    /// Its address.
    pub fn base(&self) -> &BaseUrl {
        self.http.base()
    }

    /// What it says of itself.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn info(&self) -> Result<RegistryInfo, RemoteError> {
        self.http.ask(&Ask::get(&["v1", "registry"], MAX_ANSWER), None)?.json()
    }

    /// The same, and what time it is there.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn info_and_clock(&self) -> Result<(RegistryInfo, Option<Timestamp>), RemoteError> {
        let answer = self.http.ask(&Ask::get(&["v1", "registry"], MAX_ANSWER), None)?;
        let clock = answer.date();
        Ok((answer.json()?, clock))
    }

    /// The paths of the catalogue's published files.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn catalogue_listing(&self) -> Result<CatalogueListing, RemoteError> {
        self.http.ask(&Ask::get(&["v1", "catalogue"], MAX_PAGE), None)?.json()
    }

    /// The roles of which a change is proposed.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn proposals(&self, is_founded: bool) -> Result<Vec<Subject>, RemoteError> {
        let ask = Ask::get(&["v1", "catalogue", "proposals"], MAX_ANSWER);
        let names: Vec<String> = self.keeper(&ask, is_founded)?.json()?;
        let parse =
            |name: &String| name.parse().map_err(|_| self.http.unexpected("a role has no role's name"));
        names.iter().map(parse).collect()
    }

    /// The open proposal of a role.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn proposal(&self, subject: &Subject, is_founded: bool) -> Result<Parcel, RemoteError> {
        let role = subject.to_string();
        let path = ["v1", "catalogue", "proposals", role.as_str()];
        self.keeper(&Ask::get(&path, MAX_PROPOSAL_BYTES as u64), is_founded)?.json()
    }

    fn keeper(&self, ask: &Ask<'_>, is_founded: bool) -> Result<http::Answer, RemoteError> {
        // Before the catalogue is founded, nobody can prove to be anybody.
        if is_founded { self.ask_as_myself(ask) } else { self.http.ask(ask, None) }
    }

    /// Hands in a proposal, or signatures of the open one.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn propose(
        &self,
        subject: &Subject,
        parcel: &Parcel,
        founding_code: Option<&str>,
        is_founded: bool,
    ) -> Result<ProposalReceipt, RemoteError> {
        let role = subject.to_string();
        let path = ["v1", "catalogue", "proposals", role.as_str()];
        let mut ask = Ask::post(&path, self.http.encode(parcel)?);
        ask.header = founding_code.map(|code| (FOUNDING_CODE, code));
        self.keeper(&ask, is_founded)?.json()
    }

    /// Withdraws the open proposal of a role.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn withdraw_proposal(&self, subject: &Subject) -> Result<(), RemoteError> {
        let role = subject.to_string();
        self.ask_as_myself(&Ask::delete(&["v1", "catalogue", "proposals", &role]))?.require_success()
    }

    /// How a request stands in the queue.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn standing(&self, request: Sha256Digest) -> Result<RequestStanding, RemoteError> {
        let digest = request.to_string();
        self.ask_as_myself(&Ask::get(&["v1", "requests", &digest], MAX_PAGE))?.json()
    }

    /// Puts a member in charge of a request, or nobody.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn assign(
        &self,
        request: Sha256Digest,
        assignee: Option<crate::identity::KeyId>,
    ) -> Result<(), RemoteError> {
        let digest = request.to_string();
        let body = self.http.encode(&crate::api::Assignment { assignee })?;
        self.ask_as_myself(&Ask::put(&["v1", "requests", &digest, "assignee"], body))?.require_success()
    }

    /// A grant with the registry's decision on it. The envelope is to be verified by who asks.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn decision(&self, grant: Sha256Digest) -> Result<Decision, RemoteError> {
        let digest = grant.to_string();
        self.ask_as_myself(&Ask::get(&["v1", "grants", &digest], MAX_ANSWER))?.json()
    }

    /// A new lease for a grant of one's own, for somebody whose usage journal stands so.
    ///
    /// # Errors
    /// [`RemoteError`].
    pub fn lease(
        &self,
        grant: Sha256Digest,
        journal: Option<&JournalState>,
    ) -> Result<Envelope, RemoteError> {
        let digest = grant.to_string();
        let path = ["v1", "grants", digest.as_str(), "lease"];
        let ask = match journal {
            Some(journal) => Ask::post(&path, self.http.encode(journal)?),
            None => Ask::post_nothing(&path),
        };
        let answer = self.ask_as_myself(&ask)?;
        Envelope::parse(&answer.success()?).map_err(|error| self.http.unexpected(error.to_string()))
    }
}
