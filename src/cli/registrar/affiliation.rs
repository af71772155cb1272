//! `portcullis affiliation confirm`, `withdraw` and `list`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::json;

use crate::access::{Affiliation, MAX_AFFILIATION_DAYS, Statements, verify_affiliation};
use crate::cli::failure::Refusal;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::cli::people::person;
use crate::cli::signing::{Consent, Papers, Signatory};
use crate::cli::table::{Cell, Fit, Table, Tone};
use crate::cli::{files, registry};
use crate::client::Catalogue;
use crate::identity::{Card, VerifyingKey};
use crate::name::{Label, Prose};
use crate::statement::{Predicate as _, Quorum, verify_card};
use crate::time::Timestamp;
use crate::visible::visible;

/// Affiliations: confirm that people belong to your organization, withdraw confirmations, and list them
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AffiliationCommand {
    Confirm(Confirm),
    Withdraw(Withdraw),
    List(List),
}

impl AffiliationCommand {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        match self {
            Self::Confirm(confirm) => confirm.run(home, output),
            Self::Withdraw(withdraw) => withdraw.run(home, output),
            Self::List(list) => list.run(home, output),
        }
    }
}

/// Confirm that the owner of a card belongs to your organization, for a number of days
#[derive(Debug, Args)]
pub(in crate::cli) struct Confirm {
    /// The person's card
    card: PathBuf,

    /// The organization; the card must name it
    #[arg(long, value_name = "NAME")]
    organization: Label,

    /// For how many days from now
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_AFFILIATION_DAYS)))]
    days: u32,

    #[command(flatten)]
    consent: Consent,
}

/// Withdraw the confirmation of a card's owner; no further lease is issued on it
#[derive(Debug, Args)]
pub(in crate::cli) struct Withdraw {
    /// The person's card
    card: PathBuf,

    /// The organization
    #[arg(long, value_name = "NAME")]
    organization: Label,

    /// The reason; the person reads it
    #[arg(long)]
    reason: Prose,

    #[command(flatten)]
    consent: Consent,
}

/// List affiliations: registrars and boards see all, others their own and their organization's
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Only of this organization
    #[arg(long, value_name = "NAME")]
    organization: Option<Label>,
}

impl Confirm {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let person = card_of(&self.card, &self.organization)?;
        let name = visible(person.name.as_str()).into_owned();
        let action = format!("confirm that {name} belongs to {}", self.organization);
        let said = Affiliation {
            organization: self.organization,
            person,
            created: now,
            until: now.plus_days(self.days),
            reason: None,
        };
        let text = format!(
            "confirmed: {name} belongs to {} until {}\n  next: they request it with `portcullis request new <checkpoint> --purpose <why>`\n",
            visible(said.organization.as_str()),
            said.until.date()
        );
        say(home, output, said, action, &self.consent, text)
    }
}

impl Withdraw {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let now = Timestamp::now();
        let person = card_of(&self.card, &self.organization)?;
        let name = visible(person.name.as_str()).into_owned();
        let action = format!("withdraw that {name} belongs to {}", self.organization);
        let said = Affiliation {
            organization: self.organization,
            person,
            created: now,
            until: now,
            reason: Some(self.reason),
        };
        let text = format!(
            "withdrawn: {name} no longer belongs to {}; a running lease ends by itself\n",
            visible(said.organization.as_str())
        );
        say(home, output, said, action, &self.consent, text)
    }
}

impl List {
    fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        let organizations = catalogue.organizations()?;
        let now = Timestamp::now();
        let mut said = Vec::new();
        for found in registry::statements(home, output)?.list(Affiliation::KIND)? {
            // What no present registrar signed counts nowhere.
            let Ok(verified) = verify_affiliation(&found.envelope, &organizations) else { continue };
            if self.organization.as_ref().is_none_or(|wanted| *wanted == verified.organization) {
                said.push(verified);
            }
        }
        said.sort_by_key(|said| std::cmp::Reverse(said.created));
        let mut table = Table::new([
            ("PERSON", Fit::Cut),
            ("ORGANIZATION", Fit::Cut),
            ("STATE", Fit::Whole),
            ("SINCE", Fit::Whole),
            ("BY", Fit::Cut),
            ("REASON", Fit::Cut),
        ]);
        let mut rows = Vec::new();
        for said in &said {
            let by = said.signers().iter().map(|key| catalogue.name_of(key)).collect::<Vec<_>>().join(", ");
            let state = match said.withdraws() {
                true => Cell::new("withdrawn").with_tone(Tone::Bad),
                false if said.until <= now => {
                    Cell::new(format!("ended {}", said.until.date())).with_tone(Tone::Faint)
                }
                false => Cell::new(format!("until {}", said.until.date())).with_tone(Tone::Good),
            };
            table.row([
                Cell::new(person(&said.person.name, said.person.verifying_key.id())),
                Cell::new(&said.organization),
                state,
                Cell::new(said.created.date()),
                Cell::new(&by),
                Cell::new(said.reason.as_ref().map_or("", Prose::as_str)),
            ]);
            rows.push(json!({ "affiliation": **said, "by": by, "withdrawn": said.withdraws() }));
        }
        let mut page = Page::new();
        page.table_or(&table, "no affiliation that you may see");
        output.page(&json!({ "affiliations": rows }), &page)
    }
}

fn card_of(path: &std::path::Path, organization: &Label) -> anyhow::Result<Card> {
    let card = verify_card(&files::envelope(path)?)?.into_inner();
    if card.organization.as_ref() == Some(organization) {
        return Ok(card);
    }
    let message = match &card.organization {
        Some(other) => format!("{}'s card names {other}, not {organization}", card.name),
        None => format!("{}'s card names no organization", card.name),
    };
    let hint =
        "they create an identity with it: `portcullis identity new --name <name> --organization <name>`";
    Err(Refusal::usage(message, hint).into())
}

fn say(
    home: &Home,
    output: Output,
    said: Affiliation,
    action: String,
    consent: &Consent,
    text: String,
) -> anyhow::Result<()> {
    let catalogue = registry::catalogue(home, output)?;
    let signatory = Signatory::open(home, output)?;
    require_registrar(&catalogue, &said.organization, &signatory.key())?;
    let exchange = registry::statements(home, output)?;
    let said = after_the_last(said, &*exchange, &catalogue.organizations()?)?;
    let value = json!({ "affiliation": said });
    let mut papers = Papers::new(action);
    papers.add::<Affiliation>(said.statement(catalogue.id()).to_envelope()?)?;
    let envelope = signatory.sign_one(papers, consent)?;
    exchange.put(Affiliation::KIND, &envelope, &signatory.key())?;
    output.result(&value, text)
}

/// The last word counts: this one is dated after what was said before, also if that was a moment ago.
fn after_the_last(
    mut said: Affiliation,
    exchange: &dyn Statements,
    organizations: &BTreeMap<Label, Quorum>,
) -> anyhow::Result<Affiliation> {
    let about = Affiliation::id(&said.person.verifying_key, &said.organization);
    for found in exchange.newest(Affiliation::KIND, about)? {
        // What no registrar signed was not said.
        let Ok(last) = verify_affiliation(&found.envelope, organizations) else { continue };
        let last = last.created;
        // No farther ahead than any clock may be.
        if last.seconds_since(said.created) >= 0
            && last.seconds_since(said.created) < crate::access::CLOCK_TOLERANCE
        {
            let withdraws = said.withdraws();
            said.created = last.plus_seconds(1);
            if withdraws {
                said.until = said.created;
            }
        }
    }
    Ok(said)
}

fn require_registrar(catalogue: &Catalogue, organization: &Label, key: &VerifyingKey) -> anyhow::Result<()> {
    let organizations = catalogue.organizations()?;
    match organizations.get(organization) {
        Some(registrars) if registrars.keys().contains(key) => Ok(()),
        Some(registrars) => {
            let names: Vec<_> = registrars.keys().iter().map(|key| catalogue.name_of(key)).collect();
            let message = format!("you are not a registrar of {organization}");
            let hint = format!("its registrars confirm: {}", names.join(", "));
            Err(Refusal::denied(message, hint).into())
        }
        None => Err(crate::access::Error::NoRegistrars { organization: organization.clone() }.into()),
    }
}
