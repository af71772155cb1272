//! Attacks on who may approve: one person in two seats, junk that crowds out approvals, grants that outlive a denial or come back with an
//! old policy, and organizations that are nobody's word but one's own.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::access::{
    Affiliations, Contacts, Grant, Request, RulesInForce, draft_grants, verify_grant, verify_request,
};
use portcullis::digest::Sha256Digest;
use portcullis::identity::{Identity, VerifyingKey};
use portcullis::policy::{Board, Boards, PersonKey, Policy, check};
use portcullis::statement::{CatalogueId, Envelope, Quorum, Statement, Subject, Verified};
use portcullis::time::Timestamp;

use crate::support::served::{Database, Served};

pub(super) const POLICY: &str = r#"
schema = 1
checkpoint = "tiny"
version = 4
expires = 2036-06-30T00:00:00Z

[[stage]]
name = "partners"
audience.organizations = ["University"]
approvals = { board = 2, ethics = 1 }
agreement = "agreement.md"
uses = ["detection"]
max_days = 90
usage = "sealed"
lease_hours = 24
"#;

pub(super) fn now() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

pub(super) fn person(seed: u8, name: &str, organization: &str) -> Identity {
    let (name, organization) = (name.parse().unwrap(), Some(organization.parse().unwrap()));
    Identity::new(name, organization, &[seed; 32], &[seed ^ 0x80; 32], now())
}

pub(super) fn member(seed: u8) -> Identity {
    person(seed, "A member", "Lab")
}

pub(super) fn rosa() -> Identity {
    person(50, "Rosa", "University")
}

fn key(identity: &Identity) -> VerifyingKey {
    identity.card().verifying_key
}

fn catalogue() -> CatalogueId {
    CatalogueId::new(Sha256Digest::compute(b"1.root.json"))
}

pub(super) fn quorum(name: &str, members: &[u8], threshold: usize) -> Quorum {
    let quorum = Quorum::new(name, members.iter().map(|seed| key(&member(*seed))), threshold).unwrap();
    quorum.with_catalogue(catalogue())
}

/// The rules of a policy with a board of these members, two of whom must sign, and a board for ethics.
pub(super) fn rules(policy: &str, board: &[u8], ethics: &[u8]) -> RulesInForce {
    let board = quorum("the board of tiny", board, 2);
    let ethics = quorum("the board of ethics", ethics, 1);
    RulesInForce {
        catalogue: catalogue(),
        checkpoint: "tiny".parse().unwrap(),
        manifest: Sha256Digest::compute(b"the sealed manifest"),
        policy: Policy::parse(policy).unwrap(),
        policy_digest: Sha256Digest::compute(policy.as_bytes()),
        stage: "partners".parse().unwrap(),
        stage_digest: Sha256Digest::compute(b"the stage"),
        auditors: None,
        agreement: Some(Sha256Digest::compute(b"the agreement")),
        boards: BTreeMap::from([
            ("board".parse().unwrap(), board.clone()),
            ("ethics".parse().unwrap(), ethics),
        ]),
        board,
        registry: Quorum::from_key("the registry", key(&member(60))).with_catalogue(catalogue()),
        organizations: Default::default(),
        registrar_names: Default::default(),
        contacts: Contacts::default(),
    }
}

pub(super) fn request(by: &Identity, rules: &RulesInForce) -> Verified<Statement<Request>> {
    let request = Request {
        checkpoint: rules.checkpoint.clone(),
        purpose: "find out how well detectors do".parse().unwrap(),
        uses: BTreeSet::from(["detection".parse().unwrap()]),
        days: 90,
        agreement: rules.agreement,
        renews: None,
        card: by.card().clone(),
        members: Vec::new(),
        created: now(),
    };
    let subject = Subject { name: rules.checkpoint.to_string(), digest: rules.manifest };
    let envelope = Statement::new(catalogue(), subject, request).sign(&*by.signer(None).unwrap()).unwrap();
    verify_request(&envelope, catalogue()).unwrap()
}

pub(super) fn signed(grant: &Statement<Grant>, by: &[u8]) -> Envelope {
    let mut envelope = grant.to_envelope().unwrap();
    for seed in by {
        envelope.sign(&*member(*seed).signer(None).unwrap()).unwrap();
    }
    envelope
}

pub(super) fn verdict(envelope: &Envelope, rules: &RulesInForce) -> String {
    match verify_grant(envelope, rules, &[], &Affiliations::default(), now()) {
        Ok(_) => "it counts".to_owned(),
        Err(error) => error.to_string(),
    }
}

#[test]
fn one_person_in_the_seats_of_two_boards() {
    // 1 sits on both boards: with 2 there are two people for three seats, however they are counted.
    let rules = rules(POLICY, &[1, 2, 3], &[1, 9]);
    let draft =
        draft_grants(&request(&rosa(), &rules), &rules, &Affiliations::default(), now()).unwrap().remove(0);
    let by = |members: &[u8]| verdict(&signed(&draft, members), &rules);
    insta::assert_snapshot!([by(&[1, 2]), by(&[1, 2, 3]), by(&[1, 2, 9]), by(&[2, 3])].join("\n"), @"
    the policy does not permit it yet: 0 of 1 approvals of ethics; 1 more of its members approved and counts for another board: one person, one seat
    it counts
    it counts
    the policy does not permit it yet: 0 of 1 approvals of ethics
    ");
    // The policy asks for ethics alone, and two of the own board sign: still three seats.
    let ethics_alone = POLICY.replace("board = 2, ethics = 1", "ethics = 1");
    let rules = self::rules(&ethics_alone, &[1, 2, 3], &[1, 9]);
    let draft =
        draft_grants(&request(&rosa(), &rules), &rules, &Affiliations::default(), now()).unwrap().remove(0);
    let by = |members: &[u8]| verdict(&signed(&draft, members), &rules);
    insta::assert_snapshot!([by(&[1, 2]), by(&[1, 2, 3])].join("\n"), @"
    the policy does not permit it yet: 0 of 1 approvals of ethics; 1 more of its members approved and counts for another board: one person, one seat
    it counts
    ");
}

#[test]
fn boards_that_share_so_many_members_that_nobody_is_granted_anything() {
    let policy = Policy::parse(POLICY).unwrap();
    let people = |seeds: &[u8]| seeds.iter().map(|seed| PersonKey::from_bytes([*seed; 32])).collect();
    let board = |seeds: &[u8], threshold| Board::Members { people: people(seeds), threshold };
    let findings = |own: Board, ethics: Board| {
        let boards: Boards =
            [("board".parse().unwrap(), own), ("ethics".parse().unwrap(), ethics)].into_iter().collect();
        let found = check(&policy, &boards, now());
        let line = |finding: &portcullis::policy::Finding| {
            format!("{}: {}\n  next: {}", finding.severity.as_str(), finding.words, finding.remedy)
        };
        found.iter().map(line).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(findings(board(&[1, 2, 3], 2), board(&[8, 9], 1)), "", "no overlap");
    insta::assert_snapshot!([
        findings(board(&[1, 2], 2), board(&[1, 2], 1)),
        findings(board(&[1, 2, 3], 2), board(&[3], 1)),
        findings(board(&[1, 2, 3], 3), board(&[9], 1)),
    ].join("\n"), @"
    error: 3 different people must approve, and of these boards' 2 only 2 can: 2 sit on several, and one person counts for one board
      next: ask for fewer, or appoint people who sit on one board only
    warning: 3 different people must approve, and 1 sits on several of these boards: where one of the 3 who cannot be spared is away, nobody is granted anything
      next: appoint more people who sit on one board only
    warning: 2 of board must approve by the policy and 3 by the catalogue's threshold: the threshold binds
      next: write `board = 3`, or rotate the board to another threshold
    ");
}

/// A registry whose policy asks a board for ethics, which is eve, beside the checkpoint's own.
fn with_ethics() -> Served {
    let served = Served::released(Database::Sqlite, "partners");
    served.scene.found_board("ethics", "eve", &["ada", "ben"]);
    let both = crate::support::people::POLICY
        .replace("approvals = { board = 2 }", "approvals = { board = 2, ethics = 1 }")
        .replace("version = 1", "version = 2");
    served.propose(&both, "partners");
    served
}

#[test]
fn a_request_that_a_board_denied_is_approved_all_the_same() {
    let served = with_ethics();
    let scene = &served.scene;
    let request = scene.request();
    scene.succeed("ada", &format!("approve {request}"));
    // Who must approve may refuse, and one refusal is enough.
    scene.succeed("eve", &format!("deny {request} --reason Unclear"));
    let said = scene.refuse("ben", &format!("approve {request}"));
    insta::assert_snapshot!(said, @"
    exit 3
    error: eve denied the request of rosa on <date>: Unclear
      next: a denial ends a request, so rosa has to ask again: `portcullis request new tiny --renew <digits>`
    ");
    // A program that says nothing of it is refused by the registry.
    let page = served.get_as("ada", &format!("/v1/statements?kind=request&prefix={request}")).json();
    let whole: Sha256Digest = page["statements"][0]["digest"].as_str().unwrap().parse().unwrap();
    let grants = served.get_as("ada", &format!("/v1/statements?kind=grant&about={whole}")).json();
    let mut grant: Envelope = serde_json::from_value(grants["statements"][0]["envelope"].clone()).unwrap();
    grant.sign(&*scene.identity("ben").signer(None).unwrap()).unwrap();
    let refused = served.post("/v1/statements", &grant.to_json());
    assert!(refused.text.contains("is denied already"), "{}", refused.text);
    assert!(scene.succeed("rosa", &format!("request show {request}")).starts_with("denied"));
}

#[test]
fn a_member_of_no_board_that_decides_denies() {
    let served = with_ethics();
    let request = served.scene.request();
    let said = served.scene.refuse("august", &format!("deny {request} --reason No"));
    assert!(said.contains("you are on no board that decides on tiny"), "{said}");
}

#[test]
fn junk_on_ones_own_copy_crowds_out_the_others_signatures() {
    let rules = rules(POLICY, &[1, 2, 3], &[4]);
    let grant =
        draft_grants(&request(&rosa(), &rules), &rules, &Affiliations::default(), now()).unwrap().remove(0);
    let junk: Vec<u8> = (100..163).collect();
    let own = signed(&grant, &[&junk[..], &[1]].concat());
    assert_eq!(own.signatures().len(), 64);
    let mut kept = own.with_signatures_by(&rules.deciders());
    assert_eq!(kept.signatures().len(), 1);
    kept.merge(&signed(&grant, &[2]).with_signatures_by(&rules.deciders())).unwrap();
    assert_eq!(kept.signers(&rules.board).len(), 2);
}

#[test]
fn a_policy_of_before_comes_back_and_revives_the_grants_under_it() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    served.granted();
    let next = crate::support::people::POLICY
        .replace("max_days = 90", "max_days = 60")
        .replace("version = 1", "version = 2");
    served.propose(&next, "partners");
    scene.write("old.toml", crate::support::people::POLICY);
    let said =
        scene.refuse("ada", &format!("catalogue propose {} --policy old.toml", crate::support::people::ID));
    insta::assert_snapshot!(said, @"
    exit 2
    error: the policy of tiny is version 1, and version 2 is in force: versions only rise
      next: raise `version` in the policy
    ");
}
