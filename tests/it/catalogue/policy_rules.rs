//! The rules of policies as a library's user meets them: every decision, every move between stages, and what holds for
//! all of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crate::support::policy::{PARTNERS, edited};
use portcullis::digest::Sha256Digest;
use portcullis::policy::{
    Application, Measurement, PersonKey, Policy, Standing, Terms, Use, Verdict, check, decide, diff,
    may_enter, require_succession,
};
use portcullis::time::Timestamp;
use proptest::prelude::*;

const NOW: &str = "2026-01-01T00:00:00Z";

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn terms() -> Terms {
    Terms { agreement: Some(Sha256Digest::compute(b"promise")), ..Terms::default() }
}

/// An application that the partners' stage permits.
fn application() -> Application {
    Application {
        checkpoint: "demo-small".parse().unwrap(),
        person: PersonKey::from_bytes([15; 32]),
        organization: Some("Example University".parse().unwrap()),
        confirmed_until: None,
        uses: ["detection".parse().unwrap()].into(),
        days: 180,
        agreement: terms().agreement,
        approvals: [("board".parse().unwrap(), 2)].into(),
        approvers: BTreeMap::new(),
    }
}

/// Every rule's answer on a line of its own.
fn answers(policy: &str, stage: &str, application: &Application, terms: Terms, now: &str) -> String {
    let policy = Policy::parse(policy).unwrap();
    let stage = stage.parse().unwrap();
    let decision = decide(&policy, &stage, application, terms, time(now));
    let mut text = format!("permits: {}, could: {}\n", decision.permits(), decision.could_permit());
    for rule in decision.rules() {
        writeln!(text, "{:?} {}: {rule}", rule.verdict, rule.rule.as_str()).unwrap();
    }
    text
}

#[test]
fn a_decision_tells_every_rule() {
    insta::assert_snapshot!(answers(PARTNERS, "partners", &application(), terms(), NOW), @"
    permits: true, could: true
    Passed policy-for-this-checkpoint: the policy governs demo-small
    Passed not-expired: the policy holds until 2027-06-30T00:00:00Z
    Passed stage-exists: the policy has the stage partners
    Passed audience: 'Example University' is admitted
    Passed uses: detection may be asked for
    Passed days: 180 days are asked for, and at most 180 may be
    Passed agreement: agreement.md is signed
    Passed approvals: 2 of 2 approvals of board
    ");
    insta::assert_snapshot!(answers(PARTNERS, "public", &application(), Terms::default(), NOW), @"
    permits: true, could: true
    Passed policy-for-this-checkpoint: the policy governs demo-small
    Passed not-expired: the policy holds until 2027-06-30T00:00:00Z
    Passed stage-exists: the policy has the stage public
    Passed audience: anyone may ask
    Passed uses: any use is open
    Passed days: 180 days are asked for, and no limit is set
    Passed agreement: no agreement is asked for
    Passed approvals: nobody's approval is needed
    ");
    let waiting = Application { agreement: None, approvals: BTreeMap::new(), ..application() };
    insta::assert_snapshot!(answers(PARTNERS, "partners", &waiting, terms(), NOW), @"
    permits: false, could: true
    Passed policy-for-this-checkpoint: the policy governs demo-small
    Passed not-expired: the policy holds until 2027-06-30T00:00:00Z
    Passed stage-exists: the policy has the stage partners
    Passed audience: 'Example University' is admitted
    Passed uses: detection may be asked for
    Passed days: 180 days are asked for, and at most 180 may be
    Awaits agreement: agreement.md (3513d9452af7c1768eeba7e47bdd0920aeb18360dc15a1a7759fc0f0e4f3ca02) is to be signed
    Awaits approvals: 0 of 2 approvals of board
    ");
}

#[test]
fn a_refusal_names_what_was_asked_and_what_the_rule_wants() {
    let stranger = Application {
        checkpoint: "demo-large".parse().unwrap(),
        organization: None,
        uses: ["poetry".parse().unwrap(), "detection".parse().unwrap()].into(),
        days: 181,
        agreement: Some(Sha256Digest::compute(b"another promise")),
        ..application()
    };
    insta::assert_snapshot!(answers(PARTNERS, "partners", &stranger, terms(), "2027-06-30T00:00:00Z"), @"
    permits: false, could: false
    Failed policy-for-this-checkpoint: demo-large is asked for, and the policy governs demo-small
    Failed not-expired: the policy ended at 2027-06-30T00:00:00Z, and it is 2027-06-30T00:00:00Z
    Passed stage-exists: the policy has the stage partners
    Failed audience: the person belongs to no organization on record and is not named; admitted: 'Example University'
    Failed uses: not open here: poetry; open: bias-analysis, detection
    Failed days: 181 days are asked for, and at most 180 may be
    Failed agreement: da7e922c69c657ed7005b74601eb0b575d7ebf4e2a34ca5c6e99b98401f28210 was signed, and the agreement.md in force is 3513d9452af7c1768eeba7e47bdd0920aeb18360dc15a1a7759fc0f0e4f3ca02
    Passed approvals: 2 of 2 approvals of board
    ");
    insta::assert_snapshot!(answers(PARTNERS, "secret", &application(), terms(), NOW), @"
    permits: false, could: false
    Passed policy-for-this-checkpoint: the policy governs demo-small
    Passed not-expired: the policy holds until 2027-06-30T00:00:00Z
    Failed stage-exists: the policy has no stage secret
    ");
    let empty = Application { uses: BTreeSet::new(), days: 0, ..application() };
    insta::assert_snapshot!(answers(PARTNERS, "partners", &empty, Terms::default(), NOW), @"
    permits: false, could: false
    Passed policy-for-this-checkpoint: the policy governs demo-small
    Passed not-expired: the policy holds until 2027-06-30T00:00:00Z
    Passed stage-exists: the policy has the stage partners
    Passed audience: 'Example University' is admitted
    Failed uses: no use is named; open: bias-analysis, detection
    Failed days: 0 days are asked for, and a grant lasts at least 1
    Failed agreement: the catalogue holds no agreement.md
    Passed approvals: 2 of 2 approvals of board
    ");
}

#[test]
fn a_person_may_be_named_and_a_registry_may_grant() {
    let named = "audience.people = [\"0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f0f\"]";
    let policy = edited(&[
        ("audience.organizations = [\"Example University\"]", named),
        ("approvals = { board = 2 }", "approvals = {}"),
    ]);
    let alone = Application { organization: None, approvals: BTreeMap::new(), ..application() };
    insta::assert_snapshot!(answers(&policy, "partners", &alone, terms(), NOW), @"
    permits: true, could: true
    Passed policy-for-this-checkpoint: the policy governs demo-small
    Passed not-expired: the policy holds until 2027-06-30T00:00:00Z
    Passed stage-exists: the policy has the stage partners
    Passed audience: the person is named
    Passed uses: detection may be asked for
    Passed days: 180 days are asked for, and at most 180 may be
    Passed agreement: agreement.md is signed
    Passed approvals: nobody's approval is needed
    ");
    let other = Application { person: PersonKey::from_bytes([16; 32]), ..alone };
    assert!(answers(&policy, "partners", &other, terms(), NOW).starts_with("permits: false, could: false"));
}

#[test]
fn several_boards_are_counted_each_for_itself() {
    let policy = edited(&[("board = 2", "board = 2, ethics = 1")]);
    let told = answers(&policy, "partners", &application(), terms(), NOW);
    assert!(told.contains("Awaits approvals: 0 of 1 approvals of ethics"), "{told}");
    assert!(told.starts_with("permits: false, could: true"), "{told}");
}

/// A measurement of the evidence that the public stage asks for.
fn accuracy(value: f64, samples: u64) -> Measurement {
    Measurement { kind: "detection".parse().unwrap(), metric: "accuracy".parse().unwrap(), value, samples }
}

/// Every rule's answer to a move, with what the verdicts come to.
fn entry(from: Option<(&str, &str)>, to: &str, evidence: &[Measurement], now: &str) -> String {
    let three = edited(&[("[stage.requires]\n", "[stage.requires]\n# the public stage\n")])
        + "\n[[stage]]\nname = \"last\"\naudience = \"anyone\"\nusage = \"counts\"\n";
    let policy = Policy::parse(&three).unwrap();
    let from = from.map(|(stage, since)| (stage.parse().unwrap(), time(since)));
    let standing = from.as_ref().map(|(stage, since)| Standing { stage, since: *since });
    let to = to.parse().unwrap();
    let entry = may_enter(&policy, standing, &to, evidence, time(now));
    let mut text = format!("permits: {}, could: {}\n", entry.permits(), entry.could_permit());
    for rule in entry.rules() {
        writeln!(text, "{:?} {:?}: {rule}", rule.verdict, rule.rule).unwrap();
    }
    text
}

#[test]
fn forward_asks_for_time_and_evidence() {
    let from = Some(("partners", "2026-01-01T00:00:00Z"));
    insta::assert_snapshot!(entry(from, "public", &[accuracy(0.96, 5000)], "2026-04-01T00:00:00Z"), @"
    permits: true, could: true
    Passed StageExists: the policy has the stage public
    Passed NotExpired: the policy holds until 2027-06-30T00:00:00Z
    Passed Order: public follows partners
    Passed Soak: 90 days were over on 2026-04-01
    Passed Evidence: detection accuracy of at least 0.95 on 5000 samples is asked for; there is 0.96 on 5000 samples
    ");
    insta::assert_snapshot!(entry(from, "public", &[accuracy(0.96, 4999)], "2026-03-31T23:59:59Z"), @"
    permits: false, could: true
    Passed StageExists: the policy has the stage public
    Passed NotExpired: the policy holds until 2027-06-30T00:00:00Z
    Passed Order: public follows partners
    Awaits Soak: 90 days are over on 2026-04-01
    Awaits Evidence: detection accuracy of at least 0.95 on 5000 samples is asked for; there is 0.96 on 4999 samples
    ");
    insta::assert_snapshot!(entry(from, "public", &[], "2027-07-01T00:00:00Z"), @"
    permits: false, could: false
    Passed StageExists: the policy has the stage public
    Failed NotExpired: the policy ended at 2027-06-30T00:00:00Z, and it is 2027-07-01T00:00:00Z
    Passed Order: public follows partners
    Passed Soak: 90 days were over on 2026-04-01
    Awaits Evidence: detection accuracy of at least 0.95 on 5000 samples is asked for; there is none
    ");
    // A miss is not outvoted, and no number is a miss.
    for miss in [accuracy(0.94, 5000), accuracy(f64::NAN, 5000)] {
        let told = entry(from, "public", &[accuracy(0.99, 9000), miss], "2026-04-01T00:00:00Z");
        assert!(told.contains("Failed Evidence"), "{told}");
    }
}

#[test]
fn no_stage_is_skipped_and_back_is_always_open() {
    let at = "2026-04-01T00:00:00Z";
    insta::assert_snapshot!(entry(Some(("partners", NOW)), "last", &[], at), @"
    permits: false, could: false
    Passed StageExists: the policy has the stage last
    Passed NotExpired: the policy holds until 2027-06-30T00:00:00Z
    Failed Order: last does not follow partners: public comes between
    Passed Soak: no time in the stage before is asked for
    ");
    insta::assert_snapshot!(entry(Some(("partners", NOW)), "partners", &[], at), @"
    permits: false, could: false
    Passed StageExists: the policy has the stage partners
    Passed NotExpired: the policy holds until 2027-06-30T00:00:00Z
    Failed Order: partners is in force already
    Passed Soak: no time in the stage before is asked for
    ");
    insta::assert_snapshot!(entry(None, "public", &[accuracy(1.0, 5000)], at), @"
    permits: false, could: false
    Passed StageExists: the policy has the stage public
    Passed NotExpired: the policy holds until 2027-06-30T00:00:00Z
    Failed Order: public is not the first stage; a release begins with partners
    Failed Soak: 90 days in the stage before are asked for, and it stood in none
    Passed Evidence: detection accuracy of at least 0.95 on 5000 samples is asked for; there is 1 on 5000 samples
    ");
    insta::assert_snapshot!(entry(None, "partners", &[], at), @"
    permits: true, could: true
    Passed StageExists: the policy has the stage partners
    Passed NotExpired: the policy holds until 2027-06-30T00:00:00Z
    Passed Order: partners is the first stage
    Passed Soak: no time in the stage before is asked for
    ");
    insta::assert_snapshot!(entry(Some(("retired", NOW)), "public", &[accuracy(1.0, 5000)], at), @"
    permits: false, could: false
    Passed StageExists: the policy has the stage public
    Passed NotExpired: the policy holds until 2027-06-30T00:00:00Z
    Failed Order: the policy has no stage retired to go to public from; begin with partners
    Failed Soak: 90 days in the stage before are asked for, and it stood in none
    Passed Evidence: detection accuracy of at least 0.95 on 5000 samples is asked for; there is 1 on 5000 samples
    ");
    insta::assert_snapshot!(entry(None, "secret", &[], at), @"
    permits: false, could: false
    Failed StageExists: the policy has no stage secret
    ");
    insta::assert_snapshot!(entry(Some(("last", NOW)), "partners", &[], "2029-01-01T00:00:00Z"), @"
    permits: true, could: true
    Passed StageExists: the policy has the stage partners
    Passed Order: going back to partners narrows, which is always allowed
    ");
}

#[test]
fn the_limits_of_a_stage_are_there_for_grants_to_copy() {
    let policy = Policy::parse(PARTNERS).unwrap();
    let limits = policy.stage(&"partners".parse().unwrap()).unwrap().limits;
    assert_eq!(limits.usage.as_str(), "sealed");
    assert_eq!((limits.lease_hours, limits.max_days), (Some(24), Some(180)));
    assert_eq!(limits.tokens_per_day, Some(2_000_000));
}

#[test]
fn a_policy_follows_those_before_it() {
    let policy = |version: u32, keeps: &str, edits: &[(&str, &str)]| {
        let version = format!("version = {version}{keeps}");
        Policy::parse(&edited(&[&[("version = 4", version.as_str())], edits].concat())).unwrap()
    };
    let said = |earlier: &[Policy], next: Policy| match require_succession(earlier, &next) {
        Ok(()) => "it may".to_owned(),
        Err(refused) => refused.to_string(),
    };
    let keeps_4 = "\nkeeps_grants_from = 4";
    let fewer_days = [("max_days = 180", "max_days = 90")];
    let first = || policy(4, "", &[]);
    let narrowed = || vec![first(), policy(5, keeps_4, &fewer_days)];
    let renamed = vec![first(), policy(5, keeps_4, &[("\"partners\"", "\"friends\"")])];
    let by_registry = vec![first(), policy(5, keeps_4, &[("{ board = 2 }", "{}")])];
    let other_terms = vec![
        first(),
        policy(5, keeps_4, &[("2_000_000", "1_000_000"), ("lease_hours = 24", "lease_hours = 12")]),
    ];
    let wider = ("\"Example University\"", "\"Example University\", \"Institute\"");
    insta::assert_snapshot!([
        said(&[], policy(1, "", &[])),
        said(&[first()], policy(4, "", &fewer_days)),
        said(&[first()], policy(5, keeps_4, &[])),
        said(&[first()], policy(6, "\nkeeps_grants_from = 3", &[])),
        said(&[first(), policy(5, "", &[])], policy(6, keeps_4, &[])),
        said(&narrowed(), policy(6, keeps_4, &[])),
        said(&narrowed(), policy(6, keeps_4, &[fewer_days[0], wider])),
        said(&narrowed(), policy(6, "\nkeeps_grants_from = 5", &[])),
        said(&narrowed(), policy(6, keeps_4, &[("max_days = 180", "max_days = 60")])),
        said(&renamed, policy(6, keeps_4, &[])),
        said(&by_registry, policy(6, keeps_4, &[])),
        said(&other_terms, policy(6, keeps_4, &[wider])),
    ].join("\n"), @"
    it may
    is version 4, and version 4 is in force: versions only rise
    it may
    keeps grants made under version 3 or later, and those made before version 4 have ended: a later policy revives none
    keeps grants made under version 4 or later, and those made before version 5 have ended: a later policy revives none
    keeps grants made under version 4 or later, and permits more than version 5 did, which ended some of them (partners: at most 90 days instead of 180): a later policy revives none
    keeps grants made under version 4 or later, and permits more than version 5 did, which ended some of them (partners: at most 90 days instead of 180): a later policy revives none
    it may
    it may
    keeps grants made under version 4 or later, and permits more than version 5 did, which ended some of them (the stage partners is gone): a later policy revives none
    keeps grants made under version 4 or later, and permits more than version 5 did, which ended some of them (partners: others grant): a later policy revives none
    it may
    ");
}

fn uses() -> impl Strategy<Value = BTreeSet<Use>> {
    let names = prop::sample::subsequence(vec!["detection", "bias-analysis", "poetry", "spam"], 0..=4);
    names.prop_map(|names| names.into_iter().map(|name| name.parse().unwrap()).collect())
}

prop_compose! {
    fn applications()(
        here in any::<bool>(), member in any::<bool>(), uses in uses(), days in 0..400u32,
        signed in prop::option::of(any::<bool>()), board in 0..4u32, ethics in 0..3u32,
    ) -> Application {
        Application {
            checkpoint: if here { "demo-small" } else { "demo-large" }.parse().unwrap(),
            organization: member.then(|| "Example University".parse().unwrap()),
            agreement: signed.map(|right| if right { Sha256Digest::compute(b"promise") } else { Sha256Digest::compute(b"") }),
            approvals: [("board".parse().unwrap(), board), ("ethics".parse().unwrap(), ethics)].into(),
            uses,
            days,
            ..application()
        }
    }
}

/// An application that lacks little, so that monotony is tried where it can fail.
fn near_misses() -> impl Strategy<Value = Application> {
    prop_oneof![
        applications(),
        (uses(), 0..4u32, 0..3u32).prop_map(|(uses, board, ethics)| Application {
            uses,
            approvals: [("board".parse().unwrap(), board), ("ethics".parse().unwrap(), ethics)].into(),
            ..application()
        }),
    ]
}

/// What one version of a policy may say of the stage, and of the grants of before.
fn versions() -> impl Strategy<Value = Vec<(String, u32)>> {
    let days = prop::sample::select(vec![90, 180, 360]);
    let uses =
        prop::sample::select(vec!["\"detection\"", "\"bias-analysis\"", "\"detection\", \"bias-analysis\""]);
    let audience = prop::sample::select(vec![
        "\"Example University\"",
        "\"Institute\"",
        "\"Example University\", \"Institute\"",
    ]);
    let approvals = prop::sample::select(vec!["board = 1", "board = 2", "board = 2, ethics = 1", ""]);
    let stage = prop::sample::select(vec!["partners", "partners", "partners", "friends"]);
    let one =
        (days, uses, audience, approvals, stage).prop_map(|(days, uses, audience, approvals, stage)| {
            edited(&[
                ("max_days = 180", &format!("max_days = {days}")),
                ("\"bias-analysis\", \"detection\"", uses),
                ("\"Example University\"", audience),
                ("board = 2", approvals),
                ("\"partners\"", &format!("\"{stage}\"")),
            ])
        });
    prop::collection::vec((one, prop::sample::select(vec![1u32, 1, 1, 2, 5])), 3..6)
}

/// What some of those versions permit.
fn answerable() -> impl Strategy<Value = Application> {
    let uses = prop::sample::select(vec![
        vec!["detection"],
        vec!["bias-analysis"],
        vec!["detection", "bias-analysis"],
    ]);
    let organization = prop::sample::select(vec!["Example University", "Institute"]);
    let days = prop::sample::select(vec![90, 180, 360]);
    (uses, organization, days, 1..3u32, 0..2u32).prop_map(|(uses, organization, days, board, ethics)| {
        Application {
            organization: Some(organization.parse().unwrap()),
            uses: uses.into_iter().map(|name| name.parse().unwrap()).collect(),
            approvals: [("board".parse().unwrap(), board), ("ethics".parse().unwrap(), ethics)].into(),
            days,
            ..application()
        }
    })
}

proptest! {
    /// Whatever policies follow each other, what one of them ended is kept by none after it.
    #[test]
    fn what_a_change_ended_is_never_kept_again(versions in versions(), asked in answerable()) {
        let stage = "partners".parse().unwrap();
        let mut chain: Vec<Policy> = Vec::new();
        for (version, (text, keeps)) in (1..).zip(versions) {
            let read = |keeps: u32| {
                let head = format!("version = {version}\nkeeps_grants_from = {}", keeps.min(version));
                Policy::parse(&text.replacen("version = 4", &head, 1)).unwrap()
            };
            // A board that is refused writes the version that it is told.
            let mut next = read(keeps);
            while let Err(refused) = require_succession(&chain, &next) {
                let least = refused.least_kept().unwrap();
                prop_assert!(least > next.keeps_grants_from, "{refused}");
                next = read(least);
            }
            chain.push(next);
        }
        let now = time(NOW);
        for made in 0..chain.len() {
            if !decide(&chain[made], &stage, &asked, terms(), now).permits() {
                continue;
            }
            let version = chain[made].version;
            let goes_on = |policy: &Policy| {
                policy.keeps_grants_of(version) && decide(policy, &stage, &asked, terms(), now).permits()
            };
            let after = &chain[made + 1..];
            let ended = after.iter().position(|policy| !goes_on(policy)).unwrap_or(after.len());
            prop_assert!(!after[ended..].iter().any(goes_on));
        }
    }

    #[test]
    fn less_is_never_permitted_where_more_was_not(
        asked in near_misses(), stage in prop::sample::select(vec!["partners", "public", "secret"]),
        shift in -400..400i64, fewer in 0..4u32,
    ) {
        let policy = Policy::parse(&edited(&[("board = 2", "board = 2, ethics = 1")])).unwrap();
        let stage = stage.parse().unwrap();
        let now = policy.expires.plus_seconds(shift);
        let before = decide(&policy, &stage, &asked, terms(), now).permits();
        // Fewer approvals never permit more.
        for board in asked.approvals.keys() {
            let mut with_fewer = asked.clone();
            *with_fewer.approvals.get_mut(board).unwrap() = fewer.min(asked.approvals[board]);
            let after = decide(&policy, &stage, &with_fewer, terms(), now);
            prop_assert!(before || !after.permits());
            prop_assert!(after.rules().iter().all(|rule| !rule.to_string().is_empty()));
        }
        // Asking for less never refuses what was permitted, as long as something is asked for.
        for one in asked.uses.iter().filter(|_| asked.uses.len() > 1) {
            let mut with_less = asked.clone();
            with_less.uses.remove(one);
            prop_assert!(!before || decide(&policy, &stage, &with_less, terms(), now).permits());
        }
        if asked.days > 1 {
            let shorter = Application { days: asked.days - 1, ..asked.clone() };
            prop_assert!(!before || decide(&policy, &stage, &shorter, terms(), now).permits());
        }
        // What waits is permitted once everything has come in, and what is refused is not.
        let could = decide(&policy, &stage, &asked, terms(), now).could_permit();
        let approvals = asked.approvals.keys().map(|board| (board.clone(), 9)).collect();
        let complete = Application { approvals, agreement: asked.agreement.or(terms().agreement), ..asked.clone() };
        prop_assert_eq!(could, decide(&policy, &stage, &complete, terms(), now).permits());
    }

    #[test]
    fn no_text_is_too_strange(text in "\\PC{0,200}", at in 0..700usize, tail in ".{0,40}") {
        let _ = Policy::parse(&text);
        let mut at = at.min(PARTNERS.len());
        while !PARTNERS.is_char_boundary(at) {
            at -= 1;
        }
        for text in [format!("{}{text}", &PARTNERS[..at]), format!("{}{text}{}", &PARTNERS[..at], &PARTNERS[at..]), tail] {
            if let Err(error) = Policy::parse(&text) {
                prop_assert!(error.to_string().len() < 4000);
            }
        }
    }

    #[test]
    fn a_policy_differs_from_itself_in_nothing(days in 1..400u32, board in 1..9u32) {
        let policy = edited(&[("max_days = 180", &format!("max_days = {days}")), ("board = 2", &format!("board = {board}"))]);
        let policy = Policy::parse(&policy).unwrap();
        prop_assert!(diff(&policy, &policy).is_empty());
        let findings = check(&policy, &[("board".parse().unwrap(), 4)].into(), time(NOW));
        prop_assert_eq!(findings.is_empty(), board <= 4);
        prop_assert_eq!(decide(&policy, &"public".parse().unwrap(), &application(), terms(), time(NOW)).verdict(), Verdict::Passed);
    }
}
