//! `portcullis grant list`.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::{Value, json};

use crate::access::{
    self, Affiliations, Found, Grant, RulesInForce, Statements, last_revocation_of, verify_grant,
};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::page::Page;
use crate::cli::people::{affiliations, person};
use crate::cli::registry;
use crate::cli::table::{Cell, Fit, Table, Tone};
use crate::cli::units::{age, left};
use crate::client::Catalogue;
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
    pub(in crate::cli) found: Found,
    pub(in crate::cli) claim: Statement<Grant>,
    /// The rule that refuses it, in words, if it does not stand.
    pub(in crate::cli) refused: Option<String>,
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
        let refused = match rules {
            Ok(rules) => {
                let affiliations = affiliations(statements, [&claim.predicate.researcher], rules)?;
                let beside =
                    Beside { grants: &found, revocations: &revocations, affiliations: &affiliations };
                refused(one, &beside, rules, now).map(|error| error.to_string())
            }
            Err(error) => Some(error.to_string()),
        };
        grants.push(Standing { found: one.clone(), claim, refused });
    }
    grants.sort_by_key(|grant| grant.claim.predicate.issued);
    Ok(grants)
}

/// What bears on a grant beside itself.
struct Beside<'a> {
    grants: &'a [Found],
    revocations: &'a [Envelope],
    affiliations: &'a Affiliations,
}

/// Why a grant does not stand, if it does not.
fn refused(one: &Found, beside: &Beside<'_>, rules: &RulesInForce, now: Timestamp) -> Option<access::Error> {
    let Beside { grants, revocations, affiliations } = *beside;
    let grant = match verify_grant(&one.envelope, rules, revocations, affiliations, now) {
        Ok(grant) => grant.into_inner().predicate,
        Err(error) => return Some(error),
    };
    let last = last_revocation_of(&grant.researcher.verifying_key, grants, revocations, rules)?;
    (grant.issued <= last.created).then(|| access::Error::Revoked {
        reason: last.reason.clone(),
        on: last.created,
        board: rules.contacts.clone(),
    })
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
    for Standing { found, claim, refused } in grants {
        let Grant { checkpoint, researcher, stage, issued, expires, .. } = &claim.predicate;
        let state = match refused {
            None => Cell::new("stands").toned(Tone::Good),
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
        "refused": grant.refused,
    })
}
