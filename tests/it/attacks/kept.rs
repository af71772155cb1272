//! Attacks by way of a change of policy: grants that outlive what a policy permits, that cite what they were not made under, and that come
//! back after they ended.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::access::{Affiliations, Grant, RulesInForce, draft_grants};
use portcullis::catalogue::{CheckpointFile, Proposer, Repository, Subject};
use portcullis::digest::Sha256Digest;
use portcullis::statement::{Envelope, Statement};
use portcullis::store::Store;
use portcullis::time::Timestamp;
use proptest::prelude::*;

use super::access::{POLICY, now, request, rosa, rules, signed, verdict};
use crate::support::people::{self, ID};
use crate::support::served::{Ask, Database, Served, ask};

/// The policy of another version with more edits, and which grants it keeps.
fn next(policy: &str, version: u32, keeps: Option<u32>, edits: &[(&str, &str)]) -> String {
    let keeps = keeps.map(|from| format!("\nkeeps_grants_from = {from}")).unwrap_or_default();
    let before = policy.lines().find(|line| line.starts_with("version = ")).unwrap();
    let text = policy.replacen(before, &format!("version = {version}{keeps}"), 1);
    edits.iter().fold(text, |text, (from, to)| {
        assert!(text.contains(from), "{from}");
        text.replace(from, to)
    })
}

fn rules_of(policy: &str) -> RulesInForce {
    rules(policy, &[1, 2, 3], &[9])
}

fn draft(rules: &RulesInForce) -> Statement<Grant> {
    draft_grants(&request(&rosa(), rules), rules, &Affiliations::default(), now()).unwrap().remove(0)
}

fn standing() -> Envelope {
    signed(&draft(&rules_of(POLICY)), &[1, 2, 9])
}

#[test]
fn a_grant_of_before_is_put_to_the_policy_in_force() {
    let under = |policy: &str| verdict(&standing(), &rules_of(policy));
    let kept = |edits: &[(&str, &str)]| under(&next(POLICY, 6, Some(4), edits));
    insta::assert_snapshot!([
        kept(&[]),
        kept(&[("\"University\"", "\"University\", \"Institute\"")]),
        kept(&[("max_days = 90", "max_days = 30"), ("\"detection\"", "\"bias-analysis\"")]),
        kept(&[("board = 2", "board = 3")]),
        kept(&[("\"University\"", "\"Institute\"")]),
        kept(&[("\"partners\"", "\"friends\"")]),
        kept(&[("approvals = { board = 2, ethics = 1 }", "approvals = {}")]),
        under(&next(POLICY, 6, Some(5), &[])),
        under(&next(POLICY, 6, None, &[])),
    ].join("\n"), @"
    it counts
    it counts
    the policy was replaced since: version 6 is in force, keeps the grants of before that it permits, and does not permit this one: uses: not open here: detection; open: bias-analysis; days: 90 days are asked for, and at most 30 may be
    the policy was replaced since: version 6 is in force, keeps the grants of before that it permits, and does not permit this one: approvals: 2 of 3 approvals of board
    the policy was replaced since: version 6 is in force, keeps the grants of before that it permits, and does not permit this one: audience: 'University' is not admitted, nor is the person named; admitted: 'Institute'
    the policy was replaced since: version 6 is in force, keeps the grants of before that it permits, and does not permit this one: stage-exists: the policy has no stage `partners`
    the policy was replaced since: version 6 is in force, keeps the grants of before that it permits, and does not permit this one: approvals: the registry must sign; the signature is missing
    the policy was replaced since: version 6 is in force and keeps grants made under version 5 or later, and this one was made under version 4
    the policy was replaced since: version 6 is in force, and a change of policy ends every grant made before it
    ");
}

#[test]
fn a_grant_that_cites_a_policy_that_it_was_not_made_under() {
    let cites = |version: Option<u32>, policy: &str, under: &str| {
        let mut grant = draft(&rules_of(POLICY));
        (grant.predicate.policy_version, grant.predicate.policy) =
            (version, Sha256Digest::compute(policy.as_bytes()));
        verdict(&signed(&grant, &[1, 2, 9]), &rules_of(under))
    };
    let keeps = next(POLICY, 6, Some(4), &[]);
    insta::assert_snapshot!([
        cites(Some(5), POLICY, POLICY),
        cites(Some(4), "another text", POLICY),
        cites(Some(7), &keeps, POLICY),
        cites(Some(6), POLICY, &keeps),
        // One of before versions were cited stands under its own policy and ends with it.
        cites(None, POLICY, POLICY),
        cites(None, POLICY, &keeps),
    ].join("\n"), @"
    it cites version 5 of the policy, and version 4 is in force here: the version and digest that it cites do not belong together, or the catalogue here is older
    it cites version 4 of the policy, and version 4 is in force here: the version and digest that it cites do not belong together, or the catalogue here is older
    it cites version 7 of the policy, and version 4 is in force here: the version and digest that it cites do not belong together, or the catalogue here is older
    it cites version 6 of the policy, and version 6 is in force here: the version and digest that it cites do not belong together, or the catalogue here is older
    it counts
    the policy was replaced since: version 6 is in force and keeps grants made under version 4 or later, and this one names no version
    ");
}

proptest! {
    /// Whatever a policy keeps, it would grant anew: to the same person, for the same uses and days, by the same approvals.
    #[test]
    fn a_kept_grant_is_never_permitted_where_the_same_would_be_refused_now(
        days in prop::sample::select(vec![30, 89, 90, 180]),
        uses in prop::sample::select(vec!["\"detection\"", "\"bias-analysis\"", "\"detection\", \"bias-analysis\""]),
        audience in prop::sample::select(vec!["\"University\"", "\"Institute\"", "\"Institute\", \"University\""]),
        approvals in prop::sample::select(vec!["board = 2, ethics = 1", "board = 3", "ethics = 1", "board = 1", ""]),
        agreed in any::<bool>(), stage in prop::sample::select(vec!["partners", "friends"]),
        signers in prop::collection::btree_set(prop::sample::select(vec![1u8, 2, 3, 4, 9]), 0..5),
    ) {
        let policy = next(POLICY, 5, Some(4), &[
            ("max_days = 90", &format!("max_days = {days}")), ("\"detection\"", uses), ("\"University\"", audience),
            ("board = 2, ethics = 1", approvals), ("\"partners\"", &format!("\"{stage}\"")),
        ]);
        let mut in_force = rules_of(&policy);
        in_force.stage = stage.parse().unwrap();
        if !agreed {
            in_force.agreement = Some(Sha256Digest::compute(b"another agreement"));
        }
        let signers: Vec<u8> = signers.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        let made = draft(&rules_of(POLICY));
        if verdict(&signed(&made, &signers), &in_force) == "it counts" {
            let mut fresh = made.clone();
            (fresh.predicate.policy, fresh.predicate.policy_version) = (in_force.policy_digest, Some(5));
            prop_assert_eq!(verdict(&signed(&fresh, &signers), &in_force), "it counts");
            prop_assert_eq!(stage, "partners");
            prop_assert!(agreed && days >= 90 && uses.contains("detection") && audience.contains("University"));
        }
    }
}

/// Proposes a policy as ada and has ben sign it.
fn change(served: &Served, policy: &str) {
    let scene = &served.scene;
    scene.write("next.toml", policy);
    scene.succeed("ada", &format!("catalogue propose {ID} --policy next.toml"));
    scene.sign_all("ben", "");
}

fn holds(served: &Served) {
    let verified = served.scene.succeed("august", "audit verify");
    assert!(verified.starts_with("the record holds"), "{verified}");
}

#[test]
fn a_kept_grant_goes_on_until_a_policy_does_not_permit_it() {
    for database in [Database::Sqlite, Database::Postgres] {
        insta::allow_duplicates! { goes_on(database) }
    }
}

fn goes_on(database: Database) {
    let served = Served::released(database, "partners");
    let scene = &served.scene;
    let (request, grant) = served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    let run = format!("run {ID} Hello --max-tokens 1");
    scene.succeed("rosa", &run);

    let wider = next(people::POLICY, 2, Some(1), &[("\"University\"", "\"University\", \"Institute\"")]);
    scene.write("wider.toml", &wider);
    insta::assert_snapshot!(scene.stable(&scene.succeed("ben", "policy simulate wider.toml --grants")), @"
    <digits>  rosa (key <digits>), stage partners, until <date>: kept: the draft keeps grants made under version 1 or later, and permits it
    of 1 grant for tiny: 1 kept, 0 ending
    ");
    scene.succeed("ada", &format!("catalogue propose {ID} --policy wider.toml"));
    let review = scene.succeed("ben", "catalogue review");
    assert!(
        review.contains("grants made under version 1 or later go on, if it permits them (differs)"),
        "{review}"
    );
    assert!(review.contains("keeps 1 grant, ends none"), "{review}");
    scene.sign_all("ben", "");
    scene.succeed("rosa", &format!("lease {ID}"));
    scene.succeed("rosa", &run);
    let whole = scene.json("rosa", &format!("grant show {grant}"))["digest"].as_str().unwrap().to_owned();
    assert_eq!(decision(&served, &whole)["counts"], true);
    assert!(scene.succeed("rosa", &format!("request show {request}")).starts_with("granted until "));
    let verified = scene.succeed("rosa", &format!("grant verify {grant}"));
    assert!(verified.contains("version 2, which keeps grants of version 1"), "{verified}");
    insta::assert_snapshot!(terms_of_policy(&scene.succeed("rosa", &format!("request new {ID} --terms"))), @"
    policy       version 2, which ends on 2036-01-01
    earlier      grants made under version 1 or later go on, if it permits them
    ");
    holds(&served);

    // It keeps what the one before kept, as far as it permits it.
    change(&served, &next(&wider, 3, None, &[("max_days = 90", "max_days = 10")]));
    insta::assert_snapshot!(scene.refuse("rosa", &format!("lease {ID}")), @"
    exit 3
    error: the grant <digits> for `tiny` does not count: the policy was replaced since: version 3 is in force, keeps the grants of before that it permits, and does not permit this one: days: 30 days are asked for, and at most 10 may be
      next: read the new terms, and ask again: `portcullis request new tiny --terms`, then `portcullis request new tiny --renew <digits>`
    ");
    insta::assert_snapshot!(scene.refuse("rosa", &run), @"
    exit 3
    error: the grant <digits> for `tiny` does not count: the policy was replaced since: version 3 is in force, keeps the grants of before that it permits, and does not permit this one: days: 30 days are asked for, and at most 10 may be
      next: read the new terms, and ask again: `portcullis request new tiny --terms`, then `portcullis request new tiny --renew <digits>`
    ");
    let shown = scene.succeed("rosa", &format!("request show {request}"));
    assert!(shown.starts_with("ended: the policy was replaced since"), "{shown}");
    // A program that asks the registry all the same is refused by the same rule.
    let decided = decision(&served, &whole);
    assert_eq!(decided["counts"], false, "{decided}");
    assert!(
        decided["refused"].as_str().unwrap().ends_with("days: 30 days are asked for, and at most 10 may be")
    );
    let bearer = Some(served.bearer("rosa"));
    let url = format!("{}/v1/grants/{whole}/lease", served.process.url);
    let answer = ask(&Ask { url, method: "POST", bearer, ..Ask::default() });
    assert!(answer.status >= 400, "{}", answer.text);
    holds(&served);
}

/// What the registry decides on a grant.
fn decision(served: &Served, grant: &str) -> serde_json::Value {
    served.get_as("rosa", &format!("/v1/grants/{grant}")).json()
}

/// The lines of the terms that are about the policy.
fn terms_of_policy(terms: &str) -> String {
    let about = |line: &&str| line.starts_with("  policy ") || line.starts_with("  earlier ");
    terms.lines().filter(about).map(|line| format!("{line}\n")).collect()
}

#[test]
fn a_later_policy_revives_what_an_earlier_change_ended() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let (_, grant) = served.granted();
    let refused = |policy: &str| {
        scene.write("next.toml", policy);
        scene.refuse("ada", &format!("catalogue propose {ID} --policy next.toml"))
    };
    let policy =
        |version, keeps, days: &str| next(people::POLICY, version, keeps, &[("max_days = 90", days)]);
    let ahead = refused(&policy(2, Some(3), "max_days = 90"));
    // It ends by what the second version permits, not by its number.
    change(&served, &policy(2, Some(1), "max_days = 10"));
    let revived = refused(&policy(3, Some(1), "max_days = 90"));
    change(&served, &policy(3, Some(2), "max_days = 90"));
    let not_kept = scene.refuse("rosa", &format!("lease {ID}"));
    let lowered = refused(&policy(4, Some(1), "max_days = 90"));
    // One that keeps nothing ends all, and the next keeps none of them.
    change(&served, &policy(4, None, "max_days = 90"));
    let lowered_again = refused(&policy(5, Some(2), "max_days = 90"));
    insta::assert_snapshot!([ahead, revived, not_kept, lowered, lowered_again].join("\n"), @"
    exit 4
    error: the policy cannot be used: line 4, column 21
      |
    4 | keeps_grants_from = 3
      |                     ^
    this is version 2, and version 3 comes after it: name an earlier version, or leave the line out
      next: correct that line; docs/policy.md tells the format

    exit 2
    error: the policy of tiny keeps grants made under version 1 or later, and permits more than version 2 did, which ended some of them (partners: at most 10 days instead of 90): a later policy revives none
      next: write the later of these versions at `keeps_grants_from`, or leave the line out: then every grant made before it ends

    exit 3
    error: the grant <digits> for `tiny` does not count: the policy was replaced since: version 3 is in force and keeps grants made under version 2 or later, and this one was made under version 1
      next: read the new terms, and ask again: `portcullis request new tiny --terms`, then `portcullis request new tiny --renew <digits>`

    exit 2
    error: the policy of tiny keeps grants made under version 1 or later, and those made before version 2 have ended: a later policy revives none
      next: write the later of these versions at `keeps_grants_from`, or leave the line out: then every grant made before it ends

    exit 2
    error: the policy of tiny keeps grants made under version 2 or later, and those made before version 4 have ended: a later policy revives none
      next: write the later of these versions at `keeps_grants_from`, or leave the line out: then every grant made before it ends
    ");
    insta::assert_snapshot!(scene.refuse("rosa", &format!("grant verify {grant}")), @"
    exit 3
    error: the policy was replaced since: version 4 is in force, and a change of policy ends every grant made before it
      next: read the new terms, and ask again: `portcullis request new tiny --terms`, then `portcullis request new tiny --renew <digits>`
    ");
    holds(&served);
}

#[test]
fn a_program_that_checks_nothing_hands_in_a_policy_that_revives_grants() {
    let served = Served::released(Database::Sqlite, "partners");
    let (scene, days) = (&served.scene, "max_days = 90");
    change(&served, &next(people::POLICY, 2, Some(1), &[(days, "max_days = 10")]));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let files = runtime.block_on(async {
        let store = Store::open(&served.database_url()).await.unwrap();
        store.catalogue_files().await.unwrap().files
    });
    let ada = scene.identity("ada").signer(None).unwrap();
    let subject = Subject::Board(ID.parse().unwrap());
    let hand_in = |place: &str, policy: String| {
        let place = scene.at(place);
        for (path, bytes) in &files {
            std::fs::create_dir_all(place.join(path).parent().unwrap()).unwrap();
            std::fs::write(place.join(path), bytes).unwrap();
        }
        let repository = Repository::new(&place);
        let policy = BTreeMap::from([(CheckpointFile::Policy, policy.into_bytes())]);
        let by = Proposer::new(ada.verifying_key());
        repository.propose(&ID.parse().unwrap(), &policy, Timestamp::now().plus_days(300), &by).unwrap();
        let proposed = repository.review().unwrap()[0].standing.digest;
        repository.sign(&*ada, &subject, proposed).unwrap();
        let body = Some(serde_json::to_string(&repository.parcel(&subject).unwrap()).unwrap());
        let url = format!("{}/v1/catalogue/proposals/{ID}", served.process.url);
        let answer =
            ask(&Ask { url, method: "POST", body, bearer: Some(served.bearer("ada")), ..Ask::default() });
        format!("{} {}", answer.status, answer.json()["detail"].as_str().unwrap_or("taken in"))
    };
    insta::assert_snapshot!([
        hand_in("revives", next(people::POLICY, 3, Some(1), &[])),
        hand_in("before", next(people::POLICY, 1, None, &[(days, "max_days = 20")])),
        hand_in("keeps", next(people::POLICY, 3, Some(2), &[])),
    ].join("\n"), @"
    400 the policy of tiny keeps grants made under version 1 or later, and permits more than version 2 did, which ended some of them (partners: at most 10 days instead of 90): a later policy revives none
    400 the policy of tiny is version 1, and version 2 is in force: versions only rise
    200 taken in
    ");
}

#[test]
fn an_operator_hides_an_earlier_policy_so_that_the_next_revives_its_grants() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    served.granted();
    let policy = |version, days: &str| next(people::POLICY, version, Some(1), &[("max_days = 90", days)]);
    change(&served, &policy(2, "max_days = 10"));
    change(&served, &policy(3, "max_days = 10"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let database = served.database_url();
    let put = |path: &str, bytes: Option<Vec<u8>>| {
        runtime.block_on(async {
            let store = Store::open(&database).await.unwrap();
            let version = store.catalogue_files().await.unwrap().version;
            let changes = BTreeMap::from([(path.to_owned(), bytes)]);
            assert!(store.replace_catalogue(version, &changes, &[]).await.unwrap());
        });
    };
    let first = people::POLICY.as_bytes();
    let path = format!("targets/{ID}/{}.policy.toml", Sha256Digest::compute(first));
    put(&path, None);
    change(&served, &policy(4, "max_days = 90"));
    put(&path, Some(first.to_vec()));
    let said = scene.run("august", "audit verify");
    let lines = crate::support::text(&said.stdout);
    let found: Vec<_> = lines.lines().filter(|line| line.trim_start().starts_with('!')).collect();
    insta::assert_snapshot!(scene.stable(&found.join("\n")), @"  ! entry 22: policy <digits>: the policy keeps grants made under version 1 or later, and permits more than version 2 did, which ended some of them (partners: at most 10 days instead of 90): a later policy revives none");
}
