//! P10, one person, one catalogue: limits, suspensions and approvals count people, not grants or roles; what is signed counts in the
//! catalogue that it names and in no other; no decision is made from a list that was cut off.

use std::collections::{BTreeMap, BTreeSet};

use crate::support::people::ID;
use crate::support::served::{Database, Served};
use portcullis::access::{
    Affiliations, Contacts, Denial, Grant, Request, Revocation, RulesInForce, Withdrawal, draft_grants,
    verify_denial, verify_grant, verify_request, verify_revocation, verify_withdrawal,
};
use portcullis::api::JournalState;
use portcullis::digest::Sha256Digest;
use portcullis::identity::{Identity, Signer, SigningKey, VerifyingKey};
use portcullis::misuse::{Case, Severity, verify_case};
use portcullis::policy::Policy;
use portcullis::statement::{CatalogueId, Envelope, Predicate, Quorum, Statement, Subject};
use portcullis::store::{self, Filed, Filing, StatementRow, Store};
use portcullis::time::Timestamp;
use portcullis::usage::{Begin, Error as UsageError, Journal, JournalId, JournalPlace, Task, first_link};

const POLICY: &str = r#"
schema = 1
checkpoint = "tiny"
version = 1
expires = 2036-01-01T00:00:00Z

[[stage]]
name = "partners"
audience.organizations = ["University"]
approvals = { board = 2, ethics = 1 }
uses = ["detection"]
max_days = 30
usage = "counts"
lease_hours = 24
"#;

fn now() -> Timestamp {
    "2026-11-26T12:00:00Z".parse().unwrap()
}

fn person(seed: u8, organization: &str) -> Identity {
    let (name, organization) = ("Somebody".parse().unwrap(), Some(organization.parse().unwrap()));
    Identity::new(name, organization, &[seed; 32], &[seed ^ 0x80; 32], now().plus_seconds(-1))
}

fn member(seed: u8) -> Identity {
    person(seed, "Lab")
}

fn rosa() -> Identity {
    person(50, "University")
}

fn august() -> Identity {
    person(60, "Lab")
}

fn key(identity: &Identity) -> VerifyingKey {
    identity.card().verifying_key
}

fn signer(identity: &Identity) -> Box<dyn Signer> {
    identity.signer(None).unwrap()
}

/// Two catalogues of the same people with the same keys.
fn catalogue(root: &[u8]) -> CatalogueId {
    CatalogueId::new(Sha256Digest::compute(root))
}

fn manifest() -> Sha256Digest {
    Sha256Digest::compute(b"the sealed manifest")
}

/// The board is 1, 2 and 3; on the board of ethics are 3 and 4.
fn rules(catalogue: CatalogueId) -> RulesInForce {
    let quorum = |name: &str, seeds: &[u8], threshold| {
        let keys = seeds.iter().map(|seed| key(&member(*seed)));
        Quorum::new(name, keys, threshold).unwrap().with_catalogue(catalogue)
    };
    let board = quorum("the board of tiny", &[1, 2, 3], 2);
    let ethics = quorum("the board `ethics`", &[3, 4], 1);
    let one =
        |name: &str, identity: &Identity| Quorum::from_key(name, key(identity)).with_catalogue(catalogue);
    RulesInForce {
        catalogue,
        checkpoint: ID.parse().unwrap(),
        manifest: manifest(),
        policy: Policy::parse(POLICY).unwrap(),
        policy_digest: Sha256Digest::compute(POLICY.as_bytes()),
        stage: "partners".parse().unwrap(),
        stage_digest: Sha256Digest::compute(b"the stage"),
        auditors: Some(one("the auditors", &august())),
        agreement: None,
        boards: BTreeMap::from([
            ("board".parse().unwrap(), board.clone()),
            ("ethics".parse().unwrap(), ethics),
        ]),
        board,
        registry: one("the registry", &person(70, "Lab")),
        organizations: Default::default(),
        registrar_names: Default::default(),
        contacts: Contacts::default(),
    }
}

fn signed<P: Predicate>(catalogue: CatalogueId, predicate: P, by: &[&Identity]) -> Envelope {
    let subject = Subject { name: ID.to_owned(), digest: manifest() };
    let mut envelope = Statement::new(catalogue, subject, predicate).to_envelope().unwrap();
    by.iter().for_each(|identity| envelope.sign(&*signer(identity)).unwrap());
    envelope
}

fn request(catalogue: CatalogueId) -> Envelope {
    let request = Request {
        checkpoint: ID.parse().unwrap(),
        purpose: "Detectors".parse().unwrap(),
        uses: BTreeSet::from(["detection".parse().unwrap()]),
        days: 30,
        agreement: None,
        renews: None,
        card: rosa().card().clone(),
        members: Vec::new(),
        created: now(),
    };
    signed(catalogue, request, &[&rosa()])
}

fn grant(catalogue: CatalogueId, by: &[u8]) -> Envelope {
    let request = verify_request(&request(catalogue), catalogue).unwrap();
    let draft = draft_grants(&request, &rules(catalogue), &Affiliations::default(), now()).unwrap().remove(0);
    let mut envelope = draft.to_envelope().unwrap();
    by.iter().for_each(|seed| envelope.sign(&*signer(&member(*seed))).unwrap());
    envelope
}

#[test]
fn p10_approvals_count_people() {
    let here = catalogue(b"here");
    let counts = |by: &[u8]| {
        verify_grant(&grant(here, by), &rules(here), &[], &Affiliations::default(), now()).is_ok()
    };
    assert!(counts(&[1, 2, 4]));
    assert!(counts(&[1, 2, 3]), "who is on both boards fills one seat, whichever it is");
    assert!(!counts(&[1, 3]), "one person fills a seat of one board");
    assert!(!counts(&[1, 2]));
    assert!(!counts(&[3, 4]));
}

#[test]
fn p10_what_is_signed_for_another_catalogue_counts_for_nothing() {
    let [here, there] = [catalogue(b"here"), catalogue(b"there")];
    for (catalogue, counts) in [(here, true), (there, false)] {
        let rules = rules(here);
        assert_eq!(verify_request(&request(catalogue), here).is_ok(), counts);
        let granted = grant(catalogue, &[1, 2, 4]);
        assert_eq!(verify_grant(&granted, &rules, &[], &Affiliations::default(), now()).is_ok(), counts);
        let asked = verify_request(&request(here), here).unwrap();
        let withdrawal = Withdrawal { request: asked.digest(), created: now() };
        let withdrawal = signed(catalogue, withdrawal, &[&rosa()]);
        assert_eq!(verify_withdrawal(&withdrawal, &asked).is_ok(), counts);
        let denial = Denial { request: asked.digest(), reason: "No need".parse().unwrap(), created: now() };
        let denial = signed(catalogue, denial, &[&member(1)]);
        assert_eq!(verify_denial(&denial, asked.digest(), &rules).is_ok(), counts);
        for revoker in [member(1), august()] {
            let ended = grant(here, &[1, 2, 4]).digest();
            let revocation = Revocation { grant: ended, reason: "Stolen".parse().unwrap(), created: now() };
            let revocation = signed(catalogue, revocation, &[&revoker]);
            assert_eq!(verify_revocation(&revocation, &rules).is_ok(), counts);
            // A grant stands on, whatever was revoked in another catalogue.
            let granted = verify_grant(
                &grant(here, &[1, 2, 4]),
                &rules,
                &[revocation],
                &Affiliations::default(),
                now(),
            );
            assert_eq!(granted.is_err(), counts);
        }
        let case = Case {
            grant: granted.digest(),
            person: key(&rosa()).id(),
            records: Vec::new(),
            rules: Vec::new(),
            severity: Severity::Medium,
            reason: "Odd".parse().unwrap(),
            created: now(),
        };
        assert_eq!(verify_case(&signed(catalogue, case, &[&august()]), &rules).is_ok(), counts);
    }
}

#[test]
fn p10_limits_count_people() {
    let folder = tempfile::tempdir().unwrap();
    let key = SigningKey::from_bytes(&[1; 32]);
    let mut journal = Journal::open(&JournalPlace::in_home(folder.path()), [1; 16]).unwrap();
    let mut begin = |grant: &str, max_tokens: u64| {
        let begin = Begin {
            task: Task::Run,
            checkpoint: ID.parse().unwrap(),
            grant: Sha256Digest::compute(grant.as_bytes()),
            lease: Sha256Digest::compute(b"a lease"),
            prompt_tokens: 0,
            max_tokens,
            parameters: None,
            prompt: None,
            sketch: None,
            hits: Vec::new(),
            justification: None,
            blocked: false,
        };
        journal.begin(begin, Some(100), &key, Timestamp::now()).map(|_| ())
    };
    // Each grant alone would permit a hundred.
    begin("first", 40).unwrap();
    begin("second", 40).unwrap();
    assert!(matches!(begin("third", 40), Err(UsageError::OverLimit { reserved: 80, .. })));
    begin("third", 20).unwrap();
}

#[test]
fn p10_suspensions_and_revocations_count_people() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let grants = [30, 29].map(|days| {
        let new =
            format!("request new {ID} --purpose Detectors --use detection --days {days} --accept-agreement");
        let request = scene.digits(&scene.json("rosa", &new)["request"]);
        scene.approve("ada", &request);
        scene.approve("ben", &request)
    });
    let page = served.get_as("rosa", "/v1/statements?kind=grant").json();
    let grants = grants.map(|digits| {
        let mut found =
            page["statements"].as_array().unwrap().iter().map(|item| item["digest"].as_str().unwrap());
        found.find(|digest| digest.starts_with(&digits)).unwrap().to_owned()
    });
    let leases = || {
        grants.each_ref().map(|grant| {
            let url = format!("{}/v1/grants/{grant}/lease", served.process.url);
            let bearer = Some(served.bearer("rosa"));
            // A journal that nothing was written to yet.
            let journal: JournalId = "07".repeat(16).parse().unwrap();
            let (records, head) = (0, first_link(journal));
            let told = JournalState { journal, records, head, under_way: Vec::new() };
            let body = Some(serde_json::to_string(&told).unwrap());
            let ask = crate::support::served::Ask { url, method: "POST", bearer, body, ..Default::default() };
            crate::support::served::ask(&ask).status
        })
    };
    assert_eq!(leases(), [201, 201]);
    let case = scene.open_case("august", &grants[0][..12]);
    scene.decide("august", &case, "suspend --days 3 --reason Pending");
    assert_eq!(leases(), [403, 403]);
    scene.decide("august", &case, "warn --reason Careful");
    assert_eq!(leases(), [201, 201]);
    scene.revoke("ada", &grants[1][..12], "Stolen");
    assert_eq!(leases(), [403, 403]);
}

#[test]
fn p10_no_decision_is_made_from_a_list_that_was_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("registry.db").display());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = Store::open(&url).await.unwrap();
        let envelope = grant(catalogue(b"here"), &[]);
        let filed = |number: u16| {
            let mut seed = [0; 32];
            seed[..2].copy_from_slice(&number.to_be_bytes());
            let row = StatementRow {
                digest: envelope.digest(),
                signer: SigningKey::from_bytes(&seed).verifying_key().id(),
                kind: Grant::KIND.to_owned(),
                checkpoint: ID.parse().unwrap(),
                about: None,
                holder: key(&rosa()).id(),
                envelope: envelope.to_json(),
                received: now(),
            };
            Filed { row, entry: None }
        };
        for number in 0..1000 {
            store.put(Filing::one(filed(number))).await.unwrap();
        }
        assert_eq!(store.statement(envelope.digest()).await.unwrap().len(), 1000);
        store.put(Filing::one(filed(1000))).await.unwrap();
        let refused = store.statement(envelope.digest()).await;
        assert!(matches!(refused, Err(store::Error::TooMany { .. })), "{refused:?}");
        store.close().await;
    });
}
