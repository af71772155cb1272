//! Sketches of texts: minhash over shingles of words (Broder, "On the resemblance and containment of documents", 1997).

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::folding::fold;
use crate::digest::serde_as_text;

/// Number of hash functions: the estimate's standard error is below 1/8.
const HASHES: usize = 64;
/// Words per shingle.
const WORDS: usize = 3;

/// A sketch of a text in 256 bytes: for each hash function, the smallest value over the text's shingles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch([u32; HASHES]);

impl Sketch {
    /// The sketch of a text, over three words in a row without case, punctuation and look-alike letters.
    pub fn of(text: &str) -> Self {
        let words: Vec<String> = fold(text)
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let mut smallest = [u32::MAX; HASHES];
        for shingle in words.windows(WORDS.min(words.len()).max(1)) {
            let base = fnv(&shingle.join(" "));
            for (n, value) in (0u64..).zip(&mut smallest) {
                // The upper half of a mixed value serves as a second hash function.
                let mixed = splitmix(base ^ splitmix(n + 1));
                *value = (*value).min((mixed >> 32) as u32);
            }
        }
        Self(smallest)
    }

    /// The estimated Jaccard similarity of two texts' shingles, from 0 to 1.
    pub fn similarity(&self, other: &Self) -> f64 {
        let same = self.0.iter().zip(&other.0).filter(|(one, two)| one == two).count();
        same as f64 / HASHES as f64
    }
}

impl fmt::Display for Sketch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes: Vec<u8> = self.0.iter().flat_map(|value| value.to_be_bytes()).collect();
        f.write_str(&BASE64_STANDARD.encode(bytes))
    }
}

/// The text is not a sketch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a sketch is 256 bytes of base64")]
pub struct SketchError;

impl FromStr for Sketch {
    type Err = SketchError;

    fn from_str(text: &str) -> Result<Self, SketchError> {
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| SketchError)?;
        let (values, rest) = bytes.as_chunks::<4>();
        if values.len() != HASHES || !rest.is_empty() {
            return Err(SketchError);
        }
        let mut sketch = [0; HASHES];
        for (value, bytes) in sketch.iter_mut().zip(values) {
            *value = u32::from_be_bytes(*bytes);
        }
        Ok(Self(sketch))
    }
}

serde_as_text!(Sketch);

/// FNV-1a, 64 bits.
fn fnv(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// The mixer of `SplitMix64` (Steele, Lea, Flood, 2014).
fn splitmix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn similar_texts_have_similar_sketches() {
        let one =
            "Dear customer, your account has been suspended; verify your password within the day or lose it";
        let two =
            "Dear client, your account has been suspended; verify your password within the day or lose it";
        let other = "In the beginning God created the heaven and the earth, and the earth was without form";
        assert!((Sketch::of(one).similarity(&Sketch::of(one)) - 1.0).abs() < f64::EPSILON);
        // 14 shingles each, one of them different: 13 of 15.
        assert!(Sketch::of(one).similarity(&Sketch::of(two)) > 0.6);
        assert!(Sketch::of(one).similarity(&Sketch::of(other)) < 0.2);
        assert_eq!(Sketch::of(one).to_string().parse::<Sketch>().unwrap(), Sketch::of(one));
        assert!("AAAA".parse::<Sketch>().is_err());
    }
}
