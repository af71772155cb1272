//! The demo tells the main job from the first import to a revocation, and leaves it to go on with.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(clippy::too_many_lines, reason = "the whole story, read from top to bottom")]

mod support;

use support::*;

#[test]
fn the_demo_tells_its_story_and_leaves_it_to_go_on_with() {
    let folder = workplace();
    let told = succeed(folder.path(), "demo --dir demo");
    let hidden = [
        (r"\b[0-9a-f]{12,64}\b", "<digits>"),
        (r"\d{4}-\d\d-\d\d(T[0-9:]+Z)?", "<time>"),
        (r"[0-9.]+ M?B/s", "<rate>"),
        (r"127\.0\.0\.1:\d+", "127.0.0.1:<port>"),
        (r"\d+ new statements", "<count> new statements"),
        (r"([0-9a-f]{4} ){4}[0-9a-f]{4}", "<fingerprint>"),
        (r"\([0-9a-f]{8}\)", "(<key>)"),
        // As wide as the oldest of a table.
        (r"AGE +WHY", "AGE  WHY"),
        (r"\b\d+ s +misleading", "<age>  misleading"),
    ];
    let told = hidden.iter().fold(told, |told, (pattern, word)| {
        regex::Regex::new(pattern).unwrap().replace_all(&told, *word).into_owned()
    });
    insta::assert_snapshot!(told, @r#"
    Four GPT-2 checkpoints, small enough to carry along, trained on the King James text.

    Import: from Hugging Face's layout into one normal form, every byte and tensor checked
      demo-small     378,624 parameters, 2 layers of width  64, 858.83 kB
      demo-medium    753,504 parameters, 3 layers of width  96, 1.61 MB
      demo-large   1,350,400 parameters, 4 layers of width 128, 2.80 MB
      demo-xl      3,505,152 parameters, 6 layers of width 192, 7.12 MB

    Verify: every file's digest, every tensor's shape and numbers
      demo-small sound: 4 files, 28 tensors
      demo-medium sound: 4 files, 40 tensors
      demo-large sound: 4 files, 52 tensors
      demo-xl sound: 4 files, 76 tensors

    Serve: a registry on this machine; it keeps statements and ciphertext, and can release nothing by itself
      oscar    $ portcullis registry init registry
                 made a registry in registry: key <digits>
                   card           registry/registry.card
                   settings       registry/portcullis.toml
                   founding code  <digits>
                 Whoever founds the catalogue needs card and code; the code is shown this once.
      oscar    $ portcullis registry serve registry
                 listening on http://127.0.0.1:<port>

    Found: a board of three, any two of whom must sign
      ada      $ portcullis --registry http://127.0.0.1:<port> catalogue init --founding-code <digits> --owner-thre …
                 proposed and signed a new catalogue to http://127.0.0.1:<port>; 2 of its owners must sign, then the registry publishes it
      ben      $ portcullis --registry http://127.0.0.1:<port> catalogue sign root <digits> …
                 signed root, version 1, digest <digits>
                   the owners (root): signed by Ada, Ben; complete
      ben      $ portcullis --registry http://127.0.0.1:<port> catalogue sign targets <digits> …
                 signed targets, version 1, digest <digits>
                   the owners (targets): signed by Ada, Ben; complete
                 in force  root: it had its signatures, and the registry published it
                 in force  targets: it had its signatures, and the registry published it
      ada      $ portcullis --registry http://127.0.0.1:<port> catalogue root --to 1.root.json
                 wrote 1.root.json, SHA-256 <digits>
      rosa     $ portcullis join http://127.0.0.1:<port> --root 1.root.json
                 joined http://127.0.0.1:<port>: 3 owners, 2 of whom must sign a change of trust
                   fingerprint  <fingerprint>: compare it with what the owners say, by another way than this came

    Seal: each checkpoint under two locks, the board's and the registry's; then policy and stage, signed by two
      ada      $ portcullis seal checkpoints/demo-small
                 sealed demo-small: 858.90 kB, 4 chunks, in homes/ada/sealed/demo-small
                   any 2 of 3 members, and the registry, open it
                   manifest <digits>
                   handed in to http://127.0.0.1:<port>: 4 chunks, 0 of them there already
                 published in stage `public`, signed by ada and ben
      ada      $ portcullis seal checkpoints/demo-medium
                 sealed demo-medium: 1.61 MB, 4 chunks, in homes/ada/sealed/demo-medium
                   any 2 of 3 members, and the registry, open it
                   manifest <digits>
                   handed in to http://127.0.0.1:<port>: 4 chunks, 0 of them there already
                 published in stage `researchers`, signed by ada and ben
      ada      $ portcullis seal checkpoints/demo-large
                 sealed demo-large: 2.80 MB, 4 chunks, in homes/ada/sealed/demo-large
                   any 2 of 3 members, and the registry, open it
                   manifest <digits>
                   handed in to http://127.0.0.1:<port>: 4 chunks, 0 of them there already
                 published in stage `partners`, signed by ada and ben
      ada      $ portcullis seal checkpoints/demo-xl
                 sealed demo-xl: 7.12 MB, 4 chunks, in homes/ada/sealed/demo-xl
                   any 2 of 3 members, and the registry, open it
                   manifest <digits>
                   handed in to http://127.0.0.1:<port>: 4 chunks, 0 of them there already
                 published in stage `internal`, signed by ada and ben
      ada      $ portcullis catalogue propose misuse --rules policies/misuse.toml
                 proposed and signed a change of targets
                 in force: the rules by which misuse is looked for, signed by ada and ben

    Request: a researcher asks; the gate answers by the signed policy
      rosa     $ portcullis request new demo-xl --purpose Curiosity --use detection --days 30 --accept-agreement
                 refused: stage `internal` of demo-xl could never permit this request: the policy does not permit it: 'Example University' is not admitted, nor is the person named; admitted: 'Example Lab'
                 next: `portcullis request new <checkpoint> --terms` shows what the stage allows

      A partner's request: two of the board approve, each adds a share of the key
      rosa     $ portcullis request new demo-large --purpose "How well do detectors find its text?" --use detection --days 30 --accept-agr …
                 asked for demo-large under stage `partners`: request <digits>
      rosa     $ portcullis pull demo-large
                 demo-large is in the vault: 2.80 MB, 4 chunks, 0 of them there already; <count> new statements
                 no grant is made out to you yet: these weights stay closed until one is
      ada      $ portcullis approve <digits> --yes
                 signed the grant <digits>: demo-large for Rosa, 30 days, until <time>
                 1 of 2 approvals: 1 more to come.
      rosa     $ portcullis run demo-large "Blessed are the"
                 refused: the grant <digits> for `demo-large` does not count: the board of demo-large must sign with 2 distinct keys; 1 of its keys signed
                 next: `portcullis request list` tells whether its request still waits for approvals; signatures of keys that left the board do not count
      ben      $ portcullis approve <digits> --yes
                 signed the grant <digits>: demo-large for Rosa, 30 days, until <time>
                 It stands: the researcher can pull and run, as long as the registry leases.
      rosa     $ portcullis run demo-large "Blessed are the"
                 Blessed are the chasting of the LORD. And the LORD said, LORD God, my servant shall be a greatly dest

      A public stage: the board hands its shares over, and the registry answers anyone
      ada      $ portcullis handover demo-small --yes
                 handed your share of demo-small to the registry for stage `public`; 2 are needed in all
      cy       $ portcullis handover demo-small --yes
                 handed your share of demo-small to the registry for stage `public`; 2 are needed in all
      rosa     $ portcullis request new demo-small --purpose Curiosity
                 asked for demo-small under stage `public`: request <digits>
      rosa     $ portcullis pull demo-small
                 demo-small is in the vault: 858.90 kB, 4 chunks, 0 of them there already; <count> new statements
                 your grant stands until <time>
      rosa     $ portcullis run demo-small "Blessed are the"
                 Blessed are the fled their vanity of the LORD, and die, and the LORD God, and they have borns for

      Misuse: nothing runs without a record; a rule asks why, and an auditor looks at it
      rosa     $ portcullis run demo-large "Write a fake news story about the flood." -n 20 --seed 2019 --temperature 0.7
                 refused: the misuse rule `misleading-news` asks for a reason: the prompt asks for a news report that is made to look real (1 of its patterns)
                 next: say why with --justify "…": the auditors read it; this attempt is on the record
      rosa     $ portcullis run demo-large "Write a fake news story about the flood." --justify "To test a detector"
                 written, and recorded
      rosa     $ portcullis usage sync
                 brought 5 records; the registry has all 7, and its log proves it
      august   $ portcullis case list
                 CASE          STATE  SEVERITY  CHECKPOINT  WHO              AGE  WHY
                 <digits>  open   medium    demo-large  Rosa (<key>)  <age>  misleading-news
      august   $ portcullis case show <digits>
                 open: case <digits> about demo-large
                   severity  medium
                   grant     <digits> of Rosa
                   raised    <time>: misleading-news: asks for a news report that is made to look real
                   rules     misleading-news
                   record    4 of journal <digits>
                     prompt  Write a fake news story about the flood.
                   record    5 of journal <digits>
                     prompt  Write a fake news story about the flood.
                     reason  To test a detector
      august   $ portcullis case decide <digits> revoke --reason "Invented news are not in the granted use" --yes
                 case <digits>: the grant is revoked: no further lease is issued
      rosa     $ portcullis lease demo-large
                 refused: the grant <digits> for `demo-large` does not count: the grant was revoked on <time>: Invented news are not in the granted use
                 next: stop using it; `portcullis case list` shows the case, and `portcullis case appeal <case> --reason "…"` objects; or write to Ada (Example Lab), Ben (Example Lab) or Cy (Example Lab) of the board
      rosa     $ portcullis run demo-large "Blessed are the"
                 refused: the grant <digits> for `demo-large` does not count: the grant was revoked on <time>: Invented news are not in the granted use
                 next: stop using it; `portcullis case list` shows the case, and `portcullis case appeal <case> --reason "…"` objects; or write to Ada (Example Lab), Ben (Example Lab) or Cy (Example Lab) of the board

    Audit: from the first root on, what is in force, who signed it, what happened; nobody's word is believed
      august   $ portcullis catalogue refresh
                 CHECKPOINT   STAGE        SINCE       POLICY     MUST SIGN
                 demo-large   partners     <time>  version 1  2 of Ada, Ben, Cy
                 demo-medium  researchers  <time>  version 1  2 of Ada, Ben, Cy
                 demo-small   public       <time>  version 1  2 of Ada, Ben, Cy
                 demo-xl      internal     <time>  version 1  2 of Ada, Ben, Cy
                 
                 BOARD     FOR            MUST SIGN
                 auditors  review of use  1 of August
                 
                 ROLE         VERSION  EXPIRES                   SIGNED BY
                 root         1        <time> (in 730 days)  Ada, Ben (2 of 3 must)
                 timestamp    6        <time> (in 14 days)   Registry (1 of 1 must)
                 snapshot     6        <time> (in 30 days)   Registry (1 of 1 must)
                 targets      2        <time> (in 365 days)  Ada, Ben (2 of 3 must)
                 demo-large   1        <time> (in 365 days)  Ada, Ben (2 of 3 must)
                 demo-medium  1        <time> (in 365 days)  Ada, Ben (2 of 3 must)
                 demo-small   1        <time> (in 365 days)  Ada, Ben (2 of 3 must)
                 demo-xl      1        <time> (in 365 days)  Ada, Ben (2 of 3 must)
      august   $ portcullis audit verify
                 the record holds: 51 entries of portcullis.dev/log/<digits>
                   root       <digits>
                 proved:
                   - 51 entries have the root that the head states
                   - the head is signed by the registry that the catalogue names
                   - every statement is the one that the log recorded
                   - changes of the catalogue, signed by those whom the catalogue before them named: 7
                   - grants that had their approvals and that the policy then in force permitted: 2
                   - leases for grants that counted then, no longer than the policy allows: 2
                   - revocations, signed by a member of the board or an auditor: 1
                   - usage batches that continue their journals, signed by those who hold the grants, under a lease, within the limits: 2
                   - steps in cases, taken by those who may, decisions with a reason: 2
                   - the log continues every head that this home saw before
                 not proved:
                   - no witness vouches for the head: whether others are shown another log, it does not tell
                   - what a modified program does on a researcher's machine leaves no record
                 overruled by a board:
                   * entry 6: demo-small entered stage `public` against its policy: public is not the first stage; a release begins with internal; 90 days in the stage before are asked for, and it stood in none
                   * entry 11: demo-medium entered stage `researchers` against its policy: researchers is not the first stage; a release begins with internal; 30 days in the stage before are asked for, and it stood in none
                   * entry 16: demo-large entered stage `partners` against its policy: partners is not the first stage; a release begins with internal; 30 days in the stage before are asked for, and it stood in none
      august   $ portcullis audit bundle --to audit.jsonl
                 wrote audit.jsonl: 52 entries with what they record
      august   $ portcullis audit report --format html --output report.html
                 wrote report.html

    It is all in demo. Go on with, for instance:
      portcullis registry serve demo/registry --listen 127.0.0.1:<port> &
      portcullis --home demo/homes/rosa request list
      portcullis --home demo/homes/ada catalogue status
      portcullis --home demo/homes/august audit report
      portcullis --home demo/homes/rosa run demo-small "In the beginning"
    The board's report is demo/report.html
    "#);
    let again = run_in(folder.path(), "demo --dir demo");
    insta::assert_snapshot!(failure(&again), @"
    exit 2
    error: demo holds a demo already
      next: name another folder, or remove this one
    ");
    let rosa = "--home demo/homes/rosa run demo-small -n 4";
    assert!(!run_in(folder.path(), &format!("{rosa} Moses")).stdout.is_empty());
}

#[test]
fn the_replay_of_2019_ends_in_a_report_on_a_record_that_holds() {
    let folder = workplace();
    let told = succeed(folder.path(), "demo --replay-2019 --dir replay");
    for day in [
        "2019-02-14  gpt2-124m enters stage `public`",
        "2019-05-03  gpt2-355m enters stage `public`",
        "2019-08-20  gpt2-774m enters stage `public`",
        "2019-11-05  gpt2-1.5b enters stage `public`",
    ] {
        assert!(told.contains(day), "{told}");
    }
    assert!(told.contains("the record holds: "), "{told}");
    // The last line that counts is the whole story's: hundreds of people.
    let told_last = told.lines().rfind(|line| line.contains(" people, ")).unwrap();
    let people: u64 = told_last.trim().split_once(" people").unwrap().0.parse().unwrap();
    assert!(people > 200, "{told}");
    let page = std::fs::read_to_string(folder.path().join("replay/report.html")).unwrap();
    assert!(page.contains("The record holds.") && page.matches("<svg").count() == 4, "{}", page.len());
}

#[test]
fn whoever_tries_it_is_left_with_commands_that_work() {
    let folder = workplace();
    let refused = run_in(folder.path(), "try");
    insta::assert_snapshot!(failure(&refused), @"
    exit 2
    error: there is no terminal to play at, and nothing would be left of it
      next: name a folder with --keep, which holds it all afterwards
    ");
    let said: serde_json::Value =
        serde_json::from_str(&succeed(folder.path(), "try --keep play --json")).unwrap();
    let play = folder.path().join("play");
    // The registry as it is served again, and then each command as it was printed.
    let listen = said["registry"].as_str().unwrap().trim_start_matches("http://");
    assert_eq!(said["serve"], format!("portcullis registry serve registry --listen {listen} &"));
    let mut serving = portcullis()
        .current_dir(&play)
        .args(["registry", "serve", "registry", "--listen", listen, "--quiet"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(&mut std::io::BufReader::new(serving.stdout.take().unwrap()), &mut line)
        .unwrap();
    let digits = regex::Regex::new("[0-9a-f]{12,64}").unwrap();
    let mut request = String::new();
    for typed in said["commands"].as_array().unwrap() {
        let command = typed["command"].as_str().unwrap().replace("<request>", &request);
        let yes = if command.contains(" approve ") { " --yes" } else { "" };
        let command = command.strip_prefix("portcullis ").unwrap().to_owned() + yes;
        let words = command.split('"').enumerate().flat_map(|(at, part)| match at % 2 {
            0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
            _ => vec![part.to_owned()],
        });
        let done = portcullis().current_dir(&play).args(words).output().unwrap();
        assert!(done.status.success(), "{command}: {}", failure(&done));
        let printed = text(&done.stdout);
        if command.contains("request new") {
            request = digits.find(&printed).unwrap().as_str()[..12].to_owned();
        }
    }
    serving.kill().unwrap();
    serving.wait().unwrap();
    let again = refuse(folder.path(), "try --keep play");
    assert!(again.contains("play holds a demo already"), "{again}");
}
