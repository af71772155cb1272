//! `portcullis answer`: the registry grants what a public stage's policy lets it.

use std::fmt::Write as _;

use clap::Args;
use serde_json::json;

use crate::access::{Grant, Statements, verify_request};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::signing::{Unattended, unattended};
use crate::cli::{people, registry, resolve};
use crate::client::Catalogue;
use crate::registry::{AnswerTerms, Keys, answer_request, answers_itself, require_registry};
use crate::statement::Envelope;
use crate::time::Timestamp;

/// Answer requests of stages that need no approval, with shares that the board handed over
#[derive(Debug, Args)]
pub(in crate::cli) struct Answer {
    /// The first digits of the request's digest [default: every pending request]
    request: Option<String>,
}

impl Answer {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        let exchange = registry::statements(home, output)?;
        let (identity, signer) = unattended(home, Unattended::Registry, output)?;
        require_registry(&catalogue, &*signer)?;
        let answerer = Answerer {
            home,
            output,
            catalogue: &catalogue,
            exchange: &*exchange,
            keys: Keys { opening: identity.opening_key(), signer: &*signer },
        };
        let requests = match &self.request {
            Some(prefix) => vec![resolve::request(&*exchange, prefix)?],
            None => exchange.list("request")?,
        };
        let mut text = String::new();
        let mut answered = Vec::new();
        for found in &requests {
            match answerer.answer(&found.envelope) {
                Ok(grants) => {
                    for grant in grants {
                        let claim = grant.claim::<Grant>()?.predicate;
                        let (name, checkpoint) = (claim.researcher.name, claim.checkpoint);
                        let short = registry::short_digest(grant.digest());
                        writeln!(text, "granted {checkpoint} to {name}: grant {short}")?;
                        answered.push(json!({ "request": found.digest, "grant": grant.digest() }));
                    }
                }
                Err(error) if self.request.is_some() => return Err(error),
                Err(error) => output.note(format_args!("note: {}: {error:#}", registry::short(found))),
            }
        }
        if answered.is_empty() {
            text.push_str("no request is pending at the registry\n");
        }
        output.result(&answered, text)
    }
}

struct Answerer<'a> {
    home: &'a Home,
    output: Output,
    catalogue: &'a Catalogue,
    exchange: &'a dyn Statements,
    keys: Keys<'a>,
}

impl Answerer<'_> {
    /// Grants a request; nothing if the board decides, or an answer is there.
    fn answer(&self, envelope: &Envelope) -> anyhow::Result<Vec<Envelope>> {
        let request = verify_request(envelope, self.catalogue.id())?;
        let rules = self.catalogue.rules_in_force(&request.predicate.checkpoint)?;
        if !answers_itself(&rules) || !self.exchange.about("grant", request.digest())?.is_empty() {
            return Ok(Vec::new());
        }
        let locks = registry::locks(self.home, &rules, self.output)?;
        let handovers: Vec<_> =
            self.exchange.list("handover")?.into_iter().map(|found| found.envelope).collect();
        let affiliations = people::affiliations(self.exchange, &request.predicate.holders()?, &rules)?;
        let terms =
            AnswerTerms { rules: &rules, locks: &locks, handovers: &handovers, affiliations: &affiliations };
        let answers = answer_request(&request, &terms, self.keys, Timestamp::now())?;
        let key = self.keys.signer.verifying_key();
        for answer in &answers {
            for share in &answer.shares {
                self.exchange.put("share", share, &key)?;
            }
            self.exchange.put("grant", &answer.grant, &key)?;
        }
        Ok(answers.into_iter().map(|answer| answer.grant).collect())
    }
}
