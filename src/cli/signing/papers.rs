//! What is put before a signatory: statements with their words, or a proposed change of the catalogue with its review.

use super::InWords;
use super::ask::Question;
use crate::catalogue::{ProposalStatus, Subject};
use crate::cli::people::People;
use crate::digest::Sha256Digest;
use crate::statement::{Envelope, Statement, Verified};
use crate::visible::{Untrusted, quoted, visible};

/// How the command line names what is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::cli) enum Named {
    /// By a name or by first digits, which could come to mean something else.
    Loosely,
    /// By its whole digest.
    ByDigest,
    /// All of it is on the command line or in its files, over a catalogue that this home verified.
    InOwnWords,
}

impl Named {
    /// How `text` names the thing with this digest.
    pub(in crate::cli) fn by(text: &str, digest: Sha256Digest) -> Self {
        if text.eq_ignore_ascii_case(&digest.to_string()) { Self::ByDigest } else { Self::Loosely }
    }
}

/// Statements that are to be signed together, and what they say.
pub(in crate::cli) struct Papers {
    action: String,
    named: Named,
    digest: Option<Sha256Digest>,
    lines: Vec<(String, String)>,
    envelopes: Vec<Envelope>,
    people: People,
}

impl Papers {
    /// Papers by which somebody would do `action`, such as `approve the request of Rosa`.
    pub(in crate::cli) fn to(action: impl Into<String>) -> Self {
        let (named, digest) = (Named::Loosely, None);
        let (lines, envelopes, people) = (Vec::new(), Vec::new(), People::default());
        Self { action: action.into(), named, digest, lines, envelopes, people }
    }

    /// Papers about a statement that the command line names as `text`.
    #[must_use]
    pub(in crate::cli) fn about(self, text: &str, digest: Sha256Digest) -> Self {
        Self { named: Named::by(text, digest), digest: Some(digest), ..self }
    }

    /// Papers of which every word is the signatory's own.
    #[must_use]
    pub(in crate::cli) fn in_own_words(self) -> Self {
        Self { named: Named::InOwnWords, ..self }
    }

    /// Papers that show people with what is known of them.
    #[must_use]
    pub(in crate::cli) fn knowing(self, people: People) -> Self {
        Self { people, ..self }
    }

    /// A line beside what is signed: what it answers, what is known about it.
    pub(in crate::cli) fn line(&mut self, name: &str, value: impl Into<String>) {
        self.lines.push((name.to_owned(), value.into()));
    }

    /// The lines of a statement that others signed, such as the request that a grant answers. One that nobody verified is not shown: people
    /// sign by what they read here.
    pub(in crate::cli) fn quote<P: InWords>(&mut self, statement: &Verified<Statement<P>>) {
        self.say(&statement.predicate);
    }

    fn say<P: InWords>(&mut self, predicate: &P) {
        let lines = predicate.in_words(&self.people);
        self.lines.extend(lines.into_iter().map(|(name, value)| (name.to_owned(), value)));
    }

    /// Adds a statement, signed by nobody or by others; its words are read from its bytes.
    pub(in crate::cli) fn add<P: InWords>(&mut self, envelope: Envelope) -> anyhow::Result<()> {
        let statement = envelope.claim::<P>()?;
        self.line(P::KIND, format!("{} on {}", envelope.digest(), statement.subject.name));
        self.say(&statement.predicate);
        self.envelopes.push(envelope);
        Ok(())
    }

    pub(super) fn question(&self) -> Question {
        let width = self.lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        let mut words = format!("This would be signed, to {}:\n", Untrusted::from(self.action.as_str()));
        for (name, value) in &self.lines {
            let value = quoted(value, width + 4);
            words += &format!("  {name:width$}  {value}\n");
        }
        Question {
            action: visible(&self.action).into_owned(),
            words,
            is_named: self.named == Named::ByDigest,
            is_own: self.named == Named::InOwnWords,
            digest: self.digest,
            instead: None,
            done: "signed",
        }
    }

    pub(super) fn into_envelopes(self) -> Vec<Envelope> {
        self.envelopes
    }
}

/// A proposed change of the catalogue, as it was reviewed.
pub(in crate::cli) struct ProposalPaper {
    subject: Subject,
    digest: Sha256Digest,
    words: String,
    named: Named,
}

impl ProposalPaper {
    /// The change that `standing` is of; `words` are its review.
    pub(in crate::cli) fn new(standing: &ProposalStatus, words: String, named: Named) -> Self {
        Self { subject: standing.subject.clone(), digest: standing.digest, words, named }
    }

    pub(super) fn subject(&self) -> &Subject {
        &self.subject
    }

    pub(super) fn digest(&self) -> Sha256Digest {
        self.digest
    }

    /// Whether its signatory proposes it.
    pub(super) fn is_own(&self) -> bool {
        self.named == Named::InOwnWords
    }

    pub(super) fn question(&self) -> Question {
        let Self { subject, digest, words, .. } = self;
        let action = if self.is_own() { "propose and sign" } else { "sign" };
        Question {
            action: format!("{action} this change of {subject}"),
            words: words.clone(),
            is_named: self.named == Named::ByDigest,
            is_own: self.is_own(),
            digest: Some(*digest),
            instead: Some(format!("name its digest: `portcullis catalogue sign {subject} {digest}`")),
            done: "signed",
        }
    }
}
