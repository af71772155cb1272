//! How long a client takes to verify a catalogue of 1,000 targets from the first root on.
#![allow(missing_docs, clippy::unwrap_used, reason = "a benchmark fails by panicking")]

#[path = "../tests/support/catalogue.rs"]
#[allow(dead_code, unreachable_pub, clippy::panic, reason = "the tests use the rest")]
mod catalogue;

use std::collections::BTreeMap;
use std::hint::black_box;

use catalogue::{Memory, World, day, proposer};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use portcullis::catalogue::{Client, TargetPath};

/// A published catalogue of 1,000 targets and more.
fn large() -> Memory {
    let world = World::new();
    let file = |n: u32| (format!("misuse/{n}.toml").parse::<TargetPath>().unwrap(), n.to_le_bytes().to_vec());
    let files: BTreeMap<_, _> = (0..1000).map(file).collect();
    world.repository().propose_targets(&files, day(365), &proposer(&world.olga)).unwrap();
    world.sign_all();
    world.publish(0);
    world.memory()
}

fn verify(criterion: &mut Criterion) {
    let memory = large();
    let root = &memory.files["metadata/1.root.json"];
    let place = tempfile::tempdir().unwrap();
    let mut number = 0;
    let mut fresh = || {
        number += 1;
        let client = Client::new(place.path().join(number.to_string()));
        client.trust(root).unwrap();
        client
    };
    criterion.bench_function("fresh client, 1,000 targets", |bencher| {
        bencher.iter_batched(
            &mut fresh,
            |client| black_box(client.refresh(&memory, day(0)).unwrap()),
            BatchSize::PerIteration,
        );
    });
    let client = fresh();
    client.refresh(&memory, day(0)).unwrap();
    criterion.bench_function("client that is up to date, 1,000 targets", |bencher| {
        bencher.iter(|| black_box(client.refresh(&memory, day(0)).unwrap()));
    });
    criterion.bench_function("offline, 1,000 targets", |bencher| {
        bencher.iter(|| black_box(client.load_offline(day(0)).unwrap()));
    });
}

criterion_group!(benches, verify);
criterion_main!(benches);
