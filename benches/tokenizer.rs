//! Encoding a megabyte, beside the whole pipeline of the `tokenizers` crate on the same files.

#![expect(clippy::unwrap_used, reason = "without its fixtures there is nothing to measure")]

use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use portcullis::checkpoint::config::Architecture;
use portcullis::checkpoint::tokenizer_files::TokenizerFiles;
use portcullis::inference::tokenizer::{SpecialTokens, Tokenizer};
use tokenizers::models::bpe::BPE;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tokenizer");
const MEGABYTE: usize = 1_000_000;

/// Whole repetitions of a text up to a megabyte, or the text where it is longer.
fn megabyte(of: &str) -> String {
    of.repeat((MEGABYTE / of.len()).max(1))
}

fn texts() -> [(&'static str, String); 4] {
    let english = std::fs::read_to_string(format!("{FIXTURES}/king-james.txt")).unwrap();
    let mixed: String = ('\0'..=char::MAX).step_by(4).collect();
    [
        ("english", megabyte(&english)),
        ("one letter", megabyte("a")),
        ("spaces", megabyte(" ")),
        ("all of Unicode", megabyte(&mixed)),
    ]
}

fn ours(architecture: Architecture, vocabulary: &str, merges: &str) -> Tokenizer {
    let read = |path: &str| std::fs::read(format!("{FIXTURES}/{path}")).unwrap();
    let files = TokenizerFiles::parse(&read(vocabulary), &read(merges), usize::MAX).unwrap();
    Tokenizer::new(architecture, files).unwrap()
}

fn library() -> tokenizers::Tokenizer {
    let [vocabulary, merges] = ["encoder.json", "vocab.bpe"].map(|file| format!("{FIXTURES}/gpt2/{file}"));
    let model = BPE::from_file(&vocabulary, &merges).build().unwrap();
    let mut library = tokenizers::Tokenizer::new(model);
    library.with_pre_tokenizer(Some(ByteLevel::new(false, false, true)));
    library
}

fn encode(criterion: &mut Criterion) {
    let gpt2 = ours(Architecture::Gpt2, "gpt2/encoder.json", "gpt2/vocab.bpe");
    let gpt1 = ours(Architecture::Gpt1, "gpt1-512/vocab.json", "gpt1-512/merges.txt");
    let library = library();
    for (name, text) in texts() {
        let mut group = criterion.benchmark_group(format!("encode/{name}"));
        group.throughput(Throughput::Bytes(text.len() as u64));
        group.sample_size(10);
        group.warm_up_time(Duration::from_millis(500));
        group.bench_function("gpt2", |b| {
            b.iter(|| gpt2.encode(&text, SpecialTokens::Parse));
        });
        group.bench_function("gpt2, whole library", |b| {
            b.iter(|| library.encode_fast(text.as_str(), false).unwrap());
        });
        group.bench_function("gpt1", |b| {
            b.iter(|| gpt1.encode(&text, SpecialTokens::Parse));
        });
        group.finish();
    }
}

criterion_group!(benches, encode);
criterion_main!(benches);
