//! What waits for a person by their offices: requests to decide, changes of the catalogue to sign, cases to review.

use serde::{Deserialize, Serialize};

use crate::access::{Evidence, Grant, State, Statements};
use crate::cli::admin::catalogue::proposals_to_sign;
use crate::cli::auditor::docket::Docket;
use crate::cli::decisions::load_decisions;
use crate::cli::handovers::{self, MissingShares};
use crate::cli::home::Home;
use crate::cli::output::Output;
use crate::cli::people::person;
use crate::cli::registry::short_digest;
use crate::cli::researcher::request::list::Standing;
use crate::client::Catalogue;
use crate::digest::Sha256Digest;
use crate::identity::{Card, VerifyingKey};
use crate::misuse::{Case, CaseStep};
use crate::statement::{Predicate as _, Quorum};
use crate::time::Timestamp;

/// Something that waits for this person.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Task {
    /// `request`, `proposal`, `handover` or `case`.
    pub(super) kind: String,
    /// What it is, in words.
    pub(super) what: String,
    /// Since when it waits, if that is known.
    pub(super) since: Option<Timestamp>,
    /// What to type to look at it.
    pub(super) command: String,
}

/// What a person is in the catalogue.
pub(super) fn offices(catalogue: &Catalogue, card: &Card) -> Vec<String> {
    let is_of = |quorum: &Quorum| quorum.keys().contains(&card.verifying_key);
    let boards = catalogue.checkpoints().filter(|name| catalogue.board(name).is_some_and(is_of));
    let mut offices: Vec<_> = boards.map(|name| format!("on the board of {name}")).collect();
    for (quorum, office) in [
        (Some(catalogue.owners()), "owner of the catalogue"),
        (catalogue.auditors(), "auditor"),
        (Some(catalogue.registry()), "the registry itself"),
    ] {
        if quorum.is_some_and(is_of) {
            offices.push(office.to_owned());
        }
    }
    // A file of organizations that cannot be read names no registrar.
    for (organization, registrars) in catalogue.organizations().unwrap_or_default() {
        if is_of(&registrars) {
            offices.push(format!("registrar of {organization}"));
        }
    }
    offices
}

/// Everything that waits for a person.
pub(super) fn waiting(
    home: &Home,
    catalogue: &Catalogue,
    card: &Card,
    statements: &dyn Statements,
    requests: &[Standing],
    output: Output,
) -> anyhow::Result<Vec<Task>> {
    let mut tasks = requests_to_decide(catalogue, card, statements, requests)?;
    if is_keeper(catalogue, &card.verifying_key) {
        for (role, signed) in proposals_to_sign(home, &card.verifying_key, output)? {
            tasks.push(Task {
                kind: "proposal".to_owned(),
                what: format!("a change of {role}, {signed}"),
                since: None,
                command: "portcullis catalogue review".to_owned(),
            });
        }
    }
    tasks.extend(shares_to_hand_over(catalogue, card, statements)?);
    tasks.extend(open_cases(catalogue, card, statements)?);
    tasks.extend(decisions_to_read(catalogue, card, statements)?);
    Ok(tasks)
}

/// What auditors decided about this person; a case that is open again for an appeal is shown already.
fn decisions_to_read(
    catalogue: &Catalogue,
    card: &Card,
    statements: &dyn Statements,
) -> anyhow::Result<Vec<Task>> {
    let (mut tasks, now) = (Vec::new(), Timestamp::now());
    for checkpoint in catalogue.checkpoints() {
        let Ok(rules) = catalogue.rules_in_force(checkpoint) else { continue };
        let decisions = load_decisions(statements, &rules, &[card.verifying_key])?;
        for decision in decisions.iter().filter(|decision| !decision.standing.appealed) {
            tasks.extend(decision.describe(now).map(|words| Task {
                kind: "case".to_owned(),
                what: format!("a case about you over {checkpoint}: {words}"),
                since: decision.standing.decided,
                command: format!("portcullis case show {}", short_digest(decision.case)),
            }));
        }
    }
    Ok(tasks)
}

/// Shares that this member has not handed over, of checkpoints that stay closed before that.
fn shares_to_hand_over(
    catalogue: &Catalogue,
    card: &Card,
    statements: &dyn Statements,
) -> anyhow::Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for checkpoint in catalogue.checkpoints() {
        let is_member =
            catalogue.board(checkpoint).is_some_and(|board| board.keys().contains(&card.verifying_key));
        let Ok(rules) = catalogue.rules_in_force(checkpoint) else { continue };
        if !is_member {
            continue;
        }
        let missing = MissingShares::find(catalogue, statements, &rules)?;
        if let Some(missing) = missing.filter(|missing| missing.lacks(&card.verifying_key)) {
            tasks.push(Task {
                kind: "handover".to_owned(),
                what: format!("{checkpoint} is not yet open in stage `{}` yet: {missing}", rules.stage),
                since: None,
                command: handovers::handover_command(checkpoint),
            });
        }
    }
    Ok(tasks)
}

fn is_keeper(catalogue: &Catalogue, key: &VerifyingKey) -> bool {
    let boards = catalogue.checkpoints().filter_map(|checkpoint| catalogue.board(checkpoint));
    boards.chain([catalogue.owners()]).any(|quorum| quorum.keys().contains(key))
}

/// Pending requests that this person can approve or deny, and has not approved.
fn requests_to_decide(
    catalogue: &Catalogue,
    card: &Card,
    statements: &dyn Statements,
    requests: &[Standing],
) -> anyhow::Result<Vec<Task>> {
    let mut tasks = Vec::new();
    for (request, state) in requests {
        if !matches!(state, State::Pending(tally) if tally.needed > 0) {
            continue;
        }
        let asked = &request.predicate;
        let is_own = asked.holders()?.iter().any(|holder| holder.verifying_key == card.verifying_key);
        let Ok(rules) = catalogue.rules_in_force(&asked.checkpoint) else { continue };
        if is_own || !rules.deciders().keys().contains(&card.verifying_key) {
            continue;
        }
        let deciders = rules.deciders();
        let answers = Evidence::about(statements, request.digest())?.grants;
        let is_signed = answers.iter().any(|found| {
            found.envelope.claim::<Grant>().is_ok_and(|claim| claim.predicate.request == request.digest())
                && found.envelope.signers(&deciders).contains(&card.verifying_key)
        });
        if !is_signed {
            let who = person(&asked.card.name, asked.card.verifying_key.id());
            tasks.push(Task {
                kind: "request".to_owned(),
                what: format!("{who} asks for {}, {state}", asked.checkpoint),
                since: Some(asked.created),
                command: format!("portcullis request show {}", short_digest(request.digest())),
            });
        }
    }
    Ok(tasks)
}

/// Open cases: auditors see all, others those about themselves.
fn open_cases(catalogue: &Catalogue, card: &Card, statements: &dyn Statements) -> anyhow::Result<Vec<Task>> {
    let is_auditor =
        catalogue.auditors().is_some_and(|auditors| auditors.keys().contains(&card.verifying_key));
    let found = statements.list(Case::KIND)?;
    let steps = if found.is_empty() { Vec::new() } else { statements.list(CaseStep::KIND)? };
    let docket = Docket::new(catalogue, statements);
    let mut tasks = Vec::new();
    for one in &found {
        // A case without a valid signature waits for no one.
        let Ok(read) = docket.read_with(one, &steps) else { continue };
        let (case, standing) = (&read.case, read.standing());
        let is_mine = case.predicate.person == card.verifying_key.id();
        let is_open = matches!(standing.word(), "open" | "appealed");
        if is_open && (is_auditor || is_mine) {
            tasks.push(describe_case(
                one.digest,
                &case.subject.name,
                &case.predicate,
                standing.word(),
                is_mine,
            ));
        }
    }
    Ok(tasks)
}

fn describe_case(digest: Sha256Digest, checkpoint: &str, case: &Case, word: &str, is_mine: bool) -> Task {
    let whom = if is_mine { " about you".to_owned() } else { format!(" about key {}", case.person.short()) };
    Task {
        kind: "case".to_owned(),
        what: format!("a case{whom} over {checkpoint}, {word}"),
        since: Some(case.created),
        command: format!("portcullis case show {}", short_digest(digest)),
    }
}
