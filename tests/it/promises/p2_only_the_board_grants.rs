//! P2, only the board grants: a grant counts when a threshold of distinct public keys of that checkpoint's board signed the same
//! bytes, the policy in force permits it, and it is neither expired nor revoked. One test for each way in which it does not.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::access::{
    Affiliations, ApprovalShare, Contacts, Grant, Lease, Request, Revocation, RulesInForce, draft_grants,
    lease_context, verify_grant, verify_lease, verify_request,
};
use portcullis::digest::Sha256Digest;
use portcullis::identity::{Card, Identity, Signer};
use portcullis::policy::Policy;
use portcullis::seal::{Purpose, seal_to};
use portcullis::statement::{CatalogueId, Envelope, IN_TOTO, Quorum, Statement, Subject, Verified};
use portcullis::time::Timestamp;

const POLICY: &str = r#"
schema = 1
checkpoint = "gpt2-1.5b"
version = 4
expires = 2027-06-30T00:00:00Z

[[stage]]
name = "internal"
audience.organizations = ["Board"]
approvals = { board = 2 }
uses = ["detection"]
max_days = 30
agreement = "agreement.md"
usage = "digest"
lease_hours = 24

[[stage]]
name = "partners"
audience.organizations = ["Example University", "Board"]
approvals = { board = 2 }
agreement = "agreement.md"
uses = ["detection", "bias-analysis"]
max_days = 180
usage = "sealed"
lease_hours = 24
[stage.requires]
soak_days = 30
"#;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn now() -> Timestamp {
    at("2026-11-23T12:00:00Z")
}

fn person(seed: u8, name: &str, organization: &str) -> Identity {
    let (name, organization) = (name.parse().unwrap(), Some(organization.parse().unwrap()));
    Identity::new(name, organization, &[seed; 32], &[seed ^ 0x80; 32], at("2026-01-01T00:00:00Z"))
}

fn member(seed: u8) -> Identity {
    person(seed, "A member", "Board")
}

fn researcher() -> Identity {
    person(50, "Rosa", "Example University")
}

fn registry() -> Identity {
    person(60, "Registry", "Board")
}

fn signer(identity: &Identity) -> Box<dyn Signer> {
    identity.signer(None).unwrap()
}

fn key(identity: &Identity) -> portcullis::identity::VerifyingKey {
    identity.card().verifying_key
}

fn catalogue() -> CatalogueId {
    CatalogueId::new(Sha256Digest::compute(b"1.root.json"))
}

fn agreement() -> Sha256Digest {
    Sha256Digest::compute(b"the agreement")
}

fn rules_with(policy: &str, members: &[u8]) -> RulesInForce {
    let keys = members.iter().map(|seed| key(&member(*seed)));
    let board = Quorum::new("the board of gpt2-1.5b", keys, 2).unwrap().with_catalogue(catalogue());
    RulesInForce {
        catalogue: catalogue(),
        checkpoint: "gpt2-1.5b".parse().unwrap(),
        manifest: Sha256Digest::compute(b"the sealed manifest"),
        policy: Policy::parse(policy).unwrap(),
        policy_digest: Sha256Digest::compute(policy.as_bytes()),
        stage: "partners".parse().unwrap(),
        stage_digest: Sha256Digest::compute(b"the stage"),
        auditors: None,
        agreement: Some(agreement()),
        boards: BTreeMap::from([("board".parse().unwrap(), board.clone())]),
        board,
        registry: Quorum::from_key("the registry", key(&registry())).with_catalogue(catalogue()),
        organizations: Default::default(),
        registrar_names: Default::default(),
        contacts: Contacts::default(),
    }
}

fn rules() -> RulesInForce {
    rules_with(POLICY, &[1, 2, 3])
}

fn request_by(identity: &Identity, card: Card) -> Envelope {
    let request = Request {
        checkpoint: "gpt2-1.5b".parse().unwrap(),
        purpose: "find out how well detectors do".parse().unwrap(),
        uses: BTreeSet::from(["detection".parse().unwrap()]),
        days: 90,
        agreement: Some(agreement()),
        renews: None,
        card,
        members: Vec::new(),
        created: now(),
    };
    let subject = Subject { name: "gpt2-1.5b".to_owned(), digest: rules().manifest };
    Statement::new(catalogue(), subject, request).sign(&*signer(identity)).unwrap()
}

fn request() -> Verified<Statement<Request>> {
    let researcher = researcher();
    verify_request(&request_by(&researcher, researcher.card().clone()), catalogue()).unwrap()
}

fn draft() -> Statement<Grant> {
    draft_grants(&request(), &rules(), &Affiliations::default(), now()).unwrap().remove(0)
}

fn signed(grant: &Statement<Grant>, by: &[&Identity]) -> Envelope {
    let mut envelope = grant.to_envelope().unwrap();
    for identity in by {
        envelope.sign(&*signer(identity)).unwrap();
    }
    envelope
}

fn standing() -> Envelope {
    signed(&draft(), &[&member(1), &member(2)])
}

fn refusal(envelope: &Envelope, rules: &RulesInForce, now: Timestamp) -> String {
    verify_grant(envelope, rules, &[], &Affiliations::default(), now).unwrap_err().to_string()
}

#[test]
fn p2_a_grant_of_two_members_counts() {
    let grant = verify_grant(&standing(), &rules(), &[], &Affiliations::default(), now()).unwrap();
    assert_eq!(grant.signers().len(), 2);
    assert_eq!(grant.predicate.expires, now().plus_days(90));
}

#[test]
fn p2_one_member_is_not_enough() {
    let envelope = signed(&draft(), &[&member(1)]);
    insta::assert_snapshot!(refusal(&envelope, &rules(), now()), @"the board of gpt2-1.5b must sign with 2 distinct keys; 1 of its keys signed");
}

#[test]
fn p2_one_key_under_two_key_ids_is_one_signer() {
    // The same signature twice, the second time under an id of the forger's making.
    let envelope = signed(&draft(), &[&member(1)]);
    let mut json: serde_json::Value = serde_json::from_str(&envelope.to_json()).unwrap();
    let mut copy = json["signatures"][0].clone();
    copy["keyid"] = key(&member(2)).id().to_string().into();
    json["signatures"].as_array_mut().unwrap().push(copy.clone());
    copy["keyid"] = "another".into();
    json["signatures"].as_array_mut().unwrap().push(copy);
    let envelope = Envelope::parse(json.to_string().as_bytes()).unwrap();
    assert_eq!(envelope.signatures().len(), 3);
    insta::assert_snapshot!(refusal(&envelope, &rules(), now()), @"the board of gpt2-1.5b must sign with 2 distinct keys; 1 of its keys signed");
}

#[test]
fn p2_right_signatures_of_another_board_do_not_count() {
    let envelope = signed(&draft(), &[&member(7), &member(8), &member(9)]);
    insta::assert_snapshot!(refusal(&envelope, &rules(), now()), @"the board of gpt2-1.5b must sign with 2 distinct keys; 0 of its keys signed");
}

#[test]
fn p2_signatures_over_another_payload_type_do_not_count() {
    let mut other =
        Envelope::new("application/vnd.other+json", draft().to_envelope().unwrap().payload().to_vec());
    other.sign(&*signer(&member(1))).unwrap();
    other.sign(&*signer(&member(2))).unwrap();
    let under_other_type = refusal(&other, &rules(), now());
    // The same signatures moved to an envelope that says in-toto.
    let mut json: serde_json::Value = serde_json::from_str(&other.to_json()).unwrap();
    json["payloadType"] = IN_TOTO.into();
    let moved = Envelope::parse(json.to_string().as_bytes()).unwrap();
    insta::assert_snapshot!([under_other_type, refusal(&moved, &rules(), now())].join("\n"), @"
    the payload type is `application/vnd.other+json`, not `application/vnd.in-toto+json`
    the board of gpt2-1.5b must sign with 2 distinct keys; 0 of its keys signed
    ");
}

#[test]
fn p2_a_statement_of_another_kind_is_no_grant() {
    let request = request_by(&member(1), member(1).card().clone());
    insta::assert_snapshot!(refusal(&request, &rules(), now()), @"this is a request, not a grant");
}

#[test]
fn p2_a_grant_of_the_same_board_in_another_catalogue_does_not_count() {
    let other = CatalogueId::new(Sha256Digest::compute(b"another 1.root.json"));
    let mut rules = rules();
    rules.catalogue = other;
    rules.board = rules.board.with_catalogue(other);
    insta::assert_snapshot!(refusal(&standing(), &rules, now()), @"the grant is for the catalogue f9f0a87fe19b57ea21dfe415d0315c317b639c785019cb5c5ced307e84e609b5; this is the catalogue 571967b534cb138654d96e62eba30ba43bdd36158eb262f9614030affd637673");
}

#[test]
fn p2_an_expired_grant_does_not_count() {
    let last = draft().predicate.expires.plus_seconds(-1);
    assert!(verify_grant(&standing(), &rules(), &[], &Affiliations::default(), last).is_ok());
    insta::assert_snapshot!(refusal(&standing(), &rules(), draft().predicate.expires), @"the grant expired at 2027-02-21T12:00:00Z");
}

#[test]
fn p2_a_revoked_grant_does_not_count() {
    let revoke = |by: &Identity, grant: Sha256Digest| {
        let revocation =
            Revocation { grant, reason: "the laptop was stolen".parse().unwrap(), created: now() };
        let subject = Subject { name: "gpt2-1.5b".to_owned(), digest: rules().manifest };
        Statement::new(catalogue(), subject, revocation).sign(&*signer(by)).unwrap()
    };
    let grant = standing();
    // Neither a stranger's revocation nor one of another grant ends it.
    let worthless =
        [revoke(&researcher(), grant.digest()), revoke(&member(1), Sha256Digest::compute(b"another"))];
    assert!(verify_grant(&grant, &rules(), &worthless, &Affiliations::default(), now()).is_ok());
    let by_one_member = [revoke(&member(3), grant.digest())];
    let error = verify_grant(&grant, &rules(), &by_one_member, &Affiliations::default(), now()).unwrap_err();
    insta::assert_snapshot!(error, @"the grant was revoked on 2026-11-23T12:00:00Z: the laptop was stolen");
}

#[test]
fn p2_a_policy_replaced_since_ends_a_grant() {
    let replaced = rules_with(&POLICY.replace("version = 4", "version = 5"), &[1, 2, 3]);
    insta::assert_snapshot!(refusal(&standing(), &replaced, now()), @"the policy was replaced since: version 5 is in force, and a change of policy ends every grant made before it");
}

#[test]
fn p2_a_policy_that_does_not_permit_it_refuses_what_the_board_signed() {
    let mut grant = draft();
    grant.predicate.expires = now().plus_days(181);
    grant.predicate.uses.insert("sale".parse().unwrap());
    let envelope = signed(&grant, &[&member(1), &member(2)]);
    insta::assert_snapshot!(refusal(&envelope, &rules(), now()), @"the policy does not permit it: not open here: sale; open: bias-analysis, detection; 181 days are asked for, and at most 180 may be");
}

#[test]
fn p2_a_stage_moved_back_ends_a_grant() {
    let mut back = rules();
    back.stage = "internal".parse().unwrap();
    insta::assert_snapshot!(refusal(&standing(), &back, now()), @"it is of stage `partners`, and the checkpoint is in stage `internal`, before that");
}

#[test]
fn p2_a_grant_for_another_manifest_does_not_count() {
    let mut grant = draft();
    grant.subject.digest = Sha256Digest::compute(b"other weights");
    let envelope = signed(&grant, &[&member(1), &member(2)]);
    insta::assert_snapshot!(refusal(&envelope, &rules(), now()), @"it is for the manifest 53959fa102f31e51d8d1ee12fe89c2fd7cd556dbaf2c6102046d195a504850a0; the catalogue's is bed63aab856920ba12f061540262bf2659069a97ee27e34006acd160ea197952");
}

#[test]
fn p2_a_grant_for_another_checkpoint_does_not_count() {
    let mut other = rules();
    other.checkpoint = "gpt2-774m".parse().unwrap();
    insta::assert_snapshot!(refusal(&standing(), &other, now()), @"it is for gpt2-1.5b, not for gpt2-774m");
}

#[test]
fn p2_approvals_of_a_rotated_out_member_do_not_count() {
    let rotated = rules_with(POLICY, &[1, 3, 4]);
    insta::assert_snapshot!(refusal(&standing(), &rotated, now()), @"the board of gpt2-1.5b must sign with 2 distinct keys; 1 of its keys signed");
}

#[test]
fn p2_a_clock_before_the_issue_time_is_refused() {
    let tolerated = now().plus_seconds(-portcullis::access::CLOCK_TOLERANCE);
    assert!(verify_grant(&standing(), &rules(), &[], &Affiliations::default(), tolerated).is_ok());
    insta::assert_snapshot!(refusal(&standing(), &rules(), at("2026-11-23T11:00:00Z")), @"the grant was issued at 2026-11-23T12:00:00Z, and the clock here says 2026-11-23T11:00:00Z");
}

#[test]
fn p2_a_swapped_researcher_key_is_noticed() {
    // In the request: the card's sealing key is the thief's, the signature the researcher's over the old card.
    let (rosa, thief) = (researcher(), person(51, "Rosa", "Example University"));
    let honest = request_by(&rosa, rosa.card().clone());
    let json = String::from_utf8(honest.payload().to_vec()).unwrap();
    let (old, new) = (rosa.card().sealing_key.to_string(), thief.card().sealing_key.to_string());
    let mut forged = Envelope::new(IN_TOTO, json.replace(&old, &new).into_bytes());
    forged.sign(&*signer(&thief)).unwrap();
    let in_the_request = verify_request(&forged, catalogue()).unwrap_err().to_string();
    // In the grant: what one member signed differs from what the other did.
    let mut grant = draft();
    let one = signed(&grant, &[&member(1)]);
    grant.predicate.researcher.sealing_key = thief.card().sealing_key;
    let mut other = signed(&grant, &[&member(2)]);
    let in_the_grant = other.merge(&one).unwrap_err().to_string();
    insta::assert_snapshot!([in_the_request, in_the_grant, refusal(&other, &rules(), now())].join("\n"), @"
    the author of the request, Rosa, must sign; the signature is missing
    cannot merge signatures of a different payload
    the board of gpt2-1.5b must sign with 2 distinct keys; 1 of its keys signed
    ");
}

#[test]
fn p2_nobody_approves_their_own_request() {
    let asking = person(1, "A member", "Example University");
    let request = verify_request(&request_by(&asking, asking.card().clone()), catalogue()).unwrap();
    let grant = draft_grants(&request, &rules(), &Affiliations::default(), now()).unwrap().remove(0);
    let with_own = signed(&grant, &[&member(1), &member(2)]);
    insta::assert_snapshot!(refusal(&with_own, &rules(), now()), @"the board of gpt2-1.5b must sign with 2 distinct keys; 1 of its keys signed");
    assert!(
        verify_grant(
            &signed(&grant, &[&member(2), &member(3)]),
            &rules(),
            &[],
            &Affiliations::default(),
            now()
        )
        .is_ok()
    );
}

#[test]
fn p2_the_registry_grants_nothing_where_the_board_must() {
    let envelope = signed(&draft(), &[&registry()]);
    insta::assert_snapshot!(refusal(&envelope, &rules(), now()), @"the board of gpt2-1.5b must sign with 2 distinct keys; 0 of its keys signed");
}

#[test]
fn p2_a_bit_flipped_anywhere_in_a_grant_is_refused() {
    let envelope = standing();
    let json = envelope.to_json();
    for (position, bit) in (0..json.len()).flat_map(|position| [(position, 0), (position, 3), (position, 6)])
    {
        let mut bytes = json.clone().into_bytes();
        bytes[position] ^= 1 << bit;
        let Ok(altered) = Envelope::parse(&bytes) else { continue };
        // A key id is a hint that nobody signs, and spaces mean nothing; whatever counts, says the same.
        if let Ok(grant) = verify_grant(&altered, &rules(), &[], &Affiliations::default(), now()) {
            assert_eq!(*grant, draft(), "bit {bit} of byte {position}");
            assert_eq!(altered.payload(), envelope.payload());
        }
    }
}

fn lease_of(grant: &Verified<Statement<Grant>>, by: &Identity, hours: u32) -> Envelope {
    let (issued, expires) = (now(), now().plus_hours(hours));
    let context = lease_context(grant.digest(), issued, expires);
    let sealing_key = researcher().card().sealing_key;
    let registry_key =
        seal_to(&sealing_key, Purpose::LEASE, context.as_bytes(), &[9; 32], &mut rand::rng()).unwrap();
    let lease = Lease { grant: grant.digest(), issued, expires, registry_key, journal: None };
    let subject = Subject { name: "gpt2-1.5b".to_owned(), digest: rules().manifest };
    Statement::new(catalogue(), subject, lease).sign(&*signer(by)).unwrap()
}

#[test]
fn a_lease_is_the_registrys_for_one_grant_and_its_hours() {
    let grant = verify_grant(&standing(), &rules(), &[], &Affiliations::default(), now()).unwrap();
    let rules = rules();
    let check = |lease: &Envelope, now| verify_lease(lease, &grant, &rules, now);
    let lease = lease_of(&grant, &registry(), 24);
    assert!(check(&lease, now()).is_ok());
    let other = signed(
        &draft_grants(&request(), &rules, &Affiliations::default(), now().plus_seconds(1)).unwrap().remove(0),
        &[&member(1), &member(2)],
    );
    let other = verify_grant(&other, &rules, &[], &Affiliations::default(), now()).unwrap();
    insta::assert_snapshot!([
        check(&lease, now().plus_hours(24)).unwrap_err(),
        check(&lease, now().plus_seconds(-3600)).unwrap_err(),
        check(&lease_of(&grant, &registry(), 25), now()).unwrap_err(),
        check(&lease_of(&grant, &member(1), 24), now()).unwrap_err(),
        check(&lease_of(&other, &registry(), 24), now()).unwrap_err(),
    ].map(|error| error.to_string()).join("\n"), @"
    the lease expired at 2026-11-24T12:00:00Z
    the lease was issued at 2026-11-23T12:00:00Z, and the clock here says 2026-11-23T11:00:00Z
    the lease runs until 2026-11-24T13:00:00Z, longer than the grant or the policy's 24 hours allow
    the registry must sign; the signature is missing
    it belongs to the grant 0f54b280d7c26271ca1e8d14dedc5d4765c7829e5d2125de7be87bb486cbbc36, not 2bff0f20828bd36d95ffa130dc4f8affe40dbc0eafc0b61d1d844d1b062628c2
    ");
    let json = lease.to_json();
    for position in 0..json.len() {
        let mut bytes = json.clone().into_bytes();
        bytes[position] ^= 1;
        let altered = Envelope::parse(&bytes).ok();
        let verified = altered.and_then(|altered| check(&altered, now()).ok());
        assert!(verified.is_none_or(|verified| verified.digest() == lease.digest()), "byte {position}");
    }
}

#[test]
fn a_share_counts_for_its_grant_only() {
    // That a share is its owner's is in p1_two_locks; here, that its statement is not taken for another's.
    let kind = |envelope: &Envelope| envelope.claim::<ApprovalShare>().unwrap_err().to_string();
    insta::assert_snapshot!(kind(&standing()), @"this is a grant, not a share");
}
