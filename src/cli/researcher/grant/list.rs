//! `portcullis grant list`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use crate::access::{
    self, Affiliations, Evidence, Found, Grant, Request, RulesInForce, State, Statements, last_revocation_of,
    state_of, verify_grant, verify_request,
};
use crate::cli::decisions::load_decisions;
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::cli::people::{affiliations, person};
use crate::cli::registry;
use crate::cli::table::{Cell, Fit, Table, Tone};
use crate::cli::units::{age, left};
use crate::client::Catalogue;
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;
use crate::statement::{Envelope, Predicate as _, Statement};
use crate::time::Timestamp;

/// List grants and whether they are valid: yours, and for board members those of their checkpoints
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Only for this checkpoint
    checkpoint: Option<CheckpointId>,

    /// Only valid grants
    #[arg(long)]
    standing: bool,

    /// Only your own
    #[arg(long)]
    mine: bool,
}

/// A grant, and whether it stands.
pub(in crate::cli) struct Standing {
    pub(in crate::cli) found: Found,
    pub(in crate::cli) claim: Statement<Grant>,
    /// The rule that refuses it, in words, if it does not stand.
    pub(in crate::cli) refused: Option<String>,
    /// Whether it stands or stood once: before that it is a draft that some members signed.
    pub(in crate::cli) stood: bool,
    /// Until when its person is suspended, so that nothing is leased under it.
    pub(in crate::cli) suspended: Option<Timestamp>,
}

impl List {
    pub(in crate::cli) fn run(self, home: &Home, output: Output) -> anyhow::Result<()> {
        let catalogue = registry::catalogue(home, output)?;
        self.checkpoint.as_ref().map_or(Ok(()), |wanted| catalogue.board_of(wanted).map(drop))?;
        let now = Timestamp::now();
        let own = home.own_card()?.map(|card| card.verifying_key);
        let mut grants = if home.is_offline() {
            let vault = registry::vault(home)?;
            standings(&vault.statements(), &catalogue, now)?
        } else {
            standings(&*registry::statements(home, output)?, &catalogue, now)?
        };
        grants.retain(|grant| {
            let Grant { checkpoint, researcher, .. } = &grant.claim.predicate;
            self.checkpoint.as_ref().is_none_or(|wanted| wanted == checkpoint)
                && (!self.standing || grant.refused.is_none())
                && (!self.mine || Some(researcher.verifying_key) == own)
        });
        let mut page = Page::new();
        page.table_or(&table(&grants, now), "no grants");
        let value: Vec<_> = grants.iter().map(to_json).collect();
        output.page(&value, &page)
    }
}

/// Every grant among statements, the oldest first, and whether it stands.
pub(in crate::cli) fn standings(
    statements: &dyn Statements,
    catalogue: &Catalogue,
    now: Timestamp,
) -> anyhow::Result<Vec<Standing>> {
    let found = statements.merged(Grant::KIND)?;
    let revocations = registry::revocations(statements)?;
    let mut rules = BTreeMap::new();
    let mut grants = Vec::new();
    for one in &found {
        let Ok(claim) = one.envelope.claim::<Grant>() else { continue };
        let checkpoint = &claim.predicate.checkpoint;
        let rules = rules.entry(checkpoint.clone()).or_insert_with(|| catalogue.rules_in_force(checkpoint));
        let (refused, stood) = match rules {
            Ok(rules) => {
                let affiliations = affiliations(statements, [&claim.predicate.researcher], rules)?;
                let context =
                    GrantContext { grants: &found, revocations: &revocations, affiliations: &affiliations };
                let error = find_refusal(one, &context, rules, now);
                match find_missing_approvals(&one.envelope, rules) {
                    Some(progress) if !matches!(error, None | Some(access::Error::Revoked { .. })) => {
                        let request = claim.predicate.request;
                        (Some(progress.describe(statements, request, catalogue, rules, now)?), false)
                    }
                    progress => (error.map(|error| error.to_string()), progress.is_none()),
                }
            }
            Err(error) => (Some(error.to_string()), true),
        };
        grants.push(Standing { found: one.clone(), claim, refused, stood, suspended: None });
    }
    for (checkpoint, rules) in &rules {
        if let Ok(rules) = rules {
            suspend(statements, rules, grants.iter_mut().filter(|one| one.is_of(checkpoint)), now)?;
        }
    }
    grants.sort_by_key(|grant| grant.claim.predicate.issued);
    Ok(grants)
}

impl Standing {
    fn is_of(&self, checkpoint: &CheckpointId) -> bool {
        self.claim.predicate.checkpoint == *checkpoint
    }
}

/// Notes the suspensions of people for a checkpoint: they bar every grant of theirs.
fn suspend<'a>(
    statements: &dyn Statements,
    rules: &RulesInForce,
    grants: impl Iterator<Item = &'a mut Standing>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let grants: Vec<_> = grants.collect();
    let people: Vec<_> = grants.iter().map(|grant| grant.claim.predicate.researcher.verifying_key).collect();
    let decisions = load_decisions(statements, rules, &people)?;
    for grant in grants {
        let person = grant.claim.predicate.researcher.verifying_key;
        let own = decisions.iter().filter(|decision| decision.person == person);
        grant.suspended = own.filter_map(|decision| decision.standing.suspended_until(now)).max();
    }
    Ok(())
}

/// What bears on a grant beside itself.
struct GrantContext<'a> {
    grants: &'a [Found],
    revocations: &'a [Envelope],
    affiliations: &'a Affiliations,
}

/// Why a grant does not stand, if it does not.
fn find_refusal(
    one: &Found,
    context: &GrantContext<'_>,
    rules: &RulesInForce,
    now: Timestamp,
) -> Option<access::Error> {
    let GrantContext { grants, revocations, affiliations } = *context;
    if let Some(revoked) = access::revocation_of(one.digest, revocations, rules) {
        return Some(revoked);
    }
    let grant = match verify_grant(&one.envelope, rules, revocations, affiliations, now) {
        Ok(grant) => grant.into_inner().predicate,
        Err(error) => return Some(error),
    };
    let last = last_revocation_of(&grant.researcher.verifying_key, grants, revocations, rules)?;
    (grant.issued <= last.created).then(|| rules.revoked(&last))
}

/// How far a draft came that lacks approvals still.
struct ApprovalProgress {
    given: usize,
    needed: usize,
}

/// The approvals of a grant under the policy in force, if some are missing; of one under an earlier policy nothing is said here.
fn find_missing_approvals(envelope: &Envelope, rules: &RulesInForce) -> Option<ApprovalProgress> {
    let boards = access::approvals(Some(envelope), rules);
    let claim = envelope.claim::<Grant>().ok()?.predicate;
    let needed: usize = boards.iter().map(|board| board.needed).sum();
    let missing: usize = boards.iter().map(|board| board.missing).sum();
    (missing > 0 && claim.policy == rules.policy_digest)
        .then(|| ApprovalProgress { given: needed - missing, needed })
}

impl ApprovalProgress {
    /// What became of it: its request waits, or is over.
    fn describe(
        &self,
        statements: &dyn Statements,
        request: Sha256Digest,
        catalogue: &Catalogue,
        rules: &RulesInForce,
        now: Timestamp,
    ) -> anyhow::Result<String> {
        let Self { given, needed } = self;
        let waits = format!("pending: {given} of {needed} approvals");
        let Ok(found) = statements.find(Request::KIND, &request.to_string()) else { return Ok(waits) };
        let Ok(request) = verify_request(&found.envelope, catalogue.id()) else { return Ok(waits) };
        let state = state_of(&request, &Evidence::about(statements, request.digest())?, rules, now);
        Ok(match state {
            State::Pending { .. } => waits,
            State::Granted { .. } => "never valid: another grant answers its request".to_owned(),
            state => format!("never valid: its request is {state}"),
        })
    }
}

/// Grants as a table.
pub(in crate::cli) fn table(grants: &[Standing], now: Timestamp) -> Table<7> {
    let mut table = Table::new([
        ("GRANT", Fit::Whole),
        ("CHECKPOINT", Fit::Cut),
        ("PERSON", Fit::Cut),
        ("STAGE", Fit::Cut),
        ("AGE", Fit::Whole),
        ("LEFT", Fit::Whole),
        ("STATE", Fit::Cut),
    ]);
    for Standing { found, claim, refused, suspended, .. } in grants {
        let Grant { checkpoint, researcher, stage, issued, expires, .. } = &claim.predicate;
        let state = match refused {
            None => match suspended {
                Some(until) => Cell::new(format!("suspended until {until}")).with_tone(Tone::Bad),
                None => Cell::new("valid").with_tone(Tone::Good),
            },
            Some(reason) if reason.starts_with("pending") => Cell::new(reason).with_tone(Tone::Waits),
            Some(reason) => Cell::new(reason).with_tone(Tone::Bad),
        };
        table.row([
            Cell::new(registry::short(found)),
            Cell::new(checkpoint),
            Cell::new(person(&researcher.name, researcher.verifying_key.id())),
            Cell::new(stage),
            Cell::new(age(*issued, now)),
            Cell::new(left(*expires, now)),
            state,
        ]);
    }
    table
}

/// A grant as JSON.
pub(in crate::cli) fn to_json(grant: &Standing) -> Value {
    json!({
        "digest": grant.found.digest, "grant": grant.claim.predicate, "stands": grant.refused.is_none(),
        "stood": grant.stood, "refused": grant.refused, "suspended_until": grant.suspended,
    })
}
