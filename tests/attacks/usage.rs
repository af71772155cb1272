//! Losing usage records without changing the program.

use std::fs;
use std::io::Read as _;
use std::process::Stdio;

use portcullis::usage::{JournalId, first_link};
use serde_json::{Value, json};

use crate::support::copied::{copy_journal, put_back_with_an_edited_mark};
use crate::support::killed::killed_run;
use crate::support::people::{ID, POLICY, Scene};
use crate::support::served::{Ask, Database, Served, ask};
use crate::support::{self, portcullis};

/// A served registry whose researcher was granted, has pulled and has run once, all of it brought in.
fn used(database: Database) -> Served {
    let served = Served::released(database, "partners");
    served.granted();
    let scene = &served.scene;
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    scene.succeed("rosa", &format!("lease {ID}"));
    served
}

/// Without addresses and journals' names.
fn stable(served: &Served, text: &str) -> String {
    let text = text.replace(&served.process.url, "<registry>");
    regex::Regex::new(r"\b[0-9a-f]{32}\b").unwrap().replace_all(&text, "<journal>").into_owned()
}

fn journal(scene: &Scene) -> String {
    scene.json("rosa", "usage status")["journal"]["journal"].as_str().unwrap().to_owned()
}

fn cases(served: &Served) -> Vec<Value> {
    served.scene.json("august", "case list").as_array().unwrap().clone()
}

#[test]
fn a_journal_that_is_removed_ends_runs_and_leases_until_its_owner_explains_it() {
    for database in [Database::Sqlite, Database::Postgres] {
        let served = used(database);
        let scene = &served.scene;
        let lost = journal(scene);
        fs::remove_dir_all(scene.at("homes/rosa/usage")).unwrap();
        let run = scene.refuse("rosa", &format!("run {ID} Hello -n 2"));
        let lease = scene.refuse("rosa", &format!("lease {ID}"));
        assert!(run.contains(&lost) && lease.contains(&lost), "it is named:\n{run}\n{lease}");
        insta::allow_duplicates! {
            insta::assert_snapshot!(stable(&served, &lease), @r#"
            exit 3
            error: the usage journal <journal>, which had 2 records, is gone
              next: restore the journal if it was moved; on another machine of yours: `portcullis usage declare --reason "…"`; if it is lost: `portcullis usage explain <journal> --reason "…"`, which auditors review
            "#);
        }
        // As long as the registry is out of reach, the lease of before helps nothing.
        assert!(
            scene
                .refuse("rosa", &format!("--registry http://127.0.0.1:9 run {ID} Hello -n 2"))
                .contains(&lost)
        );
        // Nor do records that are brought in without a word.
        assert!(cases(&served).is_empty());

        scene.succeed("rosa", &format!("usage explain {lost} --reason Spilled-coffee"));
        let raised = cases(&served);
        assert_eq!(raised.len(), 1, "{raised:?}");
        assert!(
            raised[0].to_string().contains("Spilled-coffee")
                && raised[0].to_string().contains("journal-lost")
        );
        scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
        scene.succeed("rosa", &format!("lease {ID}"));
        // One loss may be an accident: a second waits for the auditors.
        let second = journal(scene);
        fs::remove_dir_all(scene.at("homes/rosa/usage")).unwrap();
        let again = scene.refuse("rosa", &format!("usage explain {second} --reason Spilled-tea"));
        assert!(again.contains("is not decided yet"), "{again}");
        assert!(scene.succeed("august", "audit verify").starts_with("the record holds"));
    }
}

#[test]
fn a_journal_whose_end_is_cut_off_leases_nothing() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    copy_journal(scene, "rosa");
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    scene.succeed("rosa", &format!("lease {ID}"));
    let cut = journal(scene);
    put_back_with_an_edited_mark(scene, "rosa");
    assert!(scene.refuse("rosa", &format!("run {ID} Hello -n 2")).contains("its end was cut off"));
    insta::assert_snapshot!(stable(&served, &scene.refuse("rosa", &format!("lease {ID}"))), @r#"
    exit 3
    error: <registry> refuses: 4 records of the usage journal <journal> came in, and it has 2 now, or others: it was cut or replaced
      next: bring its records in with `portcullis usage sync` where it is whole; if it is lost: `portcullis usage explain <journal> --reason "…"`, which auditors look at
    "#);
    // What is left of it is moved aside, and another goes on.
    scene.succeed("rosa", &format!("usage explain {cut} --reason A-backup-came-back"));
    assert_ne!(journal(scene), cut);
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    assert_eq!(cases(&served).len(), 1);
}

#[test]
fn a_journal_swapped_for_another_persons_runs_nothing() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    fs::rename(scene.at("homes/rosa/usage"), scene.at("kept")).unwrap();
    // Another person's journal, whole and well made.
    let other = Scene::released("partners");
    fs::create_dir_all(scene.at("homes/rosa/usage")).unwrap();
    other.granted();
    other.succeed("rosa", &format!("run {ID} Hello -n 2"));
    support::copy_tree(&other.at("homes/rosa/usage"), &scene.at("homes/rosa/usage"));
    let refused = scene.refuse("rosa", &format!("run {ID} Hello -n 2"));
    assert!(refused.contains("this home's usage journal is "), "{refused}");
    // The one that was leased for goes on.
    fs::remove_dir_all(scene.at("homes/rosa/usage")).unwrap();
    fs::rename(scene.at("kept"), scene.at("homes/rosa/usage")).unwrap();
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
}

#[test]
fn a_second_machine_is_declared_before_it_gets_a_lease_and_both_go_on() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    // The same person on another machine: everything but the journal.
    support::copy_tree(&scene.at("homes/rosa"), &scene.at("homes/laptop"));
    fs::remove_dir_all(scene.at("homes/laptop/usage")).unwrap();
    assert!(scene.refuse("laptop", &format!("run {ID} Hello -n 2")).contains("usage declare"));
    scene.succeed("laptop", "usage declare --reason My-laptop");
    scene.succeed("laptop", &format!("run {ID} Hello -n 2"));
    scene.succeed("laptop", &format!("lease {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    scene.succeed("rosa", &format!("lease {ID}"));
    assert!(cases(&served).is_empty(), "a second machine is no offence");
    assert!(scene.refuse("laptop", "usage declare --reason Again").contains("is known already"));
    assert!(scene.succeed("august", "audit verify").contains("declarations of usage journals"));
}

#[test]
fn a_text_cut_off_by_a_kill_is_on_the_record_with_what_was_shown_before_the_next_lease() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    let shown = killed_run(scene);
    let before = scene.json("rosa", "usage status");
    assert_eq!(before["journal"]["open"], 1, "{before}");
    assert!(fs::read_dir(scene.at("homes/rosa/usage/live")).unwrap().next().is_some());
    scene.succeed("rosa", &format!("lease {ID}"));
    let records = scene.json("rosa", "usage show");
    let end = &records.as_array().unwrap().last().unwrap()["event"]["end"];
    assert_eq!(end["finish"], "killed", "{end}");
    // What the person saw is what is kept, sealed to the auditors; a token more may have been stored than shown.
    let kept = end["output"]["bytes"].as_u64().unwrap();
    assert!(kept as usize >= shown.len(), "{kept} bytes were kept, and {shown:?} was shown");
    assert_eq!(end["output"]["sealed"].as_object().unwrap().len(), 1);
    assert!(end["tokens"].as_u64().unwrap() > 0);
    assert_eq!(fs::read_dir(scene.at("homes/rosa/usage/live")).unwrap().count(), 0);
    assert!(cases(&served).is_empty(), "an accident recovers by itself");
}

#[test]
fn a_text_cut_off_by_a_kill_whose_output_is_removed_bars_the_lease_until_it_is_explained() {
    let served = used(Database::Sqlite);
    let scene = &served.scene;
    killed_run(scene);
    fs::remove_dir_all(scene.at("homes/rosa/usage/live")).unwrap();
    insta::assert_snapshot!(scene.refuse("rosa", &format!("lease {ID}")), @r#"
    exit 3
    error: generation 2 of the usage journal never ended, and what it wrote is gone
      next: explain it: `portcullis usage explain 2 --reason "…"`; auditors review it
    "#);
    assert!(scene.refuse("rosa", &format!("run {ID} Hello -n 2")).contains("usage explain 2"));
    // As a client would that leaves the check out: it tells of all it has, without a word on the generation.
    let told = scene.json("rosa", "usage status")["journal"].clone();
    let grant = scene.json("rosa", "usage show")[0]["event"]["begin"]["grant"].as_str().unwrap().to_owned();
    let lease = |body: Value| {
        let url = format!("{}/v1/grants/{grant}/lease", served.process.url);
        let bearer = Some(served.bearer("rosa"));
        ask(&Ask { url, method: "POST", bearer, body: Some(body.to_string()), ..Ask::default() })
    };
    let state = json!({ "journal": told["journal"], "records": told["records"], "head": told["head"] });
    assert_eq!(lease(state).status, 403, "the beginning did not even come in");
    scene.succeed("rosa", "usage explain 2 --reason The-cat");
    scene.succeed("rosa", &format!("lease {ID}"));
    let raised = cases(&served);
    assert_eq!(raised.len(), 1, "{raised:?}");
    assert!(
        raised[0].to_string().contains("The-cat") && raised[0].to_string().contains("generation-unended")
    );
    // It counts in full.
    let records = scene.json("rosa", "usage show");
    assert_eq!(records.as_array().unwrap().last().unwrap()["event"]["end"]["tokens"], 100);
}

#[test]
fn records_and_leases_of_an_undeclared_journal_are_refused_by_the_registry_itself() {
    let served = used(Database::Sqlite);
    let grant =
        served.scene.json("rosa", "usage show")[0]["event"]["begin"]["grant"].as_str().unwrap().to_owned();
    let fresh = JournalId::from_bytes([9; 16]);
    let lease = |body: Option<String>| {
        let url = format!("{}/v1/grants/{grant}/lease", served.process.url);
        let bearer = Some(served.bearer("rosa"));
        ask(&Ask { url, method: "POST", bearer, body, ..Ask::default() })
    };
    let state = json!({ "journal": fresh, "records": 0, "head": first_link(fresh) });
    let refused = lease(Some(state.to_string()));
    assert_eq!(refused.status, 403);
    assert!(refused.json()["detail"].as_str().unwrap().contains("is not declared"), "{}", refused.text);
    assert_eq!(lease(None).status, 403, "nor is anything leased to who tells of no journal");
}

#[test]
fn a_generation_under_way_bars_no_lease_and_another_process_does_not_end_it() {
    let served = Served::released(Database::Sqlite, "partners");
    let limits = POLICY.replace("version = 1", "version = 2");
    served.propose(&limits, "partners");
    served.granted();
    let scene = &served.scene;
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("lease {ID}"));
    // A text that waits for its reader: the pipe is full, the process lives.
    let mut child = portcullis()
        .current_dir(scene.path())
        .args(["--home", "homes/rosa", "run", ID, "Hello", "-n", "100", "--ignore-eos", "--samples", "4000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut byte = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(3));
    let status = scene.json("rosa", "usage status");
    let open = status["journal"]["open"].as_u64().unwrap();
    assert!(open > 0, "{status}");
    assert_eq!(status["journal"]["under_way"].as_array().unwrap().len() as u64, open);
    scene.succeed("rosa", &format!("lease {ID}"));
    assert!(
        scene.json("rosa", "usage status")["journal"]["open"].as_u64().unwrap() > 0,
        "they are still its own"
    );
    child.kill().unwrap();
    child.wait().unwrap();
    scene.succeed("rosa", &format!("lease {ID}"));
    assert_eq!(scene.json("rosa", "usage status")["journal"]["open"], 0);
}

#[test]
fn keys_and_opened_weights_are_looked_for_in_core_dumps_swap_and_the_memory_of_a_run() {
    let scene = Scene::released("partners");
    scene.granted();
    // It waits for its reader, keys and weights in memory.
    let mut child = portcullis()
        .current_dir(scene.path())
        .args(["--home", "homes/rosa", "run", ID, "Hello", "-n", "100", "--ignore-eos", "--samples", "4000"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut byte = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut byte).unwrap();
    let of = |name: &str| fs::read_to_string(format!("/proc/{}/{name}", child.id()));
    let limits = of("limits").unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"], "{core}");
    match of("smaps") {
        // Others of the same person may not even look: the process is not dumpable.
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied, "{error}"),
        // Root may.
        Ok(maps) => {
            let flags = maps.lines().filter_map(|line| line.strip_prefix("VmFlags: "));
            let has = |flags: &str, flag: &str| flags.split_whitespace().any(|found| found == flag);
            let undumped = flags.clone().filter(|flags| has(flags, "dd")).count();
            let locked = flags.clone().filter(|flags| has(flags, "lo")).count();
            assert!(undumped > 1, "weights and keys are left out of dumps: {undumped}");
            assert!(locked > 0, "keys are not swapped: {locked}");
        }
    }
    let owner =
        std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{}/mem", child.id())).unwrap());
    assert_eq!(owner, 0, "what is not dumpable belongs to root");
    child.kill().unwrap();
    child.wait().unwrap();
}
