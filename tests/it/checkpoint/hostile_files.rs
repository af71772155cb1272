//! Feeds every parser of untrusted bytes its fuzzing corpus and 10,000 mutations of it.
//!
//! The everyday guard: it needs no fuzzer, takes half a second, and mutates the same way every time. `docs/fuzzing.md`
//! says how to search further; an input that a fuzzer finds joins the corpus and is tried here from then on.

use std::fs;
use std::path::{Path, PathBuf};

#[path = "../../fuzz/parsers.rs"]
mod parsers;

const MUTATIONS: usize = 10_000;

fn fuzz_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz")
}

/// A parser's seeds, in the order of their names.
fn corpus(name: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = fs::read_dir(fuzz_folder().join("corpus").join(name))
        .unwrap_or_else(|error| panic!("no corpus for {name}: {error}"))
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// The generator xorshift64*: the same numbers on every machine and with every version of every crate.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32;
        high as usize % bound.max(1)
    }

    /// One to four edits: a flipped bit, a telling byte, a cut, a repetition, a piece of another seed.
    fn mutate(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = seeds[self.below(seeds.len())].clone();
        for _ in 0..=self.below(4) {
            let at = self.below(bytes.len());
            let end = at + self.below((bytes.len() - at).min(64) + 1);
            match self.below(5) {
                0 if !bytes.is_empty() => bytes[at] ^= 1 << self.below(8),
                1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff][self.below(5)],
                2 => drop(bytes.drain(at..end)),
                3 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
                _ => {
                    let other = &seeds[self.below(seeds.len())];
                    let from = self.below(other.len());
                    let piece = &other[from..(from + self.below(64)).min(other.len())];
                    drop(bytes.splice(at..end, piece.to_vec()));
                }
            }
        }
        bytes
    }
}

#[test]
fn no_parser_panics_on_its_corpus_or_a_mutation_of_it() {
    for (name, parse) in parsers::PARSERS {
        let seeds = corpus(name);
        assert!(seeds.len() > 1, "{name} needs seeds");
        let mut numbers = Numbers(0x706f_7274_6375_6c6c);
        let mutations = (0..MUTATIONS).map(|_| numbers.mutate(&seeds));
        for bytes in seeds.iter().cloned().chain(mutations) {
            let outcome = std::panic::catch_unwind(|| parse(&bytes));
            assert!(outcome.is_ok(), "{name} panics on {}", bytes.escape_ascii());
        }
    }
}

#[test]
fn every_parser_has_a_fuzz_target() {
    let manifest = fs::read_to_string(fuzz_folder().join("Cargo.toml")).unwrap();
    let targets = fs::read_dir(fuzz_folder().join("fuzz_targets")).unwrap();
    assert_eq!(targets.count(), parsers::PARSERS.len());
    for (name, _) in parsers::PARSERS {
        let target = fuzz_folder().join(format!("fuzz_targets/{name}.rs"));
        let source = fs::read_to_string(&target).unwrap_or_default();
        assert!(source.contains(&format!("parsers::{name}(")), "{}", target.display());
        assert!(manifest.contains(&format!("name = \"{name}\"")), "[[bin]] {name} is missing");
    }
}
