//! The gate as its people meet it: three board members, a registry and researchers, each in a home of their own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use serde_json::Value;
use support::people::{ID, POLICY, Scene};
use support::text;

const RUN: &str = "run tiny --tokens 10,20,30 --seed 7 --max-tokens 12";

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    let at = at.min(bytes.len() - 1);
    bytes[at] ^= 4;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_researcher_runs_what_two_members_granted_and_the_registry_leased() {
    let scene = Scene::released("partners");
    let request = scene.request();
    assert!(scene.succeed("ben", "request list --pending").contains(&request));
    let shown = scene.succeed("ada", &format!("request show {request}"));
    assert!(shown.contains("pending: 0 of 2 approvals") && shown.contains("Detectors"), "{shown}");
    let first = scene.json("ada", &format!("approve {request}"));
    assert_eq!((&first["approvals"], &first["stands"]), (&1.into(), &false.into()));
    let second = scene.json("cy", &format!("approve {request}"));
    assert_eq!((&second["grant"], &second["stands"]), (&first["grant"], &true.into()), "the same bytes");
    let grant = scene.digits(&second["grant"]);
    let verified = scene.json("eve", &format!("grant verify {grant}"));
    let signers: Vec<_> =
        verified["signers"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(signers.len() == 2 && signers.contains(&"ada") && signers.contains(&"cy"), "{signers:?}");
    scene.succeed("registry", &format!("lease issue {grant}"));
    scene.succeed("rosa", "pull tiny");
    assert!(scene.succeed("rosa", "request list").contains("granted until"));

    // What it writes is what the plain checkpoint writes.
    let sealed = scene.succeed("rosa", RUN);
    let plain = scene.succeed("ada", &RUN.replace("tiny", "./plain"));
    assert!(!sealed.is_empty());
    assert_eq!(sealed, plain);
    scene.write("text", "In the beginning");
    assert_eq!(scene.succeed("rosa", "score tiny text"), scene.succeed("ada", "score ./plain text"));
}

#[test]
fn each_missing_piece_is_named() {
    let scene = Scene::released("partners");
    let nothing = scene.refuse("rosa", RUN);
    let request = scene.request();
    scene.succeed("rosa", "pull tiny");
    let unanswered = scene.refuse("rosa", RUN);
    scene.succeed("ada", &format!("approve {request}"));
    let one = scene.refuse("rosa", RUN);
    scene.succeed("ben", &format!("approve {request}"));
    let no_lease = scene.refuse("rosa", RUN);
    scene.succeed("registry", "lease issue");
    scene.succeed("rosa", RUN);
    fs::remove_dir_all(scene.at("homes/rosa/vault/sealed")).unwrap();
    let not_pulled = scene.refuse("rosa", RUN);
    let another = scene.refuse("eve", RUN);
    insta::assert_snapshot!([nothing, unanswered, one, no_lease, not_pulled, another].join("\n"), @"
    exit 3
    error: there is no grant for `tiny` issued to rosa
      next: request it with `portcullis request new tiny --purpose <why>`; `portcullis request list` shows its state

    exit 3
    error: there is no grant for `tiny` issued to rosa
      next: request it with `portcullis request new tiny --purpose <why>`; `portcullis request list` shows its state

    exit 3
    error: the grant <digits> for `tiny` is not valid: the board of tiny must sign with 2 distinct keys; 1 of its keys signed
      next: `portcullis request list` shows whether its request still needs approvals; signatures of former members are not counted

    exit 3
    error: there is no valid lease for the grant <digits> of `tiny`
      next: get one with `portcullis lease`; if the registry is a folder, its operator runs `portcullis lease issue`

    exit 5
    error: `tiny` is not in the vault
      next: run `portcullis pull tiny`

    exit 3
    error: there is no grant for `tiny` issued to eve
      next: request it with `portcullis request new tiny --purpose <why>`; `portcullis request list` shows its state
    ");
}

#[test]
fn what_the_policy_could_never_permit_is_answered_at_once() {
    let scene = Scene::released("partners");
    let new = |person, rest: &str| scene.refuse(person, &format!("request new tiny --purpose Fun {rest}"));
    let answers = [
        new("eve", "--use detection --accept-agreement"),
        new("rosa", "--use sale --use detection --accept-agreement"),
        new("rosa", "--use detection --days 91 --accept-agreement"),
        new("rosa", "--accept-agreement"),
        scene.refuse("rosa", "request new gpt2 --purpose Fun"),
    ];
    assert_eq!(scene.succeed("rosa", "request list"), "no requests\n", "nothing was written");
    insta::assert_snapshot!(answers.join("\n"), @"
    exit 3
    error: stage `partners` of tiny does not permit this request: the policy does not permit it: the person belongs to no organization on record and is not named; admitted: 'Lab', 'University'
      next: `portcullis request new <checkpoint> --terms` shows what the stage allows

    exit 3
    error: stage `partners` of tiny does not permit this request: the policy does not permit it: not open here: sale; open: bias-analysis, detection
      next: `portcullis request new <checkpoint> --terms` shows what the stage allows

    exit 3
    error: stage `partners` of tiny does not permit this request: the policy does not permit it: 91 days are asked for, and at most 90 may be
      next: `portcullis request new <checkpoint> --terms` shows what the stage allows

    exit 3
    error: stage `partners` of tiny does not permit this request: the policy does not permit it: no use is named; open: bias-analysis, detection
      next: `portcullis request new <checkpoint> --terms` shows what the stage allows

    exit 2
    error: the catalogue has no checkpoint `gpt2`
      next: `portcullis list` shows all checkpoints; for a folder on this machine, check its path
    ");
}

#[test]
fn wrong_turns_of_board_members_are_refused_with_the_next_step() {
    let scene = Scene::released("partners");
    let request = scene.request();
    let refusals = [
        scene.refuse("eve", &format!("approve {request}")),
        scene.refuse("registry", &format!("approve {request}")),
        scene.refuse("eve", &format!("deny {request} --reason No")),
        scene.refuse("ada", "approve 000000"),
        scene.refuse("ada", &format!("deny {request}")),
        scene.refuse("ben", &format!("request withdraw {request}")),
        scene.refuse("ada", "lease issue"),
        scene.refuse("ada", "handover tiny"),
    ];
    insta::assert_snapshot!(refusals.join("\n"), @"
    exit 3
    error: you are not on the board of tiny
      next: only its members approve: `portcullis catalogue status` lists them

    exit 3
    error: you are not on the board of tiny
      next: only its members approve: `portcullis catalogue status` lists them

    exit 3
    error: you are not on a board that decides on tiny
      next: only its members decide: `portcullis catalogue status` lists them

    exit 2
    error: no request begins with `000000`
      next: list them with `portcullis request list`

    exit 2
    error: the following required arguments were not provided:
      --reason <REASON>

    Usage: portcullis deny --reason <REASON> <REQUEST>

    For more information, try '--help'.

    exit 3
    error: the request is by rosa, not by you
      next: only its author can withdraw it; a board member can deny it

    exit 3
    error: the key <digest> is not the registry's that the catalogue names
      next: run it with the registry's --home

    exit 3
    error: tiny is in stage `partners`, where the board approves each request
      next: hand over shares after the board moves it to a stage without approvals
    ");
    // Approving twice is one approval.
    scene.succeed("ada", &format!("approve {request}"));
    assert_eq!(scene.json("ada", &format!("approve {request}"))["approvals"], 1);
}

#[test]
fn a_member_does_not_approve_their_own_request() {
    let scene = Scene::released("partners");
    let new = "request new tiny --purpose Mine --use detection --accept-agreement";
    let request = scene.digits(&scene.json("ada", new)["request"]);
    insta::assert_snapshot!(scene.refuse("ada", &format!("approve {request}")), @"
    exit 3
    error: you cannot approve your own request
      next: the other members must approve it
    ");
    scene.succeed("ben", &format!("approve {request}"));
    assert_eq!(scene.json("cy", &format!("approve {request}"))["stands"], true);
}

#[test]
fn a_denial_gives_its_reason_and_a_withdrawal_ends_it() {
    let scene = Scene::released("partners");
    let denied = scene.request();
    scene.succeed("cy", &format!("deny {denied} --reason TooVague"));
    assert!(scene.succeed("rosa", &format!("request show {denied}")).starts_with("denied: TooVague\n"));
    let withdrawn = scene.digits(
        &scene.json("rosa", "request new tiny --purpose Again --use detection --accept-agreement")["request"],
    );
    scene.succeed("rosa", &format!("request withdraw {withdrawn}"));
    assert!(scene.succeed("ada", &format!("request show {withdrawn}")).starts_with("withdrawn\n"));
    insta::assert_snapshot!(scene.refuse("ada", &format!("approve {withdrawn}")), @"
    exit 3
    error: rosa withdrew this request
      next: ask them for a new request
    ");
}

#[test]
fn a_revocation_a_new_policy_a_stage_moved_back_and_a_rotation_each_end_a_grant() {
    let scene = Scene::released("partners");
    let grant = scene.granted();
    scene.succeed("rosa", RUN);

    scene.propose(POLICY, "internal");
    let moved_back = scene.refuse("rosa", RUN);
    scene.propose(POLICY, "partners");
    scene.succeed("rosa", RUN);

    scene.succeed("ada", "catalogue rotate tiny --remove ben --add cards/eve.card");
    scene.sign_and_publish(["ada", "cy"]);
    let rotated = scene.refuse("rosa", RUN);
    scene.succeed("ada", "catalogue rotate tiny --remove eve --add cards/ben.card");
    scene.sign_and_publish(["ada", "cy"]);
    scene.succeed("rosa", RUN);

    scene.succeed("cy", &format!("revoke {grant} --reason Stolen"));
    let revoked = scene.refuse("rosa", RUN);
    let no_lease = scene.refuse("registry", &format!("lease issue {grant}"));
    let not_verified = scene.refuse("eve", &format!("grant verify {grant}"));
    for found in scene.files("registry/exchange/revocations") {
        fs::remove_file(found).unwrap();
    }
    // Whoever hides the revocation from the registry's folder does not hide it from a vault that has it.
    let still = scene.refuse("rosa", RUN);
    assert_eq!(still, revoked);
    fs::remove_dir_all(scene.at("homes/rosa/vault/statements/revocations")).unwrap();

    scene.propose(&POLICY.replace("version = 1", "version = 2"), "partners");
    let replaced = scene.refuse("rosa", RUN);
    insta::assert_snapshot!(
        [moved_back, rotated, revoked, no_lease, not_verified, replaced].join("\n"),
        @"
    exit 3
    error: the grant <digits> for `tiny` is not valid: it is of stage `partners`, and the checkpoint is in stage `internal`, before that
      next: request it again under the stage in force: `portcullis request new <checkpoint> --terms`

    exit 3
    error: the grant <digits> for `tiny` is not valid: the board of tiny must sign with 2 distinct keys; 1 of its keys signed
      next: `portcullis request list` shows whether its request still needs approvals; signatures of former members are not counted

    exit 3
    error: the grant <digits> for `tiny` is not valid: the grant was revoked on <time>: Stolen
      next: stop using it; write to ada (Lab), ben (Lab) or cy (Lab) of the board if you think that this is a mistake

    exit 3
    error: the grant was revoked on <time>: Stolen
      next: stop using it; write to ada (Lab), ben (Lab) or cy (Lab) of the board if you think that this is a mistake

    exit 3
    error: the grant was revoked on <time>: Stolen
      next: stop using it; write to ada (Lab), ben (Lab) or cy (Lab) of the board if you think that this is a mistake

    exit 3
    error: the grant <digits> for `tiny` is not valid: the policy was replaced since: version 2 is in force, and a change of policy ends every grant made before it
      next: read the new terms and request again: `portcullis request new tiny --terms`, then `portcullis request new tiny --renew <digits>`
    "
    );
}

#[test]
fn a_run_works_offline_while_the_lease_lasts() {
    let scene = Scene::released("partners");
    scene.granted();
    let online = scene.succeed("rosa", RUN);
    fs::rename(scene.at("registry"), scene.at("elsewhere")).unwrap();
    let offline = scene.run("rosa", RUN);
    assert_eq!(text(&offline.stdout), online);
    insta::assert_snapshot!(scene.stable(&text(&offline.stderr)), @"note: <scene>/registry is unreachable; using the last verified catalogue");
}

#[test]
fn an_altered_vault_is_refused_with_the_part_named() {
    let scene = Scene::released("partners");
    scene.granted();
    let mut refusals = Vec::new();
    let chunks = scene.files("homes/rosa/vault/sealed");
    let largest = chunks.iter().max_by_key(|path| fs::metadata(path).unwrap().len()).unwrap();
    for (path, at) in [
        (largest.clone(), 1000),
        (chunks.iter().find(|path| path.ends_with("manifest.json")).unwrap().clone(), 300),
    ] {
        let before = fs::read(&path).unwrap();
        flip(&path, at);
        refusals.push(scene.refuse("rosa", RUN));
        fs::write(&path, before).unwrap();
        scene.succeed("rosa", RUN);
    }
    // The registry's copies would mend the vault's.
    fs::rename(scene.at("registry"), scene.at("elsewhere")).unwrap();
    for kind in ["grants", "shares", "leases"] {
        let files = scene.files(&format!("homes/rosa/vault/statements/{kind}"));
        let before: Vec<_> = files.iter().map(|path| fs::read(path).unwrap()).collect();
        // Of a grant there are two copies, and either would do.
        files.iter().for_each(|path| flip(path, 400));
        refusals.push(format!("{kind}: {}", scene.refuse("rosa", RUN)));
        files.iter().zip(before).for_each(|(path, before)| fs::write(path, before).unwrap());
    }
    scene.succeed("rosa", RUN);
    insta::assert_snapshot!(refusals.join("\n"), @"
    exit 4
    error: <a chunk>: SHA-256 is <digest>, not <digest>
      next: run `portcullis pull <checkpoint>` again: it replaces what is damaged

    exit 4
    error: sealed manifest: SHA-256 is <digest>, not <digest>
      next: the copy belongs to another seal than the catalogue's: pull it again, or ask the registry for the right one

    grants: exit 4
    note: <scene>/registry is unreachable; using the last verified catalogue
    error: the grant <scene>/homes/rosa/vault/statements/grants/<digest>.<digits>.json in the vault is damaged: its digest does not match its name
      next: remove the file and run `portcullis pull <checkpoint>` again: it fetches the registry's copy

    shares: exit 4
    note: <scene>/registry is unreachable; using the last verified catalogue
    error: the share <scene>/homes/rosa/vault/statements/shares/<digest>.<digits>.json in the vault is damaged: its digest does not match its name
      next: remove the file and run `portcullis pull <checkpoint>` again: it fetches the registry's copy

    leases: exit 4
    note: <scene>/registry is unreachable; using the last verified catalogue
    error: the lease <scene>/homes/rosa/vault/statements/leases/<digest>.<digits>.json in the vault is damaged: its digest does not match its name
      next: remove the file and run `portcullis pull <checkpoint>` again: it fetches the registry's copy
    ");
}

#[test]
fn a_public_stage_takes_a_handover_by_a_threshold() {
    let scene = Scene::released("public");
    scene.succeed("eve", "request new tiny --purpose Fun");
    let early = scene.succeed("registry", "answer --quiet");
    scene.succeed("ada", "handover tiny");
    let request = scene.digits(&scene.json("registry", "request list")[0]["digest"]);
    let one = scene.refuse("registry", &format!("answer {request}"));
    scene.succeed("cy", "handover tiny");
    assert!(scene.succeed("registry", "answer").contains("granted tiny to eve"));
    assert_eq!(scene.succeed("registry", "answer"), "no request is pending at the registry\n");
    scene.succeed("registry", "lease issue");
    scene.succeed("eve", "pull tiny");
    let public = scene.succeed("eve", RUN);
    assert_eq!(public, scene.succeed("ada", &RUN.replace("tiny", "./plain")));

    // Back in a gated stage the registry's own grant counts for nothing, whatever it holds.
    scene.propose(POLICY, "partners");
    let gated = scene.refuse("eve", RUN);
    insta::assert_snapshot!([early, one, gated].join("\n"), @"
    no request is pending at the registry

    exit 3
    error: 1 of the 2 shares of tiny were handed over
      next: its board members run `portcullis handover tiny`

    exit 3
    error: the grant <digits> for `tiny` is not valid: it is of stage `public`, and the checkpoint is in stage `partners`, before that
      next: request it again under the stage in force: `portcullis request new <checkpoint> --terms`
    ");
}

#[test]
fn no_plain_weights_and_no_plain_key_touch_the_disk() {
    let scene = Scene::released("partners");
    scene.granted();
    scene.succeed("rosa", RUN);
    let weights = fs::read(scene.at("plain/model.safetensors")).unwrap();
    let piece = &weights[weights.len() / 2..weights.len() / 2 + 64];
    for path in scene.files("registry").into_iter().chain(scene.files("homes")) {
        let bytes = fs::read(&path).unwrap();
        assert!(!bytes.windows(piece.len()).any(|window| window == piece), "{}", path.display());
    }
    assert!(!scene.at(&format!("registry/sealed/{ID}.partial")).exists());
}

#[test]
fn p1_the_registry_alone_opens_nothing() {
    // Its disk, its key and its database: it can neither grant itself the checkpoint nor open what it holds.
    let scene = Scene::released("partners");
    scene.granted();
    let asked = scene.refuse("registry", "request new tiny --purpose Mine --use sale --accept-agreement");
    assert!(asked.starts_with("exit 3"), "{asked}");
    scene.succeed("registry", "request new tiny --purpose Mine --use detection --accept-agreement");
    assert_eq!(scene.succeed("registry", "answer"), "no request is pending at the registry\n");
    // Rosa's statements, taken as they are.
    for kind in ["grant", "share", "lease"] {
        for path in scene.files(&format!("registry/exchange/{kind}s")) {
            let to = scene.at(&format!("homes/registry/vault/statements/{kind}s"));
            fs::create_dir_all(&to).unwrap();
            fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
        }
    }
    scene.succeed("registry", "pull tiny");
    insta::assert_snapshot!(scene.refuse("registry", RUN), @"
    exit 3
    error: the grant <digits> for `tiny` is not valid: the grant is made out to rosa, whose keys are not those of registry
      next: use the identity that it was issued to (--home)
    ");
}

#[test]
fn asking_the_same_twice_in_a_folder_is_one_request_until_it_is_answered() {
    let scene = Scene::released("partners");
    let new = format!("request new {ID} --purpose Same --use detection --days 30 --accept-agreement");
    let first = scene.json("rosa", &new)["request"].clone();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let again = scene.json("rosa", &new);
    assert_eq!((&again["request"], &again["new"]), (&first, &Value::Bool(false)));
    assert_eq!(scene.files("registry/statements/requests").len(), 1);
    scene.succeed("rosa", &format!("request withdraw {}", scene.digits(&first)));
    assert_ne!(scene.json("rosa", &new)["request"], first);
}

#[test]
fn a_refusal_in_json_lists_every_rule_that_is_not_met() {
    let scene = Scene::released("partners");
    let new = format!("request new {ID} --purpose X --use generation --days 300 --accept-agreement --json");
    let output = scene.run("eve", &new);
    assert_eq!(output.status.code(), Some(3));
    let said: Value = serde_json::from_slice(&output.stderr).unwrap();
    let unmet = said["error"]["details"]["unmet"].as_array().unwrap();
    let message = said["error"]["message"].as_str().unwrap();
    assert!(unmet.len() >= 3, "{said}");
    assert!(unmet.iter().all(|rule| message.contains(rule.as_str().unwrap())), "{said}");
}

#[test]
fn joining_what_is_not_there_remembers_nothing() {
    let scene = Scene::founded();
    let root = "--root registry/catalogue/metadata/1.root.json";
    let dead = scene.refuse("rosa", &format!("join http://127.0.0.1:1 {root}"));
    assert!(dead.starts_with("exit 5\n") && dead.contains("cannot reach http://127.0.0.1:1"), "{dead}");
    let empty = scene.refuse("rosa", &format!("join nowhere {root}"));
    assert!(empty.starts_with("exit 5\n"), "{empty}");
    let unsure = scene.refuse("rosa", &format!("join elsewhere {root} --witnesses-needed 2"));
    assert!(unsure.starts_with("exit 2\n"), "{unsure}");
    // The registry that was joined before is still the one that is asked.
    let listed = scene.run("rosa", "request list");
    assert!(listed.status.success(), "{}", support::failure(&listed));
}

#[test]
fn an_id_is_taken_in_either_case_and_what_is_none_is_said() {
    let scene = Scene::released("partners");
    let request = scene.request();
    let shown = scene.succeed("rosa", &format!("request show {request}"));
    assert_eq!(scene.succeed("rosa", &format!("request show {}", request.to_uppercase())), shown);
    insta::assert_snapshot!(scene.refuse("rosa", "request show zz"), @"
    exit 2
    error: `zz` names no request: give 6 to 64 hexadecimal digits, the first of its digest
      next: list them with `portcullis request list`; check that the registry's folder is up to date
    ");
}
