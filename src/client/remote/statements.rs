//! Statements of a registry over HTTP.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::http::ApiRequest;
use super::pages::{MAX_ROWS, PAGE, Page, Pages, PagingError};
use super::{MAX_PAGE, RemoteError, RemoteRegistry};
use crate::access::{DigestPrefix, ExchangeError, Found, HandedIn, Statements, merge, only};
use crate::api::{StatementPage, StatementReceipt, WORK, WorkDemand, WorkProof};
use crate::digest::Sha256Digest;
use crate::identity::VerifyingKey;
use crate::misuse::{Case, CaseStep};
use crate::statement::{Envelope, Predicate as _};

/// How long work may take before a note is shown.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a challenge of a registry is good at least.
const LONGEST_WORK: Duration = Duration::from_secs(600);
/// The note.
const WORKING: &str =
    "note: a first request takes some seconds of proof of work; later requests take none after a grant";
/// Statements that are asked for if only the newest matters.
const NEWEST: usize = 3;

impl Statements for RemoteRegistry {
    fn put(
        &self,
        _kind: &'static str,
        envelope: &Envelope,
        _signer: &VerifyingKey,
    ) -> Result<HandedIn, ExchangeError> {
        let mut ask = ApiRequest::post(&["v1", "statements"], envelope.to_json().into_bytes());
        // A statement is its own proof.
        let mut answer = self.http.ask(&ask, None)?;
        let proof;
        if let Some(demand) = answer.demanded_work() {
            proof = self.work(&demand, envelope.digest())?.to_header();
            ask.header = Some((WORK, &proof));
            answer = self.http.ask(&ask, None)?;
        }
        let receipt: StatementReceipt = answer.json()?;
        if receipt.digest != envelope.digest() {
            return Err(self.http.unexpected("it accepted another statement").into());
        }
        let place = receipt.same_as.unwrap_or(receipt.digest);
        let path = PathBuf::from(format!("{}/v1/statements#{place}", self.base()));
        Ok(HandedIn { path, same_as: receipt.same_as })
    }

    fn list(&self, kind: &'static str) -> Result<Vec<Found>, ExchangeError> {
        self.pages(kind, None)
    }

    fn about(&self, kind: &'static str, subject: Sha256Digest) -> Result<Vec<Found>, ExchangeError> {
        let found = self.pages(kind, Some(("about", subject.to_string())))?;
        Ok(only_about(found, subject))
    }

    fn newest(&self, kind: &'static str, subject: Sha256Digest) -> Result<Vec<Found>, ExchangeError> {
        let mut ask = ApiRequest::get(&["v1", "statements"], MAX_PAGE);
        ask.query = vec![
            ("kind", kind.to_owned()),
            ("about", subject.to_string()),
            ("newest", "true".to_owned()),
            ("limit", NEWEST.to_string()),
        ];
        let page: StatementPage = self.ask_signed_in(&ask)?.json()?;
        Ok(only_about(parse_all(kind, &page), subject))
    }

    fn find(&self, kind: &'static str, prefix: &str) -> Result<Found, ExchangeError> {
        let prefix = DigestPrefix::parse(kind, prefix)?;
        let found = self.pages(kind, Some(("prefix", prefix.as_str().to_owned())))?;
        only(merge(found.into_iter().filter(|found| prefix.begins(found.digest))), kind, prefix.as_str())
    }
}

impl RemoteRegistry {
    /// Does the work that a newcomer's statement costs; the watcher gets a note once it takes long.
    fn work(&self, demand: &WorkDemand, statement: Sha256Digest) -> Result<WorkProof, RemoteError> {
        if demand.bits > WorkDemand::MAX_BITS {
            return Err(self.http.unexpected(format!("it asks for {} bits of work", demand.bits)));
        }
        let begun = Instant::now();
        let mut is_told = false;
        let proof = demand.solve(statement, || {
            if !is_told && begun.elapsed() > PATIENCE {
                is_told = true;
                self.watcher.note(WORKING);
            }
            // The registry's challenge is over by then.
            begun.elapsed() < LONGEST_WORK
        });
        proof
            .ok_or_else(|| self.http.unexpected("the proof of work takes longer than its challenge is valid"))
    }

    fn pages(
        &self,
        kind: &'static str,
        which: Option<(&'static str, String)>,
    ) -> Result<Vec<Found>, ExchangeError> {
        let mut found = Vec::new();
        let (mut pages, mut after) = (Pages::default(), None);
        loop {
            let mut ask = ApiRequest::get(&["v1", "statements"], MAX_PAGE);
            ask.query = vec![("kind", kind.to_owned()), ("limit", PAGE.to_string())];
            ask.query.extend(which.clone());
            ask.query.extend(after.take().map(|after| ("after", after)));
            let answer = self.ask_signed_in(&ask)?;
            let bytes = answer.len();
            let page: StatementPage = answer.json()?;
            let came = Page { rows: page.statements.len(), bytes, next: page.next.clone() };
            after = pages.accept(came).map_err(|endless| self.paging_error(endless))?;
            // What is no statement of the kind is passed over, as in a folder; what is one is verified when it is used.
            found.extend(parse_all(kind, &page));
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    fn paging_error(&self, endless: PagingError) -> ExchangeError {
        match endless {
            PagingError::Rows => {
                let path = PathBuf::from(self.base().to_string());
                ExchangeError::TooMany { path, max: MAX_ROWS }
            }
            endless => self.http.unexpected(endless.to_string()).into(),
        }
    }
}

fn parse_all(kind: &str, page: &StatementPage) -> Vec<Found> {
    page.statements.iter().filter_map(|item| parse(kind, item.envelope.get())).collect()
}

fn parse(kind: &str, envelope: &str) -> Option<Found> {
    let envelope = Envelope::parse(envelope.as_bytes()).ok()?;
    let digest = envelope.digest();
    let path = PathBuf::from(format!("{digest}.json"));
    (envelope.kind().ok()? == kind).then_some(Found { path, digest, envelope })
}

fn only_about(mut found: Vec<Found>, subject: Sha256Digest) -> Vec<Found> {
    found.retain(|found| about(&found.envelope) == Some(subject));
    found
}

/// What a statement of access, or of a case, is about.
fn about(envelope: &Envelope) -> Option<Sha256Digest> {
    match envelope.kind().ok()?.as_str() {
        Case::KIND => Some(envelope.claim::<Case>().ok()?.predicate.grant),
        CaseStep::KIND => Some(envelope.claim::<CaseStep>().ok()?.predicate.case),
        _ => crate::access::index(envelope).ok()?.about,
    }
}
