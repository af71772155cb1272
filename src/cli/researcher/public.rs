//! In a public stage nobody decides: what is missing to open a checkpoint is asked for and pulled, without a command for each.

use super::pull;
use super::request::list::standings;
use crate::access::{self, Affiliations, Request, RulesInForce, State};
use crate::cli::handovers;
use crate::cli::home::{Home, Place};
use crate::cli::output::Output;
use crate::cli::progress::Bar;
use crate::cli::registry;
use crate::cli::signing::{Consent, Papers, Signatory};
use crate::client::{self, Catalogue, ChunkSource, Mirror, PullOptions, Vault};
use crate::digest::Sha256Digest;
use crate::identity::Card;
use crate::policy::Stage;
use crate::seal;
use crate::statement::{Statement, Subject};
use crate::time::Timestamp;

/// For how many days is asked, where the stage allows as many.
const DAYS: u32 = 30;

/// Asks and pulls where the stage is public and a grant or the chunks are missing. What cannot be done is left to the gate, which says why.
pub(super) fn see_to(
    home: &Home,
    catalogue: &Catalogue,
    (vault, rules): (&Vault, &RulesInForce),
    output: Output,
) -> anyhow::Result<()> {
    let Place::Address(address) = home.place()? else { return Ok(()) };
    let Some(stage) = rules.policy.stage(&rules.stage).filter(|stage| stage.is_public()) else {
        return Ok(());
    };
    if home.is_offline() {
        return Ok(());
    }
    let identity = home.identity(output)?;
    let granted = || client::find_grant(vault, rules, identity.card(), Timestamp::now());
    if granted().is_err_and(|error| may_ask(&error)) {
        ask(home, (vault, rules), stage, output)?;
    }
    if granted().is_err_and(|error| may_ask(&error)) {
        require_shares(home, catalogue, (rules, identity.card()), output)?;
    }
    let folder = vault.sealed(&rules.checkpoint, rules.manifest);
    if granted().is_ok() && !folder.join(seal::MANIFEST).exists() {
        output.note(format_args!("note: {} is public: pulling it into your vault", rules.checkpoint));
        let manifest = catalogue.sealed_manifest(&rules.checkpoint)?;
        let source = ChunkSource::Mirrors(vec![Mirror::Registry(address)]);
        client::pull(&manifest, &source, (vault, rules), &PullOptions::default(), &Bar::before(output))?;
    }
    Ok(())
}

/// Refuses where a request of this person waits for the board's shares. What else it may wait for, the registry's queue tells.
fn require_shares(
    home: &Home,
    catalogue: &Catalogue,
    (rules, card): (&RulesInForce, &Card),
    output: Output,
) -> anyhow::Result<()> {
    let statements = registry::statements(home, output)?;
    let all = standings(&*statements, catalogue, Timestamp::now(), output)?;
    let waiting = all.iter().rev().find(|(request, state)| {
        request.predicate.card.verifying_key == card.verifying_key
            && request.predicate.checkpoint == rules.checkpoint
            && matches!(state, State::Pending(tally) if tally.needed == 0)
    });
    let (Some((request, _)), Some(address)) = (waiting, home.address()?) else { return Ok(()) };
    let standing = registry::remote(home, &address, output)?.standing(request.digest())?;
    if !standing.sanctions.is_empty() {
        return Ok(());
    }
    Err(handovers::refusal(rules, &registry::short_digest(request.digest())).into())
}

/// Whether a new request may mend it: there is no grant, or what there is ended or never stood. One that was revoked is not asked for again
/// without the person's knowledge.
fn may_ask(error: &client::Error) -> bool {
    use access::Error as A;
    match error {
        client::Error::NoGrant { .. } => true,
        client::Error::GrantRefused { source, .. } => !matches!(
            **source,
            A::Revoked { .. } | A::OtherHolder { .. } | A::Incomplete { .. } | A::PolicyMiscited { .. }
        ),
        _ => false,
    }
}

/// Asks for what anybody is given. An agreement, or uses to choose from, are for people to read first.
fn ask(
    home: &Home,
    (vault, rules): (&Vault, &RulesInForce),
    stage: &Stage,
    output: Output,
) -> anyhow::Result<()> {
    if stage.agreement.is_some() || !stage.uses.is_empty() {
        return Ok(());
    }
    let signatory = Signatory::of(home, output)?;
    let request = Request {
        checkpoint: rules.checkpoint.clone(),
        purpose: "Use of a public checkpoint".parse()?,
        uses: std::collections::BTreeSet::new(),
        days: stage.limits.max_days.map_or(DAYS, |max| max.min(DAYS)),
        agreement: None,
        renews: None,
        card: signatory.card().clone(),
        members: Vec::new(),
        created: Timestamp::now(),
    };
    let subject = Subject { name: rules.checkpoint.to_string(), digest: rules.manifest };
    let request = Statement::new(rules.catalogue, subject, request);
    // A public stage is for anyone: nobody need be confirmed.
    let nobody = Affiliations::default();
    let drafted =
        access::draft_answers(&request, Sha256Digest::compute(b""), rules, &nobody, Timestamp::now());
    if drafted.is_err() {
        return Ok(());
    }
    output.note(format_args!("note: {} is public: asking the registry for it", rules.checkpoint));
    let mut papers = Papers::to(format!("ask for {}", rules.checkpoint)).in_own_words();
    papers.add::<Request>(request.to_envelope()?)?;
    let request = signatory.sign_one(papers, &Consent::default())?;
    registry::statements(home, output)?.put("request", &request, &signatory.key())?;
    pull::collect(home, vault, output).map(drop)
}
