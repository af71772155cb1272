//! What is over, and what never stood: revocations, denials and approvals that come too late, as everybody is told of them.

use portcullis::access::Revocation;
use portcullis::digest::Sha256Digest;
use portcullis::identity::Identity;
use portcullis::log::{Entry, EntryKind};
use portcullis::statement::{Envelope, Statement, Subject};
use portcullis::store::{Effect, Filed, Filing, RequestState, StatementRow, Store};
use portcullis::time::Timestamp;

use crate::support::people::{self, Scene};
use crate::support::served::{Database, Served};

#[test]
fn a_grant_that_lacks_an_approval_is_not_revoked_but_denied() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let request = scene.request();
    let grant = scene.approve("ada", &request);
    insta::assert_snapshot!(scene.refuse("cy", &format!("revoke {request} --reason Slip")), @"
    exit 3
    error: the grant <digits> does not stand yet: 1 of 2 approvals
      next: deny the request that it answers: `portcullis deny <digits> --reason <why>`
    ");
    // A program that asks all the same is refused by the registry, and so is a case about it.
    let envelope = revocation(&served, &grant, "cy");
    let refused = served.post("/v1/statements", &envelope.to_json());
    assert!(refused.text.contains("never had all the signatures"), "{}", refused.text);
    assert!(refused.text.contains(&format!("portcullis deny {request}")), "{}", refused.text);
    let said = scene.refuse_case("august", &grant);
    assert!(said.contains("must sign with 2 distinct keys; 1 of its keys signed"), "{said}");
    scene.succeed("cy", &format!("deny {request} --reason Slip"));
    insta::assert_snapshot!(scene.refuse("cy", &format!("revoke {grant} --reason Slip")), @"
    exit 3
    error: the grant <digits> does not stand yet: 1 of 2 approvals
      next: nothing is left to do: the request <digits> is denied
    ");
    let listed = scene.succeed("ada", "grant list");
    assert!(listed.contains("never stood: its request is denied: Slip"), "{listed}");
    let audited = scene.succeed("august", "audit verify");
    assert!(audited.starts_with("the record holds"), "{audited}");
}

#[test]
fn a_request_whose_grant_was_revoked_is_over_for_everybody() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let (request, grant) = served.granted();
    insta::assert_snapshot!(scene.stable(&scene.succeed("cy", &format!("revoke {grant} --reason Stolen"))), @"revoked the grant <digits> of rosa: no further lease is issued; one that runs ends within 24 hours");
    insta::assert_snapshot!(scene.refuse("ben", &format!("approve {request}")), @"
    exit 3
    error: the grant was revoked on <time>: Stolen (cy revoked <digits>)
      next: a revocation ends a request, so rosa has to ask again: `portcullis request new tiny --renew <digits>`
    ");
    // A program that says nothing of it is refused by the registry.
    let refused = served.post("/v1/statements", &also_signed(&served, &grant, "cy").to_json());
    assert!(refused.text.contains("is ended already"), "{}", refused.text);
    assert_eq!(scene.succeed("ada", "request list --pending"), "no requests\n");
    // Asked anew, it is approved as any other; times are kept in seconds.
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let again = format!("request new tiny --renew {request} --purpose Again --use detection --days 9");
    let again = scene.digits(&scene.json("rosa", &format!("{again} --accept-agreement"))["request"]);
    scene.approve("ada", &again);
    assert!(scene.succeed("ben", &format!("approve {again}")).contains("It stands"));
    assert!(scene.succeed("august", "audit verify").starts_with("the record holds"));
}

#[test]
fn a_draft_that_a_revocation_ended_is_drafted_anew() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let (_, first) = served.granted();
    let new = "request new tiny --purpose More --use detection --days 9 --accept-agreement";
    let request = scene.digits(&scene.json("rosa", new)["request"]);
    let half = scene.approve("ada", &request);
    scene.revoke("cy", &first, "Stolen");
    let refused = served.post("/v1/statements", &also_signed(&served, &half, "ben").to_json());
    assert!(refused.text.contains("cannot be approved any more: the grant was revoked"), "{}", refused.text);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_ne!(scene.approve("ben", &request), half);
    assert!(scene.succeed("ada", &format!("approve {request}")).contains("It stands"));
    assert!(scene.succeed("august", "audit verify").starts_with("the record holds"));
}

#[test]
fn a_record_of_before_with_a_grant_that_was_revoked_too_early_holds_and_says_so() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let request = scene.request();
    let grant = scene.approve("ada", &request);
    // As a registry of before took it: the revocation, and then the last approval.
    let revoked = revocation(&served, &grant, "cy");
    let approved = also_signed(&served, &grant, "ben");
    let whole = whole(&served, "grant", &grant);
    let request = whole_request(&served, &request);
    file(&served, (&revoked, "revocation", &scene.identity("cy")), (whole, request), EntryKind::Revocation);
    let list = scene.succeed("ada", "request list");
    assert!(list.contains("ended: the grant was revoked on"), "{list}");
    assert_eq!(scene.succeed("ada", "request list --pending"), "no requests\n");
    let listed = scene.succeed("ada", "grant list");
    assert!(listed.contains("the grant was revoked on"), "{listed}");
    let report = scene.succeed("august", "audit report --from 2020-01-01");
    assert!(!report.contains("waits for an answer"), "{report}");
    assert!(report.contains("Slip (its grant was revoked before it had every approval)"), "{report}");
    file(&served, (&approved, "grant", &scene.identity("ben")), (whole, request), EntryKind::Approval);
    let audited = scene.succeed("august", "audit verify");
    assert!(audited.starts_with("the record holds"), "{audited}");
    let void = audited.lines().skip_while(|line| *line != "of no effect:").nth(1).unwrap_or_default();
    assert!(void.contains("had its last approval after the grant was revoked on"), "{audited}");
}

#[test]
fn what_the_registry_granted_already_is_approved_by_nobody() {
    let served = Served::released(Database::Sqlite, "public");
    let scene = &served.scene;
    let request = scene.digits(&scene.json("rosa", "request new tiny --purpose Try")["request"]);
    insta::assert_snapshot!(scene.refuse("ada", &format!("approve {request}")), @"
    exit 3
    error: tiny is in stage `public`, where the registry itself grants, and no approval is asked for
      next: it grants once the board has handed over its shares: `portcullis handover tiny`
    ");
    scene.hand_over("ada");
    scene.hand_over("cy");
    insta::assert_snapshot!(scene.refuse("ada", &format!("approve {request}")), @"
    exit 3
    error: the request of rosa is granted already: the grant <digits> stands until <date>
      next: nothing is left to approve
    ");
    // A program that drafts one all the same is refused by the registry.
    let page = served.get_as("rosa", "/v1/statements?kind=grant").json();
    let stray = stray(&served, &scene.digits(&page["statements"][0]["digest"]));
    let refused = served.post("/v1/statements", &stray.to_json());
    assert!(refused.text.contains("is granted already: the grant"), "{}", refused.text);
    assert_eq!(scene.json("ada", "grant list").as_array().unwrap().len(), 1);
}

/// The same grant a moment later, as a board member might draft it.
fn stray(served: &Served, digits: &str) -> Envelope {
    let mut draft = grant(served, digits).claim::<portcullis::access::Grant>().unwrap();
    draft.predicate.issued = draft.predicate.issued.plus_seconds(1);
    draft.predicate.expires = draft.predicate.expires.plus_seconds(1);
    let mut envelope = draft.to_envelope().unwrap();
    sign(&served.scene, &mut envelope, "ada");
    envelope
}

#[test]
fn a_draft_of_a_denied_request_blocks_nothing_once_the_checkpoint_is_public() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let request = scene.request();
    scene.approve("ada", &request);
    let listed = scene.succeed("rosa", "grant list");
    assert!(listed.contains("waits: 1 of 2 approvals"), "{listed}");
    scene.succeed("cy", &format!("deny {request} --reason Unclear"));
    let status = scene.succeed("rosa", "status");
    assert!(status.contains("denied: Unclear"), "{status}");
    assert!(!status.contains("must sign") && !status.contains("does not stand any more"), "{status}");
    let listed = scene.succeed("rosa", "grant list");
    assert!(listed.contains("never stood: its request is denied: Unclear"), "{listed}");
    scene.run("rosa", "pull tiny");
    let said = scene.refuse("rosa", "run tiny Hello -n 1");
    assert!(!said.contains("ask the board's other members"), "{said}");
    served.propose(&people::POLICY.replace("version = 1", "version = 2"), "public");
    scene.hand_over("ada");
    scene.hand_over("cy");
    let status = scene.succeed("rosa", "status");
    assert!(status.contains("next: portcullis run tiny"), "{status}");
    scene.succeed("rosa", "run tiny Hello -n 1");
}

/// The whole digest of a statement of a kind.
fn whole(served: &Served, kind: &str, digits: &str) -> Sha256Digest {
    let page = served.get_as("ada", &format!("/v1/statements?kind={kind}&prefix={digits}")).json();
    page["statements"][0]["digest"].as_str().unwrap().parse().unwrap()
}

fn whole_request(served: &Served, digits: &str) -> Sha256Digest {
    whole(served, "request", digits)
}

fn grant(served: &Served, digits: &str) -> Envelope {
    let page = served.get_as("ada", &format!("/v1/statements?kind=grant&prefix={digits}")).json();
    serde_json::from_value(page["statements"][0]["envelope"].clone()).unwrap()
}

/// A grant that one more member signed.
fn also_signed(served: &Served, digits: &str, person: &str) -> Envelope {
    let mut envelope = grant(served, digits);
    sign(&served.scene, &mut envelope, person);
    envelope
}

fn sign(scene: &Scene, envelope: &mut Envelope, person: &str) {
    envelope.sign(&*scene.identity(person).signer(None).unwrap()).unwrap();
}

/// A revocation of a grant, whatever the program says of it.
fn revocation(served: &Served, digits: &str, person: &str) -> Envelope {
    let scene = &served.scene;
    let claim = grant(served, digits).claim::<portcullis::access::Grant>().unwrap();
    let subject = Subject { name: claim.subject.name.clone(), digest: claim.subject.digest };
    let revocation = Revocation {
        grant: whole(served, "grant", digits),
        reason: "Slip".parse().unwrap(),
        created: Timestamp::now(),
    };
    let statement = Statement::new(scene.catalogue_id(person), subject, revocation);
    let mut envelope = statement.to_envelope().unwrap();
    sign(scene, &mut envelope, person);
    envelope
}

/// Files a statement past the registry's rules.
fn file(
    served: &Served,
    (envelope, kind, by): (&Envelope, &str, &Identity),
    (grant, request): (Sha256Digest, Sha256Digest),
    entry: EntryKind,
) {
    let (now, signer) = (Timestamp::now(), by.card().verifying_key.id());
    let checkpoint = "tiny".parse().unwrap();
    let about = if entry == EntryKind::Approval { request } else { grant };
    let row = StatementRow {
        digest: envelope.digest(),
        signer,
        kind: kind.to_owned(),
        checkpoint,
        about: Some(about),
        holder: served.scene.identity("rosa").card().verifying_key.id(),
        envelope: envelope.to_json(),
        received: now,
    };
    let of = |kind| {
        Entry::new(kind, now, envelope.digest()).with_checkpoint(&row.checkpoint).with_about(Some(about))
    };
    let state = if entry == EntryKind::Approval { RequestState::Granted } else { RequestState::Ended };
    let effect = Effect::Changes { request, state, note: "Slip".to_owned() };
    let mut filing =
        Filing::one(Filed { entry: Some(of(entry).with_signer(signer)), row: row.clone() }).with(effect);
    if entry == EntryKind::Approval {
        filing.entries.push(of(EntryKind::Grant));
    }
    let put = async {
        let store = Store::open(&served.database_url()).await.unwrap();
        assert!(store.put(filing).await.unwrap());
    };
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(put);
}
