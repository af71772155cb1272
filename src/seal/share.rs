//! Shares of the board's key: Shamir's secret sharing over GF(256). A threshold of shares yields the key, fewer yield nothing.
//!
//! The manifest has a commitment to each share, so a wrong share is found before use and its member is named; plain Shamir would yield a
//! wrong key without naming the cause. The library that computes the polynomials frees memory without wiping it and uses lookup tables.
//! It therefore receives the key only under a random mask, which is added to each share afterwards (adding a constant to a polynomial
//! adds it to each value).

use std::fmt;
use std::num::NonZeroU8;

use blahaj::Sharks;
use rand::CryptoRng;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::encoding::encode;
use super::key::Secret;
use super::{Board, BoardKey, Error};
use crate::digest::Sha256Digest;
use crate::name::CheckpointId;

/// The index of a share: the point at which the polynomials were evaluated, from 1, in the manifest's order of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShareIndex(NonZeroU8);

impl ShareIndex {
    /// The index of the member at `position`, from 0; `None` beyond the 255th.
    pub fn from_position(position: usize) -> Option<Self> {
        u8::try_from(position + 1).ok().and_then(NonZeroU8::new).map(Self)
    }

    /// Returns the number, 1 to 255.
    pub fn number(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for ShareIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One member's share of the board's key; zeroized on drop, never printed.
pub struct Share {
    index: ShareIndex,
    secret: Secret,
}

impl Share {
    /// Returns `None` unless `bytes` has 32 bytes.
    pub(super) fn from_bytes(index: ShareIndex, bytes: &[u8]) -> Option<Self> {
        Secret::from_slice(bytes).map(|secret| Self { index, secret })
    }

    /// Returns the index.
    pub fn index(&self) -> ShareIndex {
        self.index
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.secret.bytes()
    }

    /// Computes the commitment for the manifest. A share has 32 random bytes, so its digest does not reveal it.
    pub fn commitment(&self, checkpoint: &CheckpointId) -> Sha256Digest {
        let index = [self.index.number()];
        let parts: [&[u8]; 4] =
            [b"portcullis/v1/share-commitment", checkpoint.as_str().as_bytes(), &index, self.bytes()];
        Sha256Digest::compute(&Zeroizing::new(encode(&parts)))
    }

    /// Requires that the manifest commits to this share.
    ///
    /// # Errors
    /// [`Error::NoSuchShare`], [`Error::WrongShare`].
    pub(super) fn verify(self, board: &Board, checkpoint: &CheckpointId) -> Result<Self, Error> {
        let member = board.member(self.index).ok_or(Error::NoSuchShare { index: self.index })?;
        let commitment = self.commitment(checkpoint);
        if commitment.as_bytes().ct_eq(member.commitment.as_bytes()).into() {
            Ok(self)
        } else {
            Err(Error::WrongShare { index: self.index, member: member.key_id })
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share({}, secret)", self.index)
    }
}

/// Splits the board's key into `members` shares, of which `threshold` yield it.
///
/// [`super::Recipients`] guarantees `1 <= threshold <= members`.
pub fn split(
    key: &BoardKey,
    threshold: u8,
    members: u8,
    mut rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<Share> {
    let mask = Secret::random(rng);
    let xor = key.secret().xor(&mask);
    let dealer = Sharks(threshold).dealer_rng(xor.bytes(), &mut rng);
    let shares = dealer.take(usize::from(members)).filter_map(|share| {
        let point = Zeroizing::new(Vec::from(&share));
        let (index, bytes) = point.split_first()?;
        let index = ShareIndex(NonZeroU8::new(*index)?);
        Some(Share { index, secret: Secret::from_slice(bytes)?.xor(&mask) })
    });
    shares.collect()
}

/// Combines shares to the board's key; shares beyond the threshold are verified, too.
///
/// # Errors
/// [`Error::NoSuchShare`], [`Error::WrongShare`], [`Error::ShareTwice`], [`Error::TooFewShares`].
pub fn combine(
    shares: Vec<Share>,
    board: &Board,
    checkpoint: &CheckpointId,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<BoardKey, Error> {
    let mut checked: Vec<Share> = Vec::with_capacity(shares.len());
    for share in shares {
        let share = share.verify(board, checkpoint)?;
        if checked.iter().any(|other| other.index == share.index) {
            return Err(Error::ShareTwice { index: share.index });
        }
        checked.push(share);
    }
    let (have, need) = (checked.len(), board.threshold);
    let too_few = || Error::TooFewShares { have, need };
    if have < usize::from(need) {
        return Err(too_few());
    }
    let mask = Secret::random(rng);
    let points = checked.iter().take(usize::from(need)).map(|share| {
        let mut point = Zeroizing::new([0; 33]);
        point[0] = share.index.number();
        point[1..].copy_from_slice(share.secret.xor(&mask).bytes());
        blahaj::Share::try_from(point.as_slice())
    });
    let points = points.collect::<Result<Vec<_>, _>>().map_err(|_| too_few())?;
    let xor = Zeroizing::new(Sharks(need).recover(&points).map_err(|_| too_few())?);
    let xor = Secret::from_slice(&xor).ok_or_else(too_few)?;
    Ok(BoardKey::from_secret(xor.xor(&mask)))
}
