//! `portcullis grant list`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use crate::access::{
    self, Affiliations, Evidence, FoundStatement, Grant, Request, RulesInForce, State, Statements,
    find_last_revocation, request_state, verify_grant, verify_request,
};
use crate::cli::decided::decisions;
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

/// List grants and whether they stand: yours, and for board members those of their checkpoints
#[derive(Debug, Args)]
pub(in crate::cli) struct List {
    /// Those for this checkpoint only
    checkpoint: Option<CheckpointId>,

    /// Those that stand only
    #[arg(long)]
    standing: bool,

    /// Yours only
    #[arg(long)]
    mine: bool,
}

/// A grant, and whether it stands.
pub(in crate::cli) struct Standing {
    pub(in crate::cli) found: FoundStatement,
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
    let found = statements.list_merged(Grant::KIND)?;
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
                let beside =
                    Beside { grants: &found, revocations: &revocations, affiliations: &affiliations };
                let error = refused(one, &beside, rules, now);
                match unfinished(&one.envelope, rules) {
                    Some(so_far) if !matches!(error, None | Some(access::Error::Revoked { .. })) => {
                        let request = (claim.predicate.request, catalogue);
                        (Some(so_far.words(statements, request, (rules, now))?), false)
                    }
                    so_far => (error.map(|error| error.to_string()), so_far.is_none()),
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
    let decisions = decisions(statements, rules, &people)?;
    for grant in grants {
        let person = grant.claim.predicate.researcher.verifying_key;
        let own = decisions.iter().filter(|decision| decision.person == person);
        grant.suspended = own.filter_map(|decision| decision.standing.suspended_until(now)).max();
    }
    Ok(())
}

/// What bears on a grant beside itself.
struct Beside<'a> {
    grants: &'a [FoundStatement],
    revocations: &'a [Envelope],
    affiliations: &'a Affiliations,
}

/// Why a grant does not stand, if it does not.
fn refused(
    one: &FoundStatement,
    beside: &Beside<'_>,
    rules: &RulesInForce,
    now: Timestamp,
) -> Option<access::Error> {
    let Beside { grants, revocations, affiliations } = *beside;
    if let Some(revoked) = access::find_revocation(one.digest, revocations, rules) {
        return Some(revoked);
    }
    let grant = match verify_grant(&one.envelope, rules, revocations, affiliations, now) {
        Ok(grant) => grant.into_inner().predicate,
        Err(error) => return Some(error),
    };
    let last = find_last_revocation(&grant.researcher.verifying_key, grants, revocations, rules)?;
    (grant.issued <= last.created).then(|| rules.revocation_error(&last))
}

/// How far a draft came that lacks approvals still.
struct SoFar {
    given: usize,
    needed: usize,
}

/// The approvals of a grant under the policy in force, if some are missing; of one under an earlier policy nothing is said here.
fn unfinished(envelope: &Envelope, rules: &RulesInForce) -> Option<SoFar> {
    let boards = access::count_approvals(Some(envelope), rules);
    let claim = envelope.claim::<Grant>().ok()?.predicate;
    let needed: usize = boards.iter().map(|board| board.needed).sum();
    let missing: usize = boards.iter().map(|board| board.missing).sum();
    (missing > 0 && claim.policy == rules.policy_digest).then(|| SoFar { given: needed - missing, needed })
}

impl SoFar {
    /// What became of it: its request waits, or is over.
    fn words(
        &self,
        statements: &dyn Statements,
        (request, catalogue): (Sha256Digest, &Catalogue),
        (rules, now): (&RulesInForce, Timestamp),
    ) -> anyhow::Result<String> {
        let Self { given, needed } = self;
        let waits = format!("waits: {given} of {needed} approvals");
        let Ok(found) = statements.find(Request::KIND, &request.to_string()) else { return Ok(waits) };
        let Ok(request) = verify_request(&found.envelope, catalogue.id()) else { return Ok(waits) };
        let state = request_state(&request, &Evidence::read_about(statements, request.digest())?, rules, now);
        Ok(match state {
            State::Pending { .. } => waits,
            State::Granted { .. } => "never stood: another grant answers its request".to_owned(),
            state => format!("never stood: its request is {state}"),
        })
    }
}

/// Grants as a table.
pub(in crate::cli) fn table(grants: &[Standing], now: Timestamp) -> Table<7> {
    let mut table = Table::new([
        ("GRANT", Fit::Whole),
        ("CHECKPOINT", Fit::Cut),
        ("WHO", Fit::Cut),
        ("STAGE", Fit::Cut),
        ("AGE", Fit::Whole),
        ("LEFT", Fit::Whole),
        ("STATE", Fit::Cut),
    ]);
    for Standing { found, claim, refused, suspended, .. } in grants {
        let Grant { checkpoint, researcher, stage, issued, expires, .. } = &claim.predicate;
        let state = match refused {
            None => match suspended {
                Some(until) => Cell::new(format!("suspended until {until}")).toned(Tone::Bad),
                None => Cell::new("stands").toned(Tone::Good),
            },
            Some(reason) if reason.starts_with("waits") => Cell::new(reason).toned(Tone::Waits),
            Some(reason) => Cell::new(reason).toned(Tone::Bad),
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
