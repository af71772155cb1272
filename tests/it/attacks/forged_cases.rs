//! A registry that puts up cases, steps and grants that nobody signed, so that auditors and members sign over them.

use portcullis::access::Grant;
use portcullis::digest::Sha256Digest;
use portcullis::identity::{Signer as _, SigningKey};
use portcullis::misuse::{Case, CaseStep, Outcome, Severity, Step};
use portcullis::statement::{Envelope, Predicate as _, Statement};
use portcullis::store::{Filed, Filing, Page, StatementRow, Store};
use portcullis::time::Timestamp;

use crate::support::people::ID;
use crate::support::served::{Database, Served};

const BOTH: [Database; 2] = [Database::Sqlite, Database::Postgres];

/// The registry's database, which its operator writes as they please.
struct Rows {
    runtime: tokio::runtime::Runtime,
    store: Store,
}

impl Rows {
    fn of(served: &Served) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let store = runtime.block_on(Store::open(&served.database_url())).unwrap();
        Self { runtime, store }
    }

    fn grant(&self, digits: &str) -> Statement<Grant> {
        let rows = self.store.statements_by_prefix(("grant", digits), Page::FIRST);
        let rows = self.runtime.block_on(rows).unwrap();
        Envelope::parse(rows[0].1.envelope.as_bytes()).unwrap().claim::<Grant>().unwrap()
    }

    /// A row with what the registry wants to be there; the digits to name it by.
    fn put(&self, kind: &str, envelope: &Envelope, about: Sha256Digest, of: &Statement<Grant>) -> String {
        let holder = of.predicate.researcher.verifying_key.id();
        let row = StatementRow {
            digest: envelope.digest(),
            signer: holder,
            kind: kind.to_owned(),
            checkpoint: ID.parse().unwrap(),
            about: Some(about),
            holder,
            envelope: envelope.to_json(),
            received: Timestamp::now(),
        };
        self.runtime.block_on(self.store.put(Filing::one(Filed { row, entry: None }))).unwrap();
        envelope.digest().to_string()[..12].to_owned()
    }
}

fn case_about(grant: Sha256Digest, of: &Statement<Grant>, reason: &str) -> Case {
    Case {
        grant,
        person: of.predicate.researcher.verifying_key.id(),
        records: Vec::new(),
        rules: Vec::new(),
        severity: Severity::Severe,
        reason: reason.parse().unwrap(),
        created: Timestamp::now(),
    }
}

fn stable(served: &Served, text: &str) -> String {
    text.replace(&served.process.url, "<registry>")
}

#[test]
fn a_case_that_nobody_signed_is_shown_and_decided_and_ends_a_grant() {
    for database in BOTH {
        let served = Served::released(database, "partners");
        let scene = &served.scene;
        let (_, digits) = served.granted();
        scene.succeed("rosa", &format!("pull {ID}"));
        let (rows, stranger) = (Rows::of(&served), SigningKey::from_bytes(&[66; 32]));
        let grant = rows.grant(&digits);
        let digest = grant.to_envelope().unwrap().digest();
        let (catalogue, subject) = (scene.catalogue_id("rosa"), grant.subject.clone());
        let case = case_about(digest, &grant, "FORGED");
        let forged = Statement::new(catalogue, subject.clone(), case).sign(&stranger).unwrap();
        let forged = rows.put(Case::KIND, &forged, digest, &grant);

        assert_eq!(scene.succeed("august", "case list"), "no case\n");
        let status = scene.succeed("august", "status");
        assert!(!status.contains("case"), "{status}");
        let commands = ["show", "assign", "decide"].map(|command| match command {
            "decide" => format!("case decide {forged} revoke --reason Misuse --yes"),
            _ => format!("case {command} {forged}"),
        });
        for command in commands {
            insta::allow_duplicates! {
                insta::assert_snapshot!(stable(&served, &scene.refuse("august", &command)), @"
                exit 4
                error: one member of the board of auditors must sign; the signature is missing
                  next: believe nothing that it says, and tell the owners: `portcullis audit verify` shows what the log has of it
                ");
            }
        }
        scene.succeed("rosa", &format!("lease {ID}"));

        // One that an auditor signed, and in which the registry takes no step: nothing follows from a step that was not taken.
        let august = scene.identity("august");
        let case = case_about(digest, &grant, "Kept-back");
        let real = Statement::new(catalogue, subject, case).sign(&*august.signer(None).unwrap()).unwrap();
        let real = rows.put(Case::KIND, &real, digest, &grant);
        let said = scene.refuse("august", &format!("case decide {real} revoke --reason Misuse"));
        assert!(said.contains("no case"), "{said}");
        scene.succeed("rosa", &format!("lease {ID}"));
    }
}

#[test]
fn a_step_that_nobody_signed_closes_a_case() {
    for database in BOTH {
        let served = Served::released(database, "partners");
        let scene = &served.scene;
        let (_, digits) = served.granted();
        let case = scene.open_case("august", &digits);
        scene.succeed("august", &format!("case assign {case}"));
        let (rows, stranger) = (Rows::of(&served), SigningKey::from_bytes(&[66; 32]));
        let grant = rows.grant(&digits);
        let opened = scene.json("august", &format!("case show {case}"))["digest"].clone();
        let opened: Sha256Digest = opened.as_str().unwrap().parse().unwrap();
        // By a key of nobody's, and by the person whom the case is about.
        let rosa = scene.identity("rosa").signer(None).unwrap();
        for (reason, signer) in [("FORGED", None), ("MINE", Some(rosa))] {
            let (outcome, reason) = (Outcome::NoFinding, reason.parse().unwrap());
            let step = Step::Decide { outcome, reason, until: None };
            let step = CaseStep { case: opened, step, created: Timestamp::now() };
            let step = Statement::new(scene.catalogue_id("rosa"), grant.subject.clone(), step);
            let signed = match &signer {
                None => step.sign(&stranger),
                Some(signer) => step.sign(&**signer),
            };
            rows.put(CaseStep::KIND, &signed.unwrap(), opened, &grant);
        }
        insta::allow_duplicates! {
            insta::assert_snapshot!(scene.stable(&scene.succeed("august", &format!("case show {case}"))), @"
            open: case <digits> about tiny
              severity  medium
              grant     <digits> of rosa
              raised    <time> by august: Odd
              <time>  assigned to august by august
              left out: 2 that no auditor of today signed, nor the person: they are not believed
            ");
        }
        assert!(scene.succeed("august", "case list --open").contains("open"));
        let status = scene.succeed("august", "status");
        assert!(status.contains("a case about key"), "{status}");
        // Nor is it on the paper.
        let asked = scene.run_as_given("august", &format!("case decide {case} warn --reason Careful --yes"));
        let paper = crate::support::text(&asked.stderr);
        assert!(!paper.contains("FORGED") && !paper.contains("MINE"), "{paper}");
    }
}

#[test]
fn a_grant_that_its_board_did_not_sign_is_revoked_and_brings_a_case() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let (_, digits) = served.granted();
    let (rows, stranger) = (Rows::of(&served), SigningKey::from_bytes(&[66; 32]));
    let mut grant = rows.grant(&digits);
    grant.predicate.researcher = scene.identity("eve").card().clone();
    let forged = grant.sign(&stranger).unwrap();
    let forged = rows.put(Grant::KIND, &forged, grant.predicate.request, &grant);
    assert_ne!(stranger.verifying_key(), grant.predicate.researcher.verifying_key);
    for (person, command) in [
        ("ada", format!("revoke {forged} --reason Misuse")),
        ("august", format!("case open {forged} --reason Odd")),
    ] {
        let said = scene.refuse(person, &command);
        assert!(said.contains("0 of its keys signed") && !said.contains("eve"), "{said}");
    }
}
