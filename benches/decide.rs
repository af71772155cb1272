//! Decisions of the policy room: how many a core makes in a second, with and without the words.

#![expect(clippy::unwrap_used, reason = "without its policy there is nothing to measure")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis::digest::Sha256Digest;
use portcullis::policy::{Application, PersonKey, Policy, Terms, decide};
use portcullis::time::Timestamp;

const POLICY: &str = include_str!("../policies/gpt2-1.5b.toml");

fn application(organization: &str) -> Application {
    Application {
        checkpoint: "gpt2-1.5b".parse().unwrap(),
        person: PersonKey::from_bytes([7; 32]),
        organization: Some(organization.parse().unwrap()),
        confirmed_until: Some("2027-06-01T00:00:00Z".parse().unwrap()),
        uses: ["bias-analysis", "detection"].map(|name| name.parse().unwrap()).into(),
        days: 90,
        agreement: Some(Sha256Digest::compute(b"agreement")),
        approvals: [("board".parse().unwrap(), 2)].into(),
        approvers: Default::default(),
    }
}

fn decisions(criterion: &mut Criterion) {
    let policy = Policy::parse(POLICY).unwrap();
    let stage = "partners".parse().unwrap();
    let terms = Terms { agreement: Some(Sha256Digest::compute(b"agreement")), board_threshold: Some(2) };
    let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    let mut group = criterion.benchmark_group("decide");
    group.throughput(Throughput::Elements(1));
    for (name, organization) in
        [("permitted", "University of Oregon"), ("refused", "University of Elsewhere")]
    {
        let application = application(organization);
        assert_eq!(decide(&policy, &stage, &application, terms, now).permits(), name == "permitted");
        group.bench_function(name, |b| {
            b.iter(|| decide(&policy, &stage, black_box(&application), terms, now).permits());
        });
        group.bench_function(format!("{name}, with its words"), |b| {
            b.iter(|| {
                let decision = decide(&policy, &stage, black_box(&application), terms, now);
                decision.rules().iter().map(|rule| rule.to_string().len()).sum::<usize>()
            });
        });
    }
    group.finish();
    criterion.bench_function("parse", |b| b.iter(|| Policy::parse(black_box(POLICY)).unwrap()));
}

criterion_group!(benches, decisions);
criterion_main!(benches);
