//! Proposing: the changes in the working copy are shown, signed by their proposer and sent to the registry.

use std::fmt::Write as _;

use super::review::Reader;
use super::working_copy::WorkingCopy;
use crate::catalogue::Subject;
use crate::cli::signing::{Consent, ProposalPaper, Reference, Signatory};
use crate::time::Timestamp;

/// A proposal on its way: who makes it, and how they consent.
pub(super) struct Submission<'a> {
    pub(super) working_copy: &'a WorkingCopy,
    pub(super) signatory: &'a Signatory,
    pub(super) consent: &'a Consent,
    pub(super) founding_code: Option<&'a str>,
}

/// What was proposed: each role with the digest of its change, and what the registry published at once.
pub(super) struct SubmittedProposal {
    pub(super) roles: Vec<(Subject, crate::digest::Sha256Digest)>,
    pub(super) published: Vec<Subject>,
}

impl Submission<'_> {
    /// Shows each change, has it signed by its proposer, and hands all of them in: a proposal arrives signed, or not at all.
    pub(super) fn submit(&self, now: Timestamp) -> anyhow::Result<SubmittedProposal> {
        let repository = self.working_copy.repository();
        let changed = self.working_copy.changed()?;
        let roster = repository.roster()?;
        let reader = Reader { repository, roster: &roster, now };
        let mut roles = Vec::new();
        for review in repository.review()? {
            let standing = &review.standing;
            if !changed.contains(&standing.subject) {
                continue;
            }
            let paper = ProposalPaper::new(standing, reader.read(&review)?.text, Reference::ByOwner);
            self.signatory.sign_proposal(repository, &paper, self.consent)?;
            roles.push((standing.subject.clone(), standing.digest));
        }
        let published = self.working_copy.submit(self.signatory.key(), self.founding_code)?;
        Ok(SubmittedProposal { roles, published })
    }
}

impl SubmittedProposal {
    /// What is said of it: what others sign next, and what is in force already.
    pub(super) fn next_steps(&self) -> Result<String, std::fmt::Error> {
        let mut text = String::new();
        for (subject, digest) in &self.roles {
            if self.published.contains(subject) {
                writeln!(
                    text,
                    "  in force  {subject}: it has all its signatures; the registry published it"
                )?;
            } else {
                writeln!(
                    text,
                    "  next: the others review it and run `portcullis catalogue sign {subject} {digest}`"
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
