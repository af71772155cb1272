//! Proposing: what was changed in the workshop is shown, signed by its proposer and handed in.

use std::fmt::Write as _;

use super::review::Reader;
use super::workshop::Workshop;
use crate::catalogue::Subject;
use crate::cli::signing::{Consent, Named, ProposalPaper, Signatory};
use crate::time::Timestamp;

/// A proposal on its way: who makes it, and how they consent.
pub(super) struct Proposing<'a> {
    pub(super) workshop: &'a Workshop,
    pub(super) signatory: &'a Signatory,
    pub(super) consent: &'a Consent,
    pub(super) founding_code: Option<&'a str>,
}

/// What was proposed: each role with the digest of its change, and what the registry published at once.
pub(super) struct Proposed {
    pub(super) roles: Vec<(Subject, crate::digest::Sha256Digest)>,
    pub(super) published: Vec<Subject>,
}

impl Proposing<'_> {
    /// Shows each change, has it signed by its proposer, and hands all of them in: a proposal arrives signed, or not at all.
    pub(super) fn hand_in(&self, now: Timestamp) -> anyhow::Result<Proposed> {
        let repository = self.workshop.repository();
        let changed = self.workshop.changed()?;
        let roster = repository.roster()?;
        let reader = Reader { repository, roster: &roster, now };
        let mut roles = Vec::new();
        for review in repository.review()? {
            let standing = &review.standing;
            if !changed.contains(&standing.subject) {
                continue;
            }
            let paper = ProposalPaper::new(standing, reader.read(&review)?.text, Named::InOwnWords);
            self.signatory.sign_proposal(repository, &paper, self.consent)?;
            roles.push((standing.subject.clone(), standing.digest));
        }
        let published = self.workshop.hand_in(self.signatory.key(), self.founding_code)?;
        Ok(Proposed { roles, published })
    }
}

impl Proposed {
    /// What is said of it: what others sign next, and what is already in force.
    pub(super) fn next_steps(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        for (subject, digest) in &self.roles {
            if self.published.contains(subject) {
                writeln!(
                    text,
                    "  in force  {subject}: it had its signatures, and the registry published it"
                )?;
            } else {
                writeln!(
                    text,
                    "  next: the others review it and `portcullis catalogue sign {subject} {digest}`"
                )?;
            }
        }
        Ok(text)
    }

    /// What the registry published at once, as JSON.
    pub(super) fn published_json(&self) -> Vec<String> {
        self.published.iter().map(ToString::to_string).collect()
    }

    /// The roles and the digests of their changes, as JSON.
    pub(super) fn json(&self) -> serde_json::Value {
        let roles = self.roles.iter();
        roles
            .map(|(subject, digest)| serde_json::json!({ "role": subject.to_string(), "digest": digest }))
            .collect()
    }
}
