//! Measures the limits of this machine: its arithmetic bounds prefill, its memory bandwidth bounds decode.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::lanes::{Kernel, Lanes, Level};
use super::memory::Memory;
use super::team::Team;
use crate::inference::Precision;

/// Bytes to read; more than any cache holds.
const BYTES: usize = 512 << 20;
/// Independent sums: enough to hide the latency of the instructions.
const CHAINS: usize = 12;
/// Duration of a measurement; the fastest round counts.
const DURATION: Duration = Duration::from_millis(400);

/// Bytes a second that `team` reads from memory.
///
/// # Errors
/// The system's error if it has no memory.
pub(in crate::inference) fn read_bandwidth(team: &Team) -> std::io::Result<f64> {
    let mut words = Memory::<[u64; 8]>::zeroed(BYTES / 64)?;
    let part = words.len().div_ceil(team.threads() * 16);
    // Untouched pages would all map the same page of zeros.
    team.each_chunk(&mut words, part, |i, words| words.fill([i as u64; 8]));
    let parts: Vec<&[[u64; 8]]> = words.chunks(part).collect();
    let seconds = best(|| team.run(parts.len(), &|i| _ = black_box(sum(parts[i]))));
    Ok(BYTES as f64 / seconds)
}

fn sum(words: &[[u64; 8]]) -> [u64; 8] {
    words.iter().fold([0; 8], |mut sums, eight| {
        sums.iter_mut().zip(eight).for_each(|(sum, word)| *sum = sum.wrapping_add(*word));
        sums
    })
}

/// Multiplications and additions a second on `team`, with the instructions of products in `precision`.
pub(in crate::inference) fn peak(team: &Team, precision: Precision) -> f64 {
    const ROUNDS: usize = 1 << 18;
    let level = Level::best();
    let seconds = best(|| {
        team.run(team.threads(), &|_| {
            black_box(level.run(Chains { precision, rounds: black_box(ROUNDS) }));
        });
    });
    let one = match precision {
        Precision::F32 | Precision::F16 => 16 * 2,
        Precision::BF16 => 32 * 2,
        Precision::Q8 | Precision::Q4 => 64 * 2,
    };
    (team.threads() * ROUNDS * CHAINS * one) as f64 / seconds
}

/// The fastest of several rounds, in seconds.
fn best(mut round: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut best = f64::INFINITY;
    while start.elapsed() < DURATION {
        let round_start = Instant::now();
        round();
        best = best.min(round_start.elapsed().as_secs_f64());
    }
    best
}

/// Chains of one instruction that use registers only.
struct Chains {
    precision: Precision,
    rounds: usize,
}

impl Kernel for Chains {
    type Output = f32;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> f32 {
        let w = l.load_u8(&black_box([1; 64]));
        match self.precision {
            Precision::F32 | Precision::F16 => {
                let (a, b) = (l.splat(black_box(0.5)), l.splat(black_box(1.0)));
                let mut sums = [l.zero(); CHAINS];
                for _ in 0..self.rounds {
                    for sum in &mut sums {
                        *sum = l.mul_add(*sum, a, b);
                    }
                }
                l.sum(sums.into_iter().fold(l.zero(), |one, other| l.add(one, other)))
            }
            Precision::BF16 => {
                let w = l.load_bf16_pairs(&black_box([0x3f80_3f80; 16]));
                let mut sums = [l.zero(); CHAINS];
                for _ in 0..self.rounds {
                    for sum in &mut sums {
                        *sum = l.dot_bf16(w, 0x3f80_3f80, *sum);
                    }
                }
                l.sum(sums.into_iter().fold(l.zero(), |one, other| l.add(one, other)))
            }
            Precision::Q8 | Precision::Q4 => {
                let mut sums = [l.splat_int(0); CHAINS];
                for _ in 0..self.rounds {
                    for sum in &mut sums {
                        *sum = l.dot_u8_i8(w, 0x0101_0101, *sum);
                    }
                }
                l.sum_int(sums.into_iter().fold(l.splat_int(0), |one, other| l.add_int(one, other))) as f32
            }
        }
    }
}
