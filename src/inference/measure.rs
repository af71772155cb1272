//! How fast a model reads and writes here, and how much of what the machine could do that is.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use super::kernels::distribution::greatest;
use super::kernels::lanes::Level;
use super::kernels::probe;
use super::kernels::team::Team;
use super::{Error, KeyValueCache, Model, Precision, Reading, TensorSource};
use crate::checkpoint::config::ModelConfig;
use crate::checkpoint::layout;
use crate::checkpoint::tensor_file::{ElementType, TensorEntry};

/// What this machine can do at most.
#[derive(Debug)]
pub struct Machine {
    team: Team,
    /// Bytes a second read of memory by all threads.
    pub read_bandwidth: f64,
}

impl Machine {
    /// Measures with so many threads, or as many as there are cores; takes about a second.
    ///
    /// # Errors
    /// [`Error::CacheMemory`] where half a gibibyte to read is not there.
    pub fn measure(threads: Option<usize>) -> Result<Self, Error> {
        let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let team = Team::new(threads.unwrap_or_else(all));
        let read_bandwidth = probe::read_bandwidth(&team).map_err(Error::CacheMemory)?;
        Ok(Self { team, read_bandwidth })
    }

    /// Threads that measured.
    pub fn threads(&self) -> usize {
        self.team.threads()
    }

    /// The instructions that products are made of, for a person to read.
    pub fn instructions(&self) -> &'static str {
        Level::best().name()
    }

    /// Multiplications and additions a second, at most, of products with weights in `precision`. Measures half a second.
    pub fn peak(&self, precision: Precision) -> f64 {
        probe::peak(&self.team, precision)
    }
}

/// How long a text took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Speed {
    /// Tokens read a second.
    pub prefill: f64,
    /// Tokens written a second behind them.
    pub decode: f64,
}

impl Model {
    /// Multiplications and additions that reading one token takes, attention and embeddings aside.
    pub fn operations_per_token(&self) -> f64 {
        let config = self.config();
        let block = 4 * config.width * config.width + 2 * config.width * config.inner;
        2.0 * (config.layers * block) as f64
    }

    /// Reads `prompt` and writes `tokens` behind it, at least 2, the likeliest each.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn measure(&self, prompt: &[u32], tokens: usize) -> Result<Speed, Error> {
        let mut cache = self.cache(prompt.len() + tokens)?;
        let begun = Instant::now();
        let mut token = likeliest(&self.forward(prompt, &mut cache)?);
        let prefill = begun.elapsed().as_secs_f64();
        let begun = Instant::now();
        for _ in 1..tokens {
            token = likeliest(&self.forward(&[token], &mut cache)?);
        }
        let decode = begun.elapsed().as_secs_f64();
        Ok(Speed { prefill: prompt.len() as f64 / prefill, decode: (tokens - 1) as f64 / decode })
    }

    /// Writes `tokens` behind each of `prompts` at the same time; tokens a second of all together.
    ///
    /// # Errors
    /// As [`Model::forward`].
    pub fn measure_batch(&self, prompts: &[Vec<u32>], tokens: usize) -> Result<f64, Error> {
        let cache = |prompt: &Vec<u32>| self.cache(prompt.len() + tokens);
        let mut caches = prompts.iter().map(cache).collect::<Result<Vec<_>, _>>()?;
        let mut last = self.next_of_each(prompts, &mut caches)?;
        let begun = Instant::now();
        for _ in 1..tokens {
            let next: Vec<Vec<u32>> = last.iter().map(|&token| vec![token]).collect();
            last = self.next_of_each(&next, &mut caches)?;
        }
        Ok((prompts.len() * (tokens - 1)) as f64 / begun.elapsed().as_secs_f64())
    }

    fn next_of_each(&self, texts: &[Vec<u32>], caches: &mut [KeyValueCache]) -> Result<Vec<u32>, Error> {
        let readings = texts.iter().zip(caches);
        let readings =
            readings.map(|(tokens, cache)| Reading { tokens, cache, first: tokens.len().saturating_sub(1) });
        let mut next = vec![0; texts.len()];
        self.forward_each(&mut readings.collect::<Vec<_>>(), &mut |text, _, logits| {
            next[text] = likeliest(logits);
            Ok(())
        })?;
        Ok(next)
    }
}

fn likeliest(logits: &[f32]) -> u32 {
    greatest(logits).map_or(0, |(token, _)| token as u32)
}

/// Random weights in the shape of a model: as fast as real ones, and nobody had to release them.
#[derive(Debug)]
pub struct RandomWeights(BTreeMap<String, TensorEntry>);

impl RandomWeights {
    /// Weights for `config`, as if they were stored in bfloat16.
    pub fn of(config: &ModelConfig) -> Self {
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
            // splitmix64's last step: a sign, an exponent around 2^-6, any mantissa.
            let mixed = (at ^ (at >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed >> 32) as u16;
            let number = mixed & 0x80ff | 0x3c00;
            bytes.copy_from_slice(&number.to_le_bytes()[..bytes.len()]);
        }
        Ok(())
    }
}
