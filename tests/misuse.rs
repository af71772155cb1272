//! `misuse`: the shipped rules are sound, and what is no rule is refused with its line.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;
use std::path::Path;

use support::*;

/// Both streams of `misuse check`, which may fail.
fn said(folder: &Path) -> String {
    let output = run_in(folder, "misuse check m.toml");
    format!("{}{}", text(&output.stdout), failure(&output))
}

#[test]
fn the_shipped_rules_are_sound() {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/policies/misuse.toml");
    let said = succeed(workplace().path(), &format!("misuse check {rules}"));
    assert!(said.contains("is sound: 11 rules"), "{said}");
}

/// What `misuse check` says of one rule.
fn misuse(rule: &str) -> String {
    let folder = workplace();
    let head = "schema = 1\nversion = 1\n[[rule]]\nid = \"r\"\nseverity = \"low\"\naction = \"flag\"\nreason = \"why\"\n";
    fs::write(folder.path().join("m.toml"), format!("{head}{rule}\n")).unwrap();
    said(folder.path())
}

#[test]
#[expect(clippy::too_many_lines, reason = "one table of refusals, read from top to bottom")]
fn what_is_no_misuse_rule_is_refused_with_its_line() {
    insta::assert_snapshot!(misuse("kind = \"patterns\"\npatterns = ['spam']"), @"
    m.toml: version 1 is sound: 1 rule: 1 patterns
    exit 0
    ");
    insta::assert_snapshot!(misuse("kind = \"guess\""), @r#"
    exit 4
    error: m.toml: line 8, column 8
      |
    8 | kind = "guess"
      |        ^^^^^^^
    unknown variant `guess`, expected one of `patterns`, `volume`, `near-duplicates`, `off-purpose`, `impersonation`, `personal-data`, `mass-generation`
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(misuse("kind = \"patterns\""), @r#"
    exit 4
    error: m.toml: line 8, column 8
      |
    8 | kind = "patterns"
      |        ^^^^^^^^^^
    a rule of kind `patterns` needs `patterns`
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(misuse("kind = \"patterns\"\npatterns = ['spam', '(']"), @"
    exit 4
    error: m.toml: line 9, column 21
      |
    9 | patterns = ['spam', '(']
      |                     ^^^
    the pattern cannot be used: unclosed group
      next: correct it; the syntax is the `regex` crate's, without look-around and back references
    ");
    insta::assert_snapshot!(misuse("kind = \"patterns\"\npatterns = ['(a)\\1']"), @r"
    exit 4
    error: m.toml: line 9, column 13
      |
    9 | patterns = ['(a)\1']
      |             ^^^^^^^
    the pattern cannot be used: backreferences are not supported
      next: correct it; the syntax is the `regex` crate's, without look-around and back references
    ");
    insta::assert_snapshot!(misuse("kind = \"patterns\"\npatterns = ['(\\w{100}){100}']"), @r"
    exit 4
    error: m.toml: line 9, column 13
      |
    9 | patterns = ['(\w{100}){100}']
      |             ^^^^^^^^^^^^^^^^
    the pattern cannot be used: Compiled regex exceeds size limit of 1048576 bytes.
      next: correct it; the syntax is the `regex` crate's, without look-around and back references
    ");
    insta::assert_snapshot!(misuse("kind = \"patterns\"\npatterns = ['a*']"), @"
    exit 4
    error: m.toml: line 9, column 13
      |
    9 | patterns = ['a*']
      |             ^^^^
    the pattern cannot be used: it matches every text
      next: correct it; the syntax is the `regex` crate's, without look-around and back references
    ");
    insta::assert_snapshot!(misuse("kind = \"patterns\"\npatterns = []"), @"
    exit 4
    error: m.toml: line 9, column 12
      |
    9 | patterns = []
      |            ^^
    the pattern cannot be used: there is none
      next: correct it; the syntax is the `regex` crate's, without look-around and back references
    ");
    insta::assert_snapshot!(misuse("kind = \"mass-generation\"\ncount = 3\nhours = 1\npatterns = ['a']"), @"
    exit 4
    error: m.toml: line 11, column 12
       |
    11 | patterns = ['a']
       |            ^^^^^
    a rule of kind `mass-generation` has no `patterns`
      next: correct that line; docs/policy.md describes the format
    ");
    insta::assert_snapshot!(misuse("kind = \"near-duplicates\"\ncount = 3\nhours = 1\nsimilarity = 1.5"), @"
    exit 4
    error: m.toml: line 11, column 14
       |
    11 | similarity = 1.5
       |              ^^^
    `similarity` is a number above 0 and at most 1
      next: correct that line; docs/policy.md describes the format
    ");
    insta::assert_snapshot!(misuse("kind = \"volume\"\nagainst = \"cohort\"\ntimes = 1.0\nfloor = 1\nhours = 1"), @"
    exit 4
    error: m.toml: line 10, column 9
       |
    10 | times = 1.0
       |         ^^^
    `times` is a number above 1
      next: correct that line; docs/policy.md describes the format
    ");
    insta::assert_snapshot!(misuse("kind = \"mass-generation\"\ncount = 3\nhours = 0"), @"
    exit 4
    error: m.toml: line 10, column 9
       |
    10 | hours = 0
       |         ^
    invalid value: integer `0`, expected a nonzero u32
      next: correct that line; docs/policy.md describes the format
    ");
    let again = "kind = \"mass-generation\"\ncount = 3\nhours = 1\n[[rule]]\nid = \"r\"\nseverity = \"low\"\naction = \"flag\"\nreason = \"\"\nkind = \"mass-generation\"";
    insta::assert_snapshot!(misuse(again), @r#"
    exit 4
    error: m.toml: line 12, column 6
       |
    12 | id = "r"
       |      ^^^
    rule `r` stands twice: each rule has an id of its own
      next: correct that line; docs/policy.md describes the format
    "#);
    let long = format!("kind = \"patterns\"\npatterns = ['{}']", "a".repeat(513));
    assert!(misuse(&long).contains("it is longer than 512 bytes"));
    let many = format!("kind = \"patterns\"\npatterns = [{}]", "'a',".repeat(257));
    assert!(misuse(&many).contains("257 patterns are too many: at most 256 are read"));
    let folder = workplace();
    fs::write(folder.path().join("m.toml"), "schema = 7\nversion = 1\n").unwrap();
    insta::assert_snapshot!(said(folder.path()), @"
    exit 4
    error: m.toml: line 1, column 10
      |
    1 | schema = 7
      |          ^
    schema 7 is not supported: this version reads schema 1
      next: use the version of portcullis that it was written for
    ");
}

#[test]
fn other_rules_come_under_a_later_version() {
    let scene = support::people::Scene::founded();
    scene.write("rules.toml", include_str!("../policies/misuse.toml"));
    scene.succeed("ada", "catalogue propose misuse --rules rules.toml");
    scene.sign_and_publish(["ada", "ben"]);
    let older = include_str!("../policies/misuse.toml").replace("version = 2", "version = 1");
    scene.write("rules.toml", &older);
    let refused = scene.refuse("ada", "catalogue propose misuse --rules rules.toml");
    insta::assert_snapshot!(refused, @"
    exit 2
    error: the rules have version 1, and version 2 is in force
      next: give the file a version above 2
    ");
}
