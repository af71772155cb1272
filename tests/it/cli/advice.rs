//! The next step that a refusal names leads on: each is taken as the person who got it, in a real scene.

use std::fs;
use std::process::Output;

use crate::support::killed::killed_run;
use crate::support::people::{ID, Scene};
use crate::support::served::{Database, Served};
use crate::support::{failure, text};

/// A refusal, and how many command lines its next step names.
struct Refused<'a> {
    scene: &'a Scene,
    person: &'a str,
    said: String,
    next: Vec<String>,
}

/// Runs a command, which must be refused with a next step.
fn refused<'a>(scene: &'a Scene, person: &'a str, command: &str) -> Refused<'a> {
    let output = scene.run_as_given(person, command);
    assert!(!output.status.success(), "{person}: {command}: {}", text(&output.stdout));
    let stderr = text(&output.stderr);
    let (said, next) = stderr.split_once("\n  next: ").unwrap_or_else(|| panic_without(&stderr));
    let said = said.split_once("error: ").unwrap().1.to_owned();
    let lines = next.split("`portcullis ").skip(1);
    let next = lines.map(|rest| rest.split('`').next().unwrap().to_owned()).collect();
    Refused { scene, person, said, next }
}

#[expect(clippy::panic, reason = "a test fails by panicking")]
fn panic_without(stderr: &str) -> ! {
    panic!("no next step: {stderr}")
}

impl Refused<'_> {
    /// Types the command line that begins with `begins`, with values in the places of its placeholders, and `more`. It must be a command
    /// that makes sense, and must not meet the same refusal.
    fn leads_on(&self, begins: &str, values: &[(&str, &str)], more: &str) -> Output {
        let Self { said, next, .. } = self;
        let line = next.iter().find(|line| line.starts_with(begins));
        let mut line = line.unwrap_or_else(|| panic_without(&format!("{said}: {next:?}"))).clone();
        for (placeholder, value) in values {
            assert!(line.contains(placeholder), "{line}");
            line = line.replace(placeholder, value);
        }
        assert!(!line.contains(['<', '{', '…']), "a placeholder is left: {line}");
        let output = self.scene.run_as_given(self.person, &format!("{line}{more}"));
        assert_ne!(output.status.code(), Some(2), "{line}: {}", failure(&output));
        assert!(
            !text(&output.stderr).contains(said.trim()),
            "{line} leads to the same: {}",
            failure(&output)
        );
        output
    }

    /// The same, and it must succeed.
    fn leads_to_success(&self, begins: &str, values: &[(&str, &str)], more: &str) {
        let output = self.leads_on(begins, values, more);
        assert!(output.status.success(), "{begins}: {}", failure(&output));
    }
}

#[test]
fn a_newcomer_is_led_from_nothing_to_a_request() {
    let served = Served::released(Database::Sqlite, "partners");
    let (scene, url) = (&served.scene, &served.process.url);
    let ask = format!("request new {ID} --purpose Detectors --use detection --days 30 --accept-agreement");
    // Which of the two is said first, the registry or the identity, is the program's choice.
    for _ in 0..2 {
        let refused = refused(scene, "newcomer", &ask);
        if refused.next[0].starts_with("join ") {
            refused.leads_to_success("join ", &[("<registry>", url), ("<file>", "root.json")], "");
        } else {
            let name = [("<your name>", "Nora")];
            refused.leads_to_success("identity new ", &name, " --organization University --no-passphrase");
        }
    }
    scene.succeed("newcomer", &ask);
}

#[test]
fn a_researcher_without_a_grant_is_led_to_one() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let run = refused(scene, "rosa", &format!("run {ID} Hello -n 2"));
    let begins = run.next[0].split(' ').next().unwrap().to_owned();
    let output = run.leads_on(&begins, &fill(&run.next[0]), more(&run.next[0]));
    assert!(output.status.success(), "{}", failure(&output));
    let lease = refused(scene, "eve", &format!("lease {ID}"));
    let begins = lease.next[0].split(' ').next().unwrap().to_owned();
    lease.leads_on(&begins, &fill(&lease.next[0]), more(&lease.next[0]));
}

/// What a researcher puts in the places of a request.
fn fill(line: &str) -> Vec<(&'static str, &'static str)> {
    let known = [("<why>", "Detectors"), ("<checkpoint>", ID)];
    known.into_iter().filter(|(placeholder, _)| line.contains(placeholder)).collect()
}

/// What the stage's terms want besides.
fn more(line: &str) -> &'static str {
    if line.contains("--purpose") { " --use detection --days 30 --accept-agreement" } else { "" }
}

#[test]
fn who_has_the_wrong_part_is_led_to_who_has_the_right_one() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let request = scene.request();
    let not_released = refused(scene, "rosa", "request new another --purpose Detectors");
    for line in not_released.next.clone() {
        not_released.leads_on(&line, &fill(&line), more(&line));
    }
    for command in [format!("approve {request} --yes"), format!("deny {request} --reason No --yes")] {
        let wrong = refused(scene, "rosa", &command);
        for line in wrong.next.clone() {
            wrong.leads_on(&line, &[], "");
        }
    }
}

#[test]
fn a_suspended_researcher_is_led_to_the_case_and_an_appeal() {
    let served = Served::released(Database::Sqlite, "partners");
    let scene = &served.scene;
    let (_, grant) = served.granted();
    scene.succeed("rosa", &format!("pull {ID}"));
    let case = scene.open_case("august", &grant);
    scene.decide("august", &case, "suspend --days 3 --reason Pending");
    let lease = refused(scene, "rosa", &format!("lease {ID}"));
    lease.leads_to_success("case list", &[], "");
    lease.leads_to_success("case appeal ", &[("<case>", &case), ("\"…\"", "Mistaken")], " --yes");
}

#[test]
fn a_journal_that_is_elsewhere_is_declared_or_explained() {
    let served = used();
    let scene = &served.scene;
    crate::support::copy_tree(&scene.at("homes/rosa"), &scene.at("homes/laptop"));
    fs::remove_dir_all(scene.at("homes/laptop/usage")).unwrap();
    let run = format!("run {ID} Hello -n 2");
    let laptop = refused(scene, "laptop", &run);
    laptop.leads_to_success("usage declare ", &[("\"…\"", "My-laptop")], "");
    scene.succeed("laptop", &run);
    let journal = scene.json("rosa", "usage status")["journal"]["journal"].as_str().unwrap().to_owned();
    fs::remove_dir_all(scene.at("homes/rosa/usage")).unwrap();
    let lost = refused(scene, "rosa", &run);
    let explain = lost.next.iter().find(|line| line.starts_with("usage explain ")).unwrap();
    let named: &[(&str, &str)] = if explain.contains("<journal>") {
        &[("<journal>", &journal), ("\"…\"", "Stolen")]
    } else {
        &[("\"…\"", "Stolen")]
    };
    lost.leads_to_success("usage explain ", named, "");
}

#[test]
fn a_generation_without_its_end_is_explained() {
    let served = used();
    let scene = &served.scene;
    killed_run(scene);
    fs::remove_dir_all(scene.at("homes/rosa/usage/live")).unwrap();
    let run = refused(scene, "rosa", &format!("run {ID} Hello -n 2"));
    run.leads_to_success("usage explain ", &[("\"…\"", "The-cat")], "");
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
}

/// A served registry whose researcher was granted, has pulled and has run once, all of it brought in.
fn used() -> Served {
    let served = Served::released(Database::Sqlite, "partners");
    served.granted();
    for command in [format!("pull {ID}"), format!("run {ID} Hello -n 2"), format!("lease {ID}")] {
        served.scene.succeed("rosa", &command);
    }
    served
}
