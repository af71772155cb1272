//! `policy`: what is no policy is refused, with its line.
#![allow(clippy::too_many_lines, reason = "one table of what is said, read from top to bottom")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::fs;

use support::policy::{PARTNERS, edited};
use support::*;

/// What `policy check` says of an edited policy that is none.
fn refusal(from: &str, to: &str) -> String {
    let folder = workplace();
    fs::write(folder.path().join("p.toml"), edited(&[(from, to)])).unwrap();
    refuse(folder.path(), "policy check p.toml")
}

#[test]
fn what_is_no_policy_is_refused_with_its_line() {
    insta::assert_snapshot!(refusal("version = 4", "version = "), @"
    exit 4
    error: p.toml: line 3, column 11
      |
    3 | version = 
      |           ^
    string values must be quoted, expected literal string
      next: correct that line; docs/policy.md describes the format
    ");
    insta::assert_snapshot!(refusal("version = 4", "version = 0"), @"
    exit 4
    error: p.toml: line 3, column 11
      |
    3 | version = 0
      |           ^
    invalid value: integer `0`, expected a nonzero u32
      next: correct that line; docs/policy.md describes the format
    ");
    insta::assert_snapshot!(refusal("max_days = 180", "max_day = 180"), @"
    exit 4
    error: p.toml: line 12, column 1
       |
    12 | max_day = 180
       | ^^^^^^^
    unknown field `max_day`, expected one of `name`, `audience`, `approvals`, `agreement`, `uses`, `max_days`, `limits`, `usage`, `lease_hours`, `requires`
      next: correct that line; docs/policy.md describes the format
    ");
    insta::assert_snapshot!(refusal("usage = \"sealed\"\n", ""), @"
    exit 4
    error: p.toml: line 6, column 1
      |
    6 | [[stage]]
      | ^^^^^^^^^
    missing field `usage`
      next: correct that line; docs/policy.md describes the format
    ");
    insta::assert_snapshot!(refusal("audience = \"anyone\"", "audience = \"everyone\""), @r#"
    exit 4
    error: p.toml: line 19, column 12
       |
    19 | audience = "everyone"
       |            ^^^^^^^^^^
    invalid value: string "everyone", expected "anyone", or a table with `organizations`, `people` or both
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(refusal("audience.organizations", "audience.organisations"), @r#"
    exit 4
    error: p.toml: line 8, column 10
      |
    8 | audience.organisations = ["Example University"]
      |          ^^^^^^^^^^^^^
    unknown field `organisations`, expected one of `organizations`, `people`, `affiliation`
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(refusal("[\"Example University\"]", "[\"Example University\", \"\"]"), @r#"
    exit 4
    error: p.toml: line 8, column 49
      |
    8 | audience.organizations = ["Example University", ""]
      |                                                 ^^
    `` is not a name: use 1 to 120 visible characters on one line
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(refusal("approvals = { board = 2 }", "approvals = { board = 0 }"), @"
    exit 4
    error: p.toml: line 9, column 23
      |
    9 | approvals = { board = 0 }
      |                       ^
    invalid value: integer `0`, expected a nonzero u32
      next: correct that line; docs/policy.md describes the format
    ");
    insta::assert_snapshot!(refusal("\"bias-analysis\", ", "\"Bias analysis\", "), @r#"
    exit 4
    error: p.toml: line 11, column 9
       |
    11 | uses = ["Bias analysis", "detection"]
       |         ^^^^^^^^^^^^^^^
    `Bias analysis` is not a use: use 1 to 64 of a-z, 0-9 and `-`, beginning with a letter or digit
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(refusal("tokens_per_day = 2_000_000", "tokens_per_day = -1"), @"
    exit 4
    error: p.toml: line 13, column 25
       |
    13 | limits.tokens_per_day = -1
       |                         ^^
    invalid value: integer `-1`, expected u64
      next: correct that line; docs/policy.md describes the format
    ");
}

#[test]
fn what_makes_no_sense_is_refused_with_its_line() {
    insta::assert_snapshot!(refusal("schema = 1", "schema = 2"), @"
    exit 4
    error: p.toml: line 1, column 10
      |
    1 | schema = 2
      |          ^
    schema 2 is not supported: this version reads schema 1
      next: use the version of portcullis that it was written for
    ");
    insta::assert_snapshot!(refusal("2027-06-30T00:00:00Z", "2027-06-30"), @"
    exit 4
    error: p.toml: line 4, column 11
      |
    4 | expires = 2027-06-30
      |           ^^^^^^^^^^
    `2027-06-30` is not an instant: write a date and a time with `Z`, such as 2027-06-30T00:00:00Z
      next: correct that line; docs/policy.md describes the format
    ");
    insta::assert_snapshot!(refusal("name = \"public\"", "name = \"partners\""), @r#"
    exit 4
    error: p.toml: line 18, column 8
       |
    18 | name = "partners"
       |        ^^^^^^^^^^
    stage `partners` stands twice: each stage has a name of its own
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(refusal("approvals = { board = 2 }\n", ""), @r#"
    exit 4
    error: p.toml: line 7, column 8
      |
    7 | name = "partners"
      |        ^^^^^^^^^^
    stage `partners` is gated, so it must say `approvals`: `{ board = 2 }` for instance, or `{}` to let the registry grant by itself
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(refusal("max_days = 180\n", ""), @r#"
    exit 4
    error: p.toml: line 7, column 8
      |
    7 | name = "partners"
      |        ^^^^^^^^^^
    stage `partners` is gated, so it must say `max_days`: a grant ends
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(refusal("lease_hours = 24\n", ""), @r#"
    exit 4
    error: p.toml: line 7, column 8
      |
    7 | name = "partners"
      |        ^^^^^^^^^^
    stage `partners` is gated, so it must say `lease_hours`: a lease is renewed, or a revocation would reach nobody
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(refusal("at_least = 0.95\n", ""), @r#"
    exit 4
    error: p.toml: line 25, column 8
       |
    25 | kind = "detection"
       |        ^^^^^^^^^^^
    evidence needs `at_least`, `at_most` or both: without a bound anything would do
      next: correct that line; docs/policy.md describes the format
    "#);
    insta::assert_snapshot!(refusal("0.95", "nan"), @"
    exit 4
    error: p.toml: line 27, column 12
       |
    27 | at_least = nan
       |            ^^^
    a bound is a finite number
      next: correct that line; docs/policy.md describes the format
    ");
    let folder = workplace();
    let head = PARTNERS.split("\n[[stage]]").next().unwrap();
    fs::write(folder.path().join("p.toml"), format!("{head}stage = []\n")).unwrap();
    insta::assert_snapshot!(refuse(folder.path(), "policy check p.toml"), @"
    exit 4
    error: p.toml: line 5, column 9
      |
    5 | stage = []
      |         ^^
    a policy has at least one stage
      next: correct that line; docs/policy.md describes the format
    ");
    let public =
        |n: usize| format!("\n[[stage]]\nname = \"s{n}\"\naudience = \"anyone\"\nusage = \"counts\"\n");
    let many: String = (0..33).map(public).collect();
    fs::write(folder.path().join("p.toml"), format!("{head}{many}")).unwrap();
    insta::assert_snapshot!(refuse(folder.path(), "policy check p.toml"), @"
    exit 4
    error: p.toml: line 6, column 1
      |
    6 | [[stage]]
      | ^^^^^^^^^
    33 stages are too many: at most 32 are read
      next: correct that line; docs/policy.md describes the format
    ");
}

#[test]
fn a_policy_that_keeps_grants_of_versions_that_are_none_is_refused() {
    let refusal = |keeps: &str| refusal("version = 4", &format!("version = 4\nkeeps_grants_from = {keeps}"));
    insta::assert_snapshot!([refusal("5"), refusal("0"), refusal("-1")].join("\n"), @"
    exit 4
    error: p.toml: line 4, column 21
      |
    4 | keeps_grants_from = 5
      |                     ^
    this is version 4, and version 5 comes after it: name an earlier version, or leave the line out
      next: correct that line; docs/policy.md describes the format

    exit 4
    error: p.toml: line 4, column 21
      |
    4 | keeps_grants_from = 0
      |                     ^
    invalid value: integer `0`, expected a nonzero u32
      next: correct that line; docs/policy.md describes the format

    exit 4
    error: p.toml: line 4, column 21
      |
    4 | keeps_grants_from = -1
      |                     ^^
    invalid value: integer `-1`, expected a nonzero u32
      next: correct that line; docs/policy.md describes the format
    ");
}

#[test]
fn a_file_that_cannot_be_a_policy_is_refused() {
    let folder = workplace();
    insta::assert_snapshot!(refuse(folder.path(), "policy show none.toml"), @"
    exit 5
    error: cannot read none.toml: No such file or directory (os error 2)
      next: check the path
    ");
    fs::write(folder.path().join("long.toml"), "#".repeat(70_000)).unwrap();
    insta::assert_snapshot!(refuse(folder.path(), "policy show long.toml"), @"
    exit 4
    error: long.toml is longer than 65536 bytes
      next: check that it is the right file
    ");
    fs::write(folder.path().join("bytes.toml"), [0xff, 0xfe]).unwrap();
    insta::assert_snapshot!(refuse(folder.path(), "policy show bytes.toml"), @"
    exit 2
    error: bytes.toml is not UTF-8
      next: convert it to UTF-8 first
    ");
    insta::assert_snapshot!(refuse(folder.path(), "policy check p.toml --boards board:3"), @"
    exit 2
    error: invalid value 'board:3' for '--boards <NAME=MEMBERS>': write a board as name=members, such as board=3

    For more information, try '--help'.
    ");
    insta::assert_snapshot!(refuse(folder.path(), "policy check p.toml --boards board=many"), @"
    exit 2
    error: invalid value 'board=many' for '--boards <NAME=MEMBERS>': `many` is not a number of members

    For more information, try '--help'.
    ");
}
