//! `portcullis catalogue organization add` and `remove`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use super::init::cards;
use super::rotate::find;
use super::submit::Submission;
use super::working_copy::WorkingCopy;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Consent, Signatory};
use crate::digest::Sha256Digest;
use crate::name::Label;
use crate::time::Timestamp;

/// Organizations: the registrars who confirm an organization's members
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum OrganizationCommand {
    Add(Add),
    Remove(Remove),
}

/// Propose registrars of an organization, who confirm its members with `affiliation confirm`; owners sign it
#[derive(Debug, Args)]
pub(in crate::cli) struct Add {
    /// The organization's name, as cards and policies write it
    organization: Label,

    /// Card of a registrar; repeat for each
    #[arg(long = "registrar", value_name = "CARD", required = true)]
    registrars: Vec<PathBuf>,

    #[command(flatten)]
    change: Change,
}

/// Propose to remove registrars of an organization; their confirmations are no longer valid
#[derive(Debug, Args)]
pub(in crate::cli) struct Remove {
    /// The organization
    organization: Label,

    /// Name or key id of a registrar; repeat for each
    #[arg(long = "registrar", value_name = "NAME|KEYID", required = true)]
    registrars: Vec<String>,

    #[command(flatten)]
    change: Change,
}

/// How a change of the catalogue is proposed.
#[derive(Debug, Args)]
struct Change {
    /// Days until the change expires
    #[arg(long, value_name = "DAYS", default_value_t = 365)]
    expires_in: u32,

    /// Build on this open proposal of another person, which you reviewed; its digest
    #[arg(long, value_name = "SHA-256")]
    onto: Vec<Sha256Digest>,

    #[command(flatten)]
    consent: Consent,
}

impl OrganizationCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let working_copy = WorkingCopy::open(home, output)?;
        working_copy.require_trusted_base(home, now)?;
        let signatory = Signatory::open(home, output)?;
        let repository = working_copy.repository();
        let (organization, change, verb) = match self {
            Self::Add(Add { organization, registrars, change }) => {
                let by = working_copy.proposer(signatory.key(), &change.onto);
                let expires = now.plus_days(change.expires_in);
                repository.add_registrars(&organization, &cards(&registrars)?, &by, expires)?;
                (organization, change, "more")
            }
            Self::Remove(Remove { organization, registrars, change }) => {
                let by = working_copy.proposer(signatory.key(), &change.onto);
                let expires = now.plus_days(change.expires_in);
                let roster = repository.roster()?;
                let keys: Vec<_> =
                    registrars.iter().map(|who| find(who, &roster)).collect::<Result<_, _>>()?;
                repository.remove_registrars(&organization, &keys, &by, expires)?;
                (organization, change, "fewer")
            }
        };
        let submission = Submission {
            working_copy: &working_copy,
            signatory: &signatory,
            consent: &change.consent,
            founding_code: None,
        };
        let done = submission.submit(now)?;
        let text = format!(
            "proposed and signed: {verb} registrars of {}\n{}",
            crate::visible::visible(organization.as_str()),
            done.next_steps()?
        );
        let value =
            json!({ "organization": organization, "roles": done.json(), "published": done.published_json() });
        output.result(&value, text)
    }
}
