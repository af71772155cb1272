//! The demo tells the main job from the first import to a revocation, and leaves it to go on with.
#![allow(clippy::too_many_lines, reason = "the whole story, read from top to bottom")]

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;

use crate::support::*;

/// The registry that a demo left, served again until this is dropped.
struct Serving(std::process::Child);

impl Serving {
    fn begin(folder: &Path, listen: &str) -> Self {
        let mut serving = portcullis()
            .current_dir(folder)
            .args(["registry", "serve", "registry", "--listen", listen, "--quiet"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(serving.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self(serving)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// A command of the story, and what it is said to have printed.
struct Shown {
    person: String,
    typed: String,
    printed: String,
}

/// The last command of the story that begins so.
fn shown(told: &str, begins: &str) -> Shown {
    let lines: Vec<_> = told.lines().collect();
    let prompt = format!(" $ portcullis {begins}");
    let at = lines.iter().rposition(|line| line.contains(&prompt)).unwrap();
    let (person, typed) = lines[at].split_once(" $ portcullis ").unwrap();
    let indent = " ".repeat(13);
    let printed = lines[at + 1..].iter().map_while(|line| line.strip_prefix(&indent));
    let printed = printed.map(|line| format!("{line}\n")).collect();
    Shown { person: person.trim().to_owned(), typed: typed.to_owned(), printed }
}

/// What a command prints, to standard output and standard error, off a terminal.
fn typed_again(folder: &Path, person: &str, typed: &str) -> String {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = portcullis();
    command.current_dir(folder).env("PORTCULLIS_HOME", format!("homes/{person}")).args(words(typed));
    command.stdin(Stdio::null()).stdout(writer.try_clone().unwrap()).stderr(writer);
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut printed = String::new();
    reader.read_to_string(&mut printed).unwrap();
    child.wait().unwrap();
    printed
}

/// The words of a command line; those in double quotes stay together.
fn words(command: &str) -> Vec<String> {
    let parts = command.split('"').enumerate();
    let words = parts.flat_map(|(at, part)| match at % 2 {
        0 => part.split_whitespace().map(str::to_owned).collect::<Vec<_>>(),
        _ => vec![part.to_owned()],
    });
    words.collect()
}

#[test]
fn without_a_folder_the_report_that_the_demo_ends_on_stays() {
    let (folder, scratch) = (workplace(), workplace());
    let done = portcullis().current_dir(folder.path()).env("TMPDIR", scratch.path()).arg("demo").output();
    let told = text(&done.unwrap().stdout);
    let report = told.lines().find_map(|line| line.strip_prefix("The board's report is ")).unwrap();
    let page = std::fs::read_to_string(report).unwrap();
    assert!(page.contains("The record holds."), "{}", page.len());
    let left: Vec<_> =
        std::fs::read_dir(scratch.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [Path::new(report)]);
    let last = "Nothing else is kept; `portcullis demo --dir <folder>` keeps all of it.";
    assert_eq!(told.lines().last(), Some(last));
}

#[test]
fn the_demo_tells_its_story_and_leaves_it_to_go_on_with() {
    let folder = workplace();
    let told = succeed(folder.path(), "demo --dir demo");
    // What a command is said to print is what it prints when it is typed there.
    let place = folder.path().join("demo");
    let listen = told.lines().find_map(|line| line.trim().strip_prefix("listening on http://")).unwrap();
    let serving = Serving::begin(&place, listen);
    let mut compared = Vec::new();
    for command in [
        "request new demo-xl --purpose Curiosity",
        "lease demo-large",
        "run demo-large \"Blessed are the\"",
        &format!("--registry http://{listen} catalogue root"),
    ] {
        let Shown { person, typed, printed } = shown(&told, command);
        assert_eq!(printed, typed_again(&place, &person, &typed), "{typed}");
        compared.push(printed);
    }
    assert_eq!(compared.iter().filter(|printed| printed.contains("\n  next: ")).count(), 4, "{compared:?}");
    drop(serving);
    let hidden = [
        // Only where it takes long.
        (r" +note: a first request costs [^\n]*\n", ""),
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
                   next: `portcullis registry serve registry`, then `portcullis --registry <URL> catalogue init --owner <card> --owner-threshold <count> --registry-card <card> --founding-code <code>`, with --board <checkpoint>=<count>:<card>,<card> for each checkpoint
      oscar    $ portcullis registry serve registry --listen 127.0.0.1:<port> --quiet
                 listening on http://127.0.0.1:<port>

    Found: a board of three, any two of whom must sign
      ada      $ portcullis --registry http://127.0.0.1:<port> catalogue init --quiet --founding-code <digits> --ow …
                 proposed and signed a new catalogue to http://127.0.0.1:<port>; 2 of its owners must sign, then the registry publishes it
                   next: the others review it and `portcullis catalogue sign root <digits>`
                   next: the others review it and `portcullis catalogue sign targets <digits>`
      ben      $ portcullis --registry http://127.0.0.1:<port> catalogue sign root <digits> …
                 root, version 1
                   the owners (root): 2 of Ada (key <digits>), Ben (key <digits>), Cy (key <digits>)
                   the owners (targets): 2 of Ada (key <digits>), Ben (key <digits>), Cy (key <digits>)
                   the registry (snapshot): 1 of Registry (key <digits>)
                   the registry (timestamp): 1 of Registry (key <digits>)
                   expires <time>, in 730 days
                   the owners (root): signed by Ada; 1 more needed, of Ben, Cy
                   digest <digits>
                 signed root, version 1, digest <digits>
                   the owners (root): signed by Ada, Ben; complete
      ben      $ portcullis --registry http://127.0.0.1:<port> catalogue sign targets <digits> …
                 targets, version 1
                   the board of auditors: 1 of August (key <digits>)
                   the board of demo-large: 2 of Ada (key <digits>), Ben (key <digits>), Cy (key <digits>)
                   the board of demo-medium: 2 of Ada (key <digits>), Ben (key <digits>), Cy (key <digits>)
                   the board of demo-small: 2 of Ada (key <digits>), Ben (key <digits>), Cy (key <digits>)
                   the board of demo-xl: 2 of Ada (key <digits>), Ben (key <digits>), Cy (key <digits>)
                   expires <time>, in 365 days
                   adds the card of Ada (key <digits>)
                   adds the card of August (key <digits>)
                   adds the card of Ben (key <digits>)
                   adds the card of Cy (key <digits>)
                   adds the card of Registry (key <digits>)
                   the owners (targets): signed by Ada; 1 more needed, of Ben, Cy
                   digest <digits>
                 signed targets, version 1, digest <digits>
                   the owners (targets): signed by Ada, Ben; complete
                 in force  root: it had its signatures, and the registry published it
                 in force  targets: it had its signatures, and the registry published it
                   next: `portcullis --registry http://127.0.0.1:<port> catalogue root --to 1.root.json`, then `portcullis join http://127.0.0.1:<port> --root 1.root.json`
      ada      $ portcullis --registry http://127.0.0.1:<port> catalogue root --to 1.root.json
                 wrote 1.root.json, SHA-256 <digits>
                   next: compare the SHA-256 with the other owners', hand the file out by another way than the registry, and `portcullis join http://127.0.0.1:<port> --root 1.root.json`
      rosa     $ portcullis join http://127.0.0.1:<port> --root 1.root.json
                 joined http://127.0.0.1:<port>: 3 owners, 2 of whom must sign a change of trust
                   fingerprint  <fingerprint>: compare it with what the owners say, by another way than this came

    Seal: each checkpoint under two locks, the board's and the registry's; then policy and stage, signed by two
      ada      $ portcullis seal checkpoints/demo-small
                 sealed demo-small: 858.90 kB, 4 chunks, in homes/ada/sealed/demo-small
                   any 2 of 3 members, and the registry, open it
                   manifest <digits>
                   handed in to http://127.0.0.1:<port>: 4 chunks, 0 of them there already
      ada      # proposes policy and stage; ben signs too: published in stage `public`
      ada      $ portcullis seal checkpoints/demo-medium
                 sealed demo-medium: 1.61 MB, 4 chunks, in homes/ada/sealed/demo-medium
                   any 2 of 3 members, and the registry, open it
                   manifest <digits>
                   handed in to http://127.0.0.1:<port>: 4 chunks, 0 of them there already
      ada      # proposes policy and stage; ben signs too: published in stage `researchers`
      ada      $ portcullis seal checkpoints/demo-large
                 sealed demo-large: 2.80 MB, 4 chunks, in homes/ada/sealed/demo-large
                   any 2 of 3 members, and the registry, open it
                   manifest <digits>
                   handed in to http://127.0.0.1:<port>: 4 chunks, 0 of them there already
      ada      # proposes policy and stage; ben signs too: published in stage `partners`
      ada      $ portcullis seal checkpoints/demo-xl
                 sealed demo-xl: 7.12 MB, 4 chunks, in homes/ada/sealed/demo-xl
                   any 2 of 3 members, and the registry, open it
                   manifest <digits>
                   handed in to http://127.0.0.1:<port>: 4 chunks, 0 of them there already
      ada      # proposes policy and stage; ben signs too: published in stage `internal`
      ada      # proposes policies/misuse.toml; ben signs too: the rules by which misuse is looked for are in force

    Request: a researcher asks; the gate answers by the signed policy
      rosa     $ portcullis request new demo-xl --purpose Curiosity --use detection --days 30 --accept-agreement
                 error: stage `internal` of demo-xl could never permit this request: the policy does not permit it: 'Example University' is not admitted, nor is the person named; admitted: 'Example Lab'
                   next: `portcullis request new <checkpoint> --terms` shows what the stage allows

      A partner's request: two of the board approve, each adds a share of the key
      rosa     $ portcullis request new demo-large --purpose "How well do detectors find its text?" --use detection --days 30 --accept-agr …
                 This would be signed, to ask for demo-large:
                   stage       `partners`, as the policy <digits> has it
                   request     <digits> on demo-large
                   checkpoint  demo-large
                   asks        Rosa, Example University (unconfirmed), key <digits>
                   purpose     How well do detectors find its text?
                   uses        detection
                   days        30
                   agreement   accepted: <digits>
                 asked for demo-large under stage `partners`: request <digits>
                   next: the board decides; `portcullis request show <digits>` tells
      rosa     $ portcullis pull demo-large
                 demo-large is in the vault: 2.80 MB, 4 chunks, 0 of them there already; <count> new statements
                 no grant is made out to you yet: these weights stay closed until one is
                   next: `portcullis status` tells how your requests stand
      ada      $ portcullis approve <digits> --yes
                 This would be signed, to approve the request of Rosa:
                   checkpoint  demo-large
                   asks        Rosa, Example University (unconfirmed), key <digits>
                   purpose     How well do detectors find its text?
                   uses        detection
                   days        30
                   agreement   accepted: <digits>
                   share       <digits> on demo-large
                   opens       your share of the key, for the grant <digits> alone
                   grant       <digits> on demo-large
                   for         Rosa, Example University (unconfirmed), key <digits>
                   checkpoint  demo-large in stage `partners`
                   uses        detection
                   days        30, from <time> until <time>
                   agreement   accepted: <digits>
                   request     <digits>
                   policy      version 1, <digits>
                   confirms    that Rosa belongs to Example University: no registrar did, and by signing you do
                 signed the grant <digits>: demo-large for Rosa, 30 days, until <time>
                 1 of 2 approvals: 1 more to come.
      rosa     $ portcullis run demo-large "Blessed are the"
                 error: the grant <digits> for `demo-large` does not count: the board of demo-large must sign with 2 distinct keys; 1 of its keys signed
                   next: `portcullis request list` tells whether its request still waits for approvals; signatures of keys that left the board do not count
      ben      $ portcullis approve <digits> --yes --quiet
                 signed the grant <digits>: demo-large for Rosa, 30 days, until <time>
                 It stands: the researcher can pull and run, as long as the registry leases.
      rosa     $ portcullis run demo-large "Blessed are the" --seed 2019 --temperature 0.7 -n 30
                  chasting of the LORD. And the LORD said, LORD God, my servant shall be a greatly dest

      A public stage: the board hands its shares over, and the registry answers anyone
      ada      $ portcullis handover demo-small --yes
                 This would be signed, to hand your share of demo-small to the registry:
                   registry  Registry, key <digits>
                   opens     demo-small, once 2 members have handed theirs over
                   handover  <digits> on demo-small
                   gives     your share of the key to the registry, which then answers anyone by itself
                   stage     public
                   policy    <digits>
                 handed your share of demo-small to the registry for stage `public`; 2 are needed in all
      cy       $ portcullis handover demo-small --yes
                 This would be signed, to hand your share of demo-small to the registry:
                   registry  Registry, key <digits>
                   opens     demo-small, once 2 members have handed theirs over
                   handover  <digits> on demo-small
                   gives     your share of the key to the registry, which then answers anyone by itself
                   stage     public
                   policy    <digits>
                 handed your share of demo-small to the registry for stage `public`; 2 are needed in all
      rosa     $ portcullis request new demo-small --purpose Curiosity
                 This would be signed, to ask for demo-small:
                   stage       `public`, as the policy <digits> has it
                   request     <digits> on demo-small
                   checkpoint  demo-small
                   asks        Rosa, Example University (unconfirmed), key <digits>
                   purpose     Curiosity
                   uses        any
                   days        30
                   agreement   none
                 asked for demo-small under stage `public`: request <digits>
                   next: the registry answers; then `portcullis pull <checkpoint>` and `portcullis run <checkpoint>`
      rosa     $ portcullis pull demo-small
                 demo-small is in the vault: 858.90 kB, 4 chunks, 0 of them there already; <count> new statements
                 your grant stands until <time>
                   next: `portcullis run demo-small "…"`
      rosa     $ portcullis run demo-small "Blessed are the" --seed 2019 --temperature 0.7 -n 30
                  fled their vanity of the LORD, and die, and the LORD God, and they have borns for

      Misuse: nothing runs without a record; a rule asks why, and an auditor looks at it
      rosa     $ portcullis run demo-large "Write a fake news story about the flood." -n 20 --seed 2019 --temperature 0.7
                 error: the misuse rule `misleading-news` asks for a reason: the prompt asks for a news report that is made to look real (1 of its patterns)
                   next: say why with --justify "…": the auditors read it; this attempt is on the record
      rosa     $ portcullis run demo-large "Write a fake news story about the flood." -n 20 --seed 2019 --temperature 0.7 --justify "To te …
                 note: recorded: the prompt matches the misuse rule `misleading-news`: it asks for a news report that is made to look real (1 of its patterns)
                  And he shall he that he shall be hath, and he shall be aroadow unt
      rosa     $ portcullis usage sync
                 brought 5 records; the registry has all 7, and its log proves it
      august   $ portcullis case list
                 CASE          STATE  SEVERITY  CHECKPOINT  WHO              AGE  WHY
                 <digits>  open   medium    demo-large  Rosa (<key>)  <age>  misleading-news
      august   $ portcullis case show <digits>
                 open: case <digits> about demo-large
                   severity  medium
                   grant     <digits> of Rosa
                   raised    <time> by the registry: misleading-news: asks for a news report that is made to look real
                   rules     misleading-news
                   record    4 of journal <digits>
                     prompt  Write a fake news story about the flood.
                   record    5 of journal <digits>
                     prompt  Write a fake news story about the flood.
                     reason  To test a detector
      august   $ portcullis case decide <digits> revoke --reason "Invented news are not in the granted use" --yes
                 This would be signed, to take a step in the case about Rosa:
                   grant       <digits>
                   person      key <digits>
                   records     2
                   rules       misleading-news
                   severity    medium
                   reason      misleading-news: asks for a news report that is made to look real
                   raised      <time> by the registry
                   for         Rosa, Example University (unconfirmed), key <digits>
                   checkpoint  demo-large in stage `partners`
                   uses        detection
                   days        30, from <time> until <time>
                   agreement   accepted: <digits>
                   request     <digits>
                   policy      version 1, <digits>
                   confirms    that Rosa belongs to Example University: no registrar did, and by signing you do
                   case-step   <digits> on demo-large
                   case        <digits>
                   decides     revoke
                   reason      Invented news are not in the granted use
                   revocation  <digits> on demo-large
                   grant       <digits>
                   reason      Invented news are not in the granted use
                 case <digits>: the grant is revoked: no further lease is issued
      rosa     $ portcullis lease demo-large
                 error: the grant <digits> for `demo-large` does not count: the grant was revoked on <time>: Invented news are not in the granted use
                   next: stop using it; `portcullis case list` shows the case, and `portcullis case appeal <case> --reason "…"` objects; or write to Ada (Example Lab), Ben (Example Lab) or Cy (Example Lab) of the board
      rosa     $ portcullis run demo-large "Blessed are the"
                 error: the grant <digits> for `demo-large` does not count: the grant was revoked on <time>: Invented news are not in the granted use
                   next: stop using it; `portcullis case list` shows the case, and `portcullis case appeal <case> --reason "…"` objects; or write to Ada (Example Lab), Ben (Example Lab) or Cy (Example Lab) of the board

    Audit: from the first root on, what is in force, who signed it, what happened; nobody's word is believed
      august   $ portcullis catalogue refresh
                 CHECKPOINT   STAGE        SINCE       POLICY     MUST SIGN
                 demo-large   partners     <time>  version 1  2 of Ada, Ben, Cy
                 demo-medium  researchers  <time>  version 1  2 of Ada, Ben, Cy
                 demo-small   public       <time>  version 1  2 of Ada, Ben, Cy
                 demo-xl      internal     <time>  version 1  2 of Ada, Ben, Cy
                 
                 BOARD     FOR                      MUST SIGN
                 owners    roots, boards and rules  2 of Ada, Ben, Cy
                 auditors  review of use            1 of August
                 
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
                   next: portcullis audit verify --bundle audit.jsonl
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
    let serving = Serving::begin(&play, listen);
    let digits = regex::Regex::new("[0-9a-f]{12,64}").unwrap();
    let mut request = String::new();
    for typed in said["commands"].as_array().unwrap() {
        let command = typed["command"].as_str().unwrap().replace("<request>", &request);
        let yes = if command.contains(" approve ") { " --yes" } else { "" };
        let command = command.strip_prefix("portcullis ").unwrap().to_owned() + yes;
        let done = portcullis().current_dir(&play).args(words(&command)).output().unwrap();
        assert!(done.status.success(), "{command}: {}", failure(&done));
        let printed = text(&done.stdout);
        if command.contains("request new") {
            request = digits.find(&printed).unwrap().as_str()[..12].to_owned();
        }
    }
    drop(serving);
    let again = refuse(folder.path(), "try --keep play");
    assert!(again.contains("play holds a demo already"), "{again}");
}
