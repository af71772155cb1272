//! `portcullis catalogue sign`.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use super::review::Reader;
use super::words;
use super::workshop::Workshop;
use crate::catalogue::{Review, Subject};
use crate::cli::failure::Refusal;
use crate::cli::handovers;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::registry;
use crate::cli::signing::{Consent, Named, ProposalPaper, Signatory};
use crate::digest::Sha256Digest;
use crate::time::Timestamp;

/// Sign the proposed change of one role: the very bytes that were reviewed, and no others
#[derive(Debug, Args)]
pub(in crate::cli) struct Sign {
    /// Of which role: root, targets or a checkpoint
    role: Option<Subject>,

    /// The digest that `catalogue review` showed; without it, the change is shown here and you are asked
    digest: Option<Sha256Digest>,
}

impl Sign {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let mut workshop = Workshop::open(home, output)?;
        let reviews = workshop.repository().review()?;
        let Some(role) = &self.role else {
            return Err(unnamed(&reviews).into());
        };
        workshop.require_genuine(role)?;
        workshop.require_trusted_base(home, now)?;
        let repository = workshop.repository();
        let signatory = Signatory::of(home, output)?;
        let roster = repository.roster()?;
        let Some(review) = reviews.iter().find(|review| review.standing.subject == *role) else {
            return Err(crate::catalogue::RepositoryError::NoProposal { role: role.to_string() }.into());
        };
        if let Subject::Board(checkpoint) = role {
            crate::registry::require_coherent(repository, checkpoint)?;
        }
        let open = review.standing.digest;
        if let Some(reviewed) = self.digest.filter(|reviewed| *reviewed != open) {
            let role = role.to_string();
            return Err(crate::catalogue::RepositoryError::ProposalChanged { role, reviewed, open }.into());
        }
        let named = if self.digest.is_some() { Named::ByDigest } else { Named::Loosely };
        let words = Reader { repository, roster: &roster, now }.read(review)?.text;
        let paper = ProposalPaper::new(&review.standing, words, named);
        let standing = signatory.sign_proposal(repository, &paper, &Consent::default())?;
        let published = workshop.hand_in(signatory.key(), None)?;
        let mut text = format!("signed {}, version {}, digest {open}\n", standing.subject, standing.version);
        for tally in &standing.tallies {
            writeln!(text, "  {}", words::tally(tally, &roster))?;
        }
        for subject in &published {
            writeln!(text, "in force  {subject}: it had its signatures, and the registry published it")?;
        }
        // Whoever founds a catalogue trusts none before it is there.
        if published.contains(&Subject::Root) && registry::client(home).root()?.is_none() {
            let place = home.place()?;
            writeln!(
                text,
                "  next: `portcullis --registry {place} catalogue root --to 1.root.json`, then `portcullis join {place} --root 1.root.json`"
            )?;
        }
        text += &handovers::next_steps(home, &published, output);
        let published: Vec<_> = published.iter().map(ToString::to_string).collect();
        let signed = [words::standing_json(&standing, &roster)];
        output.result(&json!({ "signed": signed, "published": published }), text)
    }
}

/// Nothing is signed that was not named.
fn unnamed(reviews: &[Review]) -> Refusal {
    let line = |review: &Review| {
        format!("`portcullis catalogue sign {} {}`", review.standing.subject, review.standing.digest)
    };
    let open: Vec<_> = reviews.iter().map(line).collect();
    let hint = match open.as_slice() {
        [] => "nothing is proposed: see `portcullis catalogue status`".to_owned(),
        open => format!("read `portcullis catalogue review`, then {}", open.join(" or ")),
    };
    Refusal::usage("one role is signed at a time, and named", hint)
}
