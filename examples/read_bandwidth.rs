//! Measures how fast this machine's memory can be read, the ceiling of any decode: every token reads every weight once.
//!
//! `cargo run --release --example read_bandwidth -- [THREADS]` prints the best of several passes over 1 GiB, in GB/s.
#![expect(clippy::print_stdout, reason = "an example prints its finding")]

use std::hint::black_box;
use std::time::Instant;

const WORDS: usize = 1 << 27; // 1 GiB of u64
const PASSES: usize = 15;

fn main() {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(available).max(1);
    // Not all zero: untouched zero pages would be one page of the cache.
    let words: Vec<u64> = (0..WORDS as u64).collect();
    let best = (0..PASSES).map(|_| seconds_to_read(&words, threads)).fold(f64::INFINITY, f64::min);
    println!("{:.1}", size_of_val(&words[..]) as f64 / best / 1e9);
}

fn seconds_to_read(words: &[u64], threads: usize) -> f64 {
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for part in words.chunks(words.len().div_ceil(threads)) {
            scope.spawn(move || black_box(sum(part)));
        }
    });
    begun.elapsed().as_secs_f64()
}

/// Eight independent sums, so that the additions never wait for one another.
fn sum(words: &[u64]) -> u64 {
    let mut sums = [0u64; 8];
    for eight in words.chunks_exact(8) {
        for (sum, word) in sums.iter_mut().zip(eight) {
            *sum = sum.wrapping_add(*word);
        }
    }
    sums.iter().fold(0, |total, sum| total.wrapping_add(*sum))
}
