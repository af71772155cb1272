//! `portcullis request new`.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::draft::{Draft, Wanted};
use super::terms;
use crate::access::{self, Affiliations, Request, RulesInForce, Statements};
use crate::cli::files;
use crate::cli::home::Home;
use crate::cli::output::{Output, shown};
use crate::cli::people::{self, People};
use crate::cli::registry;
use crate::cli::signing::{Consent, Papers, Signatory};
use crate::digest::Sha256Digest;
use crate::name::{CheckpointId, Prose};
use crate::policy::Use;
use crate::statement::{Statement, Subject};
use crate::time::Timestamp;

/// Ask the board for a checkpoint
#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    /// Which checkpoint
    checkpoint: CheckpointId,

    /// What for, in your words: the board reads it; asked for at a terminal
    #[arg(long)]
    purpose: Option<Prose>,

    /// A use that the policy names; give it several times for several
    #[arg(long = "use", value_name = "USE")]
    uses: Vec<Use>,

    /// For how many days; 30 if nothing else is said
    #[arg(long)]
    days: Option<u32>,

    /// Accept the agreement that `--terms` prints
    #[arg(long)]
    accept_agreement: bool,

    /// The first digits of an earlier request of yours that this one renews, with its purpose, uses and days unless you give others
    #[arg(long, value_name = "REQUEST")]
    renew: Option<String>,

    /// The signed card of somebody else of your organization who is to have it, too; give it several times for several
    #[arg(long = "member", value_name = "CARD")]
    members: Vec<PathBuf>,

    /// Print the stage's rules and its agreement, and ask for nothing
    #[arg(long)]
    terms: bool,

    #[command(flatten)]
    consent: Consent,
}

impl New {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        let rules = catalogue.rules_in_force(&self.checkpoint)?;
        let agreement = catalogue.agreement(&self.checkpoint)?;
        let agreement = agreement.filter(|_| terms::agreement_of(&rules).is_some());
        if self.terms {
            return terms::print(&rules, agreement.as_deref(), output);
        }
        let signatory = Signatory::of(home, output)?;
        let statements = registry::statements(home, output)?;
        let wanted = self.wanted(&*statements, (&rules, agreement.as_deref()), &signatory, output)?;
        let request = Request {
            checkpoint: self.checkpoint.clone(),
            purpose: wanted.purpose,
            uses: wanted.uses,
            days: wanted.days,
            agreement: terms::agreement_of(&rules).filter(|_| wanted.accepts),
            renews: wanted.renews,
            card: signatory.card().clone(),
            members: self.members.iter().map(|path| files::envelope(path)).collect::<Result<_, _>>()?,
            created: Timestamp::now(),
        };
        let subject = Subject { name: self.checkpoint.to_string(), digest: rules.manifest };
        let request = Statement::new(rules.catalogue, subject, request);
        let holders = request.predicate.holders()?;
        let affiliations = people::affiliations(&*statements, &holders, &rules)?;
        require_possible(&request, &rules, &affiliations)?;
        let people = People::known(&holders, &rules, &affiliations, Timestamp::now());
        let mut papers = Papers::to(format!("ask for {}", self.checkpoint)).in_own_words().knowing(people);
        papers.line("stage", format!("`{}`, as the policy {} has it", rules.stage, rules.policy_digest));
        papers.add::<Request>(request.to_envelope()?)?;
        let envelope = signatory.sign_one(papers, &self.consent)?;
        let handed_in = statements.put("request", &envelope, &signatory.key())?;
        let digest = handed_in.same_as.unwrap_or_else(|| envelope.digest());
        let (short, path) = (registry::short_digest(digest), shown(&handed_in.path));
        if handed_in.same_as.is_some() {
            let text = format!(
                "you asked for that already: request {short} is pending\n  next: `portcullis request show {short}` tells how it stands\n"
            );
            let value = json!({ "request": digest, "stage": rules.stage, "path": path, "new": false });
            return output.result(&value, text);
        }
        let approvals = rules.policy.stage(&rules.stage).map(|stage| stage.approvals.clone());
        let text = format!(
            "asked for {} under stage `{}`: request {short}\n  next: {}\n",
            self.checkpoint,
            rules.stage,
            if approvals.is_some_and(|approvals| approvals.is_empty()) {
                "the registry answers; then `portcullis pull <checkpoint>` and `portcullis run <checkpoint>`"
                    .to_owned()
            } else {
                format!("the board decides; `portcullis request show {short}` tells")
            },
        );
        output.result(&json!({ "request": digest, "stage": rules.stage, "path": path }), text)
    }
}

impl New {
    /// What is asked for, whoever says so: the command line, an earlier request, or its user at a terminal.
    fn wanted(
        &self,
        statements: &dyn Statements,
        (rules, agreement): (&RulesInForce, Option<&str>),
        signatory: &Signatory,
        output: Output,
    ) -> anyhow::Result<Wanted> {
        let draft = Draft {
            purpose: self.purpose.clone(),
            uses: self.uses.iter().cloned().collect(),
            days: self.days,
            accepts: self.accept_agreement,
            renews: None,
        };
        let draft = match &self.renew {
            Some(digits) => draft.renewing(statements, (digits, rules, signatory.key()))?,
            None => draft,
        };
        draft.complete(&terms::words(rules, agreement)?, rules, output)
    }
}

/// Answers at once where no approval could ever permit it: the grant that would answer it is drafted, and thrown away.
fn require_possible(
    request: &Statement<Request>,
    rules: &RulesInForce,
    affiliations: &Affiliations,
) -> anyhow::Result<()> {
    let drafted =
        access::draft_answers(request, Sha256Digest::compute(b""), rules, affiliations, Timestamp::now());
    let (stage, checkpoint) = (&rules.stage, &rules.checkpoint);
    match drafted {
        Ok(_) => Ok(()),
        // It can be mended: the registrar confirms, and the person asks again.
        Err(error @ access::Error::NotConfirmed { .. }) => Err(error)
            .with_context(|| format!("stage `{stage}` of {checkpoint} wants your organization confirmed")),
        Err(error) => Err(error)
            .with_context(|| format!("stage `{stage}` of {checkpoint} could never permit this request")),
    }
}
