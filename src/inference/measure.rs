//! Measures the speed of a model, and the limits of the machine.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use super::kernels::distribution::greatest;
use super::kernels::lanes::Level;
use super::kernels::probe;
use super::kernels::team::Team;
use super::{Error, KeyValueCache, Model, Precision, SequenceInput, TensorSource};
use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::layout;
use crate::checkpoint::tensor_file::{ElementType, TensorEntry};

/// The limits of this machine.
#[derive(Debug)]
pub struct Machine {
    team: Team,
    /// Bytes a second that all threads together read from memory.
    pub read_bandwidth: f64,
}

impl Machine {
    /// Measures with `threads` threads, or with one for each core; takes about a second.
    ///
    /// # Errors
    /// [`Error::CacheMemory`] if there is not half a gibibyte of memory to read.
    pub fn measure(threads: Option<usize>) -> Result<Self, Error> {
        let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let team = Team::new(threads.unwrap_or_else(all));
        let read_bandwidth = probe::read_bandwidth(&team).map_err(Error::CacheMemory)?;
        Ok(Self { team, read_bandwidth })
    }

    /// Number of threads that measured.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// The level of instructions that products use, such as "AVX2".
    pub fn instructions(&self) -> &'static str {
        Level::best().name()
    }

    /// The maximum multiplications and additions a second in products with weights in `precision`. Takes half a second.
    pub fn peak(&self, precision: Precision) -> f64 {
        probe::peak(&self.team, precision)
    }
}

/// The speed of one sequence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Prompt tokens a second.
    pub prefill: f64,
    /// Generated tokens a second.
    pub decode: f64,
}

impl Model {
    /// Multiplications and additions for one token, without attention and embeddings.
    pub fn operations_per_token(&self) -> f64 {
        let config = self.config();
        let block = 4 * config.width * config.width + 2 * config.width * config.inner;
        2.0 * (config.layers * block) as f64
    }

    /// Reads `prompt` and generates `tokens` tokens, at least 2, greedily.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn measure(&self, prompt: &[u32], tokens: usize) -> Result<Speed, Error> {
        let mut cache = self.cache(prompt.len() + tokens)?;
        let start = Instant::now();
        let mut token = likeliest(&self.forward(prompt, &mut cache)?);
        let prefill = start.elapsed().as_secs_f64();
        let start = Instant::now();
        for _ in 1..tokens {
            token = likeliest(&self.forward(&[token], &mut cache)?);
        }
        let decode = start.elapsed().as_secs_f64();
        Ok(Speed { prefill: prompt.len() as f64 / prefill, decode: (tokens - 1) as f64 / decode })
    }

    /// Generates `tokens` tokens for each prompt in one batch; returns the tokens a second of all together.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn measure_batch(&self, prompts: &[Vec<u32>], tokens: usize) -> Result<f64, Error> {
        let cache = |prompt: &Vec<u32>| self.cache(prompt.len() + tokens);
        let mut caches = prompts.iter().map(cache).collect::<Result<Vec<_>, _>>()?;
        let mut last = self.likeliest_next(prompts, &mut caches)?;
        let start = Instant::now();
        for _ in 1..tokens {
            let next: Vec<Vec<u32>> = last.iter().map(|&token| vec![token]).collect();
            last = self.likeliest_next(&next, &mut caches)?;
        }
        Ok((prompts.len() * (tokens - 1)) as f64 / start.elapsed().as_secs_f64())
    }

    fn likeliest_next(
        &self,
        sequences: &[Vec<u32>],
        caches: &mut [KeyValueCache],
    ) -> Result<Vec<u32>, Error> {
        let inputs = sequences.iter().zip(caches);
        let inputs = inputs.map(|(tokens, cache)| SequenceInput {
            tokens,
            cache,
            first: tokens.len().saturating_sub(1),
        });
        let mut next = vec![0; sequences.len()];
        self.forward_each(&mut inputs.collect::<Vec<_>>(), &mut |sequence, _, logits| {
            next[sequence] = likeliest(logits);
            Ok(())
        })?;
        Ok(next)
    }
}

fn likeliest(logits: &[f32]) -> u32 {
    greatest(logits).map_or(0, |(token, _)| token as u32)
}

/// Random weights in the shape of a model, to measure its speed without a checkpoint.
#[derive(Debug)]
pub struct RandomWeights(BTreeMap<String, TensorEntry>);

impl RandomWeights {
    /// Weights of `config`, stored in bfloat16.
    pub fn new(config: &ModelConfig) -> Self {
        let mut offset = 0;
        let entry = |spec: layout::TensorSpec| {
            let length = 2 * spec.shape.iter().product::<usize>() as u64;
            offset += length;
            let entry = TensorEntry {
                element_type: ElementType::BF16,
                shape: spec.shape,
                offset: offset - length,
                length,
            };
            (spec.name, entry)
        };
        Self(layout::tensors(config).into_iter().map(entry).collect())
    }
}

impl TensorSource for RandomWeights {
    fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        &self.0
    }

    fn read_at(&self, entry: &TensorEntry, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        for (at, bytes) in (entry.offset + position..).step_by(2).zip(buffer.chunks_mut(2)) {
            // The last step of splitmix64 gives a sign, an exponent around 2^-6, and a mantissa.
            let mixed = (at ^ (at >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed >> 32) as u16;
            let number = mixed & 0x80ff | 0x3c00;
            bytes.copy_from_slice(&number.to_le_bytes()[..bytes.len()]);
        }
        Ok(())
    }
}
