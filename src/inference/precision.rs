//! Formats of weights in memory.

use std::fmt;
use std::str::FromStr;

use super::Error;
use crate::checkpoint::tensor_file::ElementType;

/// A format of weights in memory. It also decides the format of activations in products.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32 bits; activations in f32.
    F32,
    /// IEEE binary16; activations in f32.
    F16,
    /// bfloat16; activations in bfloat16, sums in f32.
    BF16,
    /// 8 bits, with a binary16 scale for each 64 weights of one output: 8.25 bits a weight. Activations in 8 bits; sums are exact within
    /// 64 inputs, then in f32.
    Q8,
    /// 4 bits, with a binary16 scale for each 32 weights of one output: 4.5 bits a weight. Activations in 8 bits. The token embedding
    /// and the head are in [`Self::Q8`].
    Q4,
}

impl Precision {
    /// The format of the token embedding and the head.
    pub(super) fn for_embedding(self) -> Self {
        if self == Self::Q4 { Self::Q8 } else { self }
    }
}

impl From<ElementType> for Precision {
    fn from(element: ElementType) -> Self {
        match element {
            ElementType::F32 => Self::F32,
            ElementType::F16 => Self::F16,
            ElementType::BF16 => Self::BF16,
        }
    }
}

impl TryFrom<Precision> for ElementType {
    type Error = Error;

    fn try_from(precision: Precision) -> Result<Self, Error> {
        match precision {
            Precision::F32 => Ok(Self::F32),
            Precision::F16 => Ok(Self::F16),
            Precision::BF16 => Ok(Self::BF16),
            Precision::Q8 | Precision::Q4 => Err(Error::OnlyOnTheProcessor { precision }),
        }
    }
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl FromStr for Precision {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let all = [Self::F32, Self::F16, Self::BF16, Self::Q8, Self::Q4];
        let found = all.into_iter().find(|precision| precision.to_string().eq_ignore_ascii_case(text));
        found.ok_or_else(|| Error::UnknownPrecision { text: text.chars().take(80).collect() })
    }
}
