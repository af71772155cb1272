//! What this machine can do at most: the ceilings of prefill and decode.

use std::hint::black_box;
use std::time::{Duration, Instant};

use super::lanes::{Kernel, Lanes, Level};
use super::memory::Memory;
use super::team::Team;
use crate::inference::Precision;

/// Bytes read to measure memory: more than any cache holds.
const BYTES: usize = 512 << 20;
/// Sums that do not wait for one another: latency times width of every processor at hand.
const CHAINS: usize = 12;
/// How long a measurement goes on; the best pass of it counts.
const LONG_ENOUGH: Duration = Duration::from_millis(400);

/// Bytes a second that `team` reads of memory.
///
/// # Errors
/// What the system says where it has no memory.
pub(in crate::inference) fn read_bandwidth(team: &Team) -> std::io::Result<f64> {
    let mut words = Memory::<[u64; 8]>::zeroed(BYTES / 64)?;
    let part = words.len().div_ceil(team.threads() * 16);
    // Untouched pages would all be one page of zeros.
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

/// Multiplications and additions a second of the instructions that products in `precision` are made of, on `team`.
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

/// The shortest of several passes, in seconds.
fn best(mut pass: impl FnMut()) -> f64 {
    let begun = Instant::now();
    let mut best = f64::INFINITY;
    while begun.elapsed() < LONG_ENOUGH {
        let pass_begun = Instant::now();
        pass();
        best = best.min(pass_begun.elapsed().as_secs_f64());
    }
    best
}

/// Chains of the one instruction, in registers alone.
struct Chains {
    precision: Precision,
    rounds: usize,
}

impl Kernel for Chains {
    type Output = f32;

    #[inline(always)]
    fn run<L: Lanes>(self, l: L) -> f32 {
        let w = l.load_bytes(&black_box([1; 64]));
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
                let w = l.load_brains(&black_box([0x3f80_3f80; 16]));
                let mut sums = [l.zero(); CHAINS];
                for _ in 0..self.rounds {
                    for sum in &mut sums {
                        *sum = l.dot_brains(w, 0x3f80_3f80, *sum);
                    }
                }
                l.sum(sums.into_iter().fold(l.zero(), |one, other| l.add(one, other)))
            }
            Precision::Q8 | Precision::Q4 => {
                let mut sums = [l.splat_int(0); CHAINS];
                for _ in 0..self.rounds {
                    for sum in &mut sums {
                        *sum = l.dot_bytes(w, 0x0101_0101, *sum);
                    }
                }
                l.sum_int(sums.into_iter().fold(l.splat_int(0), |one, other| l.add_int(one, other))) as f32
            }
        }
    }
}
