//! How commands sign: nothing is signed that this person was not shown in words by their own machine, or whose digest they gave
//! (promise P9).
//!
//! A command puts statements on [`Papers`], whose words are read back from the very bytes that will be signed, or takes a proposed
//! change of the catalogue as a [`ProposalPaper`]. [`Signatory`] shows them and asks; on no terminal it wants `--yes` or the whole
//! digest. Only then is there a signature: the key is private to this module. What signs without a person
//! (a session, a usage record, the registry) names its [`Unattended`] reason, and `tests/architecture.rs` knows each file that does.

mod ask;
mod papers;
mod words;

use anyhow::Context as _;
use clap::Args;

use super::failure::Refusal;
use super::home::Home;
use super::output::Output;
use crate::catalogue::{ProposalStatus, Repository};
use crate::identity::{Card, Identity, OpeningKey, Signer, VerifyingKey};
use crate::statement::Envelope;

pub(super) use ask::{agrees, answer, can_ask, confirm};
pub(super) use papers::{Named, Papers, ProposalPaper};
pub(super) use words::InWords;

/// How a person consents to a signature.
#[derive(Debug, Clone, Default, Args)]
pub(super) struct Consent {
    /// Sign what is shown without asking: for scripts
    #[arg(long)]
    yes: bool,
}

/// What signs without being asked, and why no person need be shown it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unattended {
    /// A registry's challenge, in a statement of a kind that means nothing else.
    Session,
    /// Usage records and batches: what this person's own machine did.
    Usage,
    /// The registry's own key, which its operator's machine uses by the catalogue's rules.
    Registry,
    /// A card, which says of a key what its owner typed.
    Card,
    /// A witness, which cosigns heads that go on from the last.
    Witness,
}

/// Who signs, as a command holds them: the key behind it signs nothing but what was shown.
pub(super) struct Signatory {
    identity: Identity,
    signer: Box<dyn Signer>,
    output: Output,
}

impl Signatory {
    /// The person of a home.
    pub(super) fn of(home: &Home, output: Output) -> anyhow::Result<Self> {
        let (identity, signer) = home.unlocked_signer(output)?;
        Ok(Self { identity, signer, output })
    }

    /// The key whose signatures these are.
    pub(super) fn key(&self) -> VerifyingKey {
        self.signer.verifying_key()
    }

    /// The public half of the identity.
    pub(super) fn card(&self) -> &Card {
        self.identity.card()
    }

    /// What opens things sealed to this person.
    pub(super) fn opening_key(&self) -> &OpeningKey {
        self.identity.opening_key()
    }

    /// Shows statements, asks, and signs exactly the bytes that were shown.
    pub(super) fn sign(&self, papers: Papers, consent: &Consent) -> anyhow::Result<Vec<Envelope>> {
        let question = papers.question();
        let shown = ask::consent(papers.into_envelopes(), &question, consent.yes, self.output)?;
        let mut envelopes = shown.into_inner();
        for envelope in &mut envelopes {
            envelope.sign(&*self.signer)?;
        }
        Ok(envelopes)
    }

    /// The same for one statement.
    pub(super) fn sign_one(&self, papers: Papers, consent: &Consent) -> anyhow::Result<Envelope> {
        let signed = self.sign(papers, consent)?;
        signed.into_iter().next().context("nothing was put on the papers")
    }

    /// Shows a proposed change of the catalogue, asks, and signs it if it still is what was shown.
    pub(super) fn sign_proposal(
        &self,
        repository: &Repository,
        paper: &ProposalPaper,
        consent: &Consent,
    ) -> anyhow::Result<ProposalStatus> {
        let shown = ask::consent(paper.digest(), &paper.question(), consent.yes, self.output)?;
        let reviewed = shown.into_inner();
        Ok(if paper.is_own() {
            repository.sign_as_proposer(&*self.signer, paper.subject(), reviewed)?
        } else {
            repository.sign(&*self.signer, paper.subject(), reviewed)?
        })
    }
}

/// Opens an identity for what signs without a person.
pub(super) fn unattended(
    home: &Home,
    reason: Unattended,
    output: Output,
) -> anyhow::Result<(Identity, Box<dyn Signer>)> {
    let opened = home.unlocked_signer(output);
    opened.with_context(|| format!("cannot sign {}", reason.what()))
}

impl Unattended {
    fn what(self) -> &'static str {
        match self {
            Self::Session => "in to the registry",
            Self::Usage => "usage records",
            Self::Registry => "as the registry",
            Self::Card => "the card",
            Self::Witness => "as the witness",
        }
    }
}

/// Nothing was signed, or done, because the person said no.
fn declined(action: &str, done: &str) -> Refusal {
    Refusal::denied(
        format!("you did not agree to {action}: nothing was {done}"),
        "run it again if you want to",
    )
}
