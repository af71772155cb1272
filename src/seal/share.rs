//! The board's lock in parts: Shamir's sharing over GF(256), any threshold of members together, fewer of them nothing.
//!
//! Every share has a commitment in the manifest, so a wrong one is found before it is used and its member is named: plain
//! Shamir would give a wrong key and blame nobody. The library that computes the polynomials frees memory without wiping it and
//! looks field elements up in tables; it is shown the key only under a random mask, which is added again after it (adding a
//! constant to a polynomial adds it to each of its values).

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

/// Which share it is: the point at which the polynomials were evaluated, counted from 1 in the manifest's order of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ShareIndex(NonZeroU8);

impl ShareIndex {
    /// The index of the member at `position`, counted from 0; `None` beyond the 255th.
    pub fn of_position(position: usize) -> Option<Self> {
        u8::try_from(position + 1).ok().and_then(NonZeroU8::new).map(Self)
    }

    /// As a number from 1 to 255.
    pub fn number(self) -> u8 {
        self.0.get()
    }
}

impl fmt::Display for ShareIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One member's part of the board's key; zeroized when dropped, never printed.
pub struct Share {
    index: ShareIndex,
    secret: Secret,
}

impl Share {
    /// A share of these bytes; `None` where they are not 32.
    pub(super) fn of(index: ShareIndex, bytes: &[u8]) -> Option<Self> {
        Secret::from_slice(bytes).map(|secret| Self { index, secret })
    }

    /// Which share it is.
    pub fn index(&self) -> ShareIndex {
        self.index
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        self.secret.bytes()
    }

    /// What the manifest holds of it. A share is 32 random bytes, so its digest says nothing about it.
    pub fn commitment(&self, checkpoint: &CheckpointId) -> Sha256Digest {
        let index = [self.index.number()];
        let parts: [&[u8]; 4] =
            [b"portcullis/v1/share-commitment", checkpoint.as_str().as_bytes(), &index, self.bytes()];
        Sha256Digest::of(&Zeroizing::new(encode(&parts)))
    }

    /// The share, if it is the one that the manifest commits to.
    ///
    /// # Errors
    /// [`Error::NoSuchShare`], [`Error::WrongShare`].
    pub(super) fn checked(self, board: &Board, checkpoint: &CheckpointId) -> Result<Self, Error> {
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

/// Splits the board's key for `members` of whom `threshold` open it.
///
/// The numbers are taken from checked [`super::Recipients`]: `1 <= threshold <= members`.
pub fn split(
    key: &BoardKey,
    threshold: u8,
    members: u8,
    mut rng: &mut (impl CryptoRng + ?Sized),
) -> Vec<Share> {
    let mask = Secret::random(rng);
    let masked = key.secret().masked(&mask);
    let dealer = Sharks(threshold).dealer_rng(masked.bytes(), &mut rng);
    let shares = dealer.take(usize::from(members)).filter_map(|share| {
        let point = Zeroizing::new(Vec::from(&share));
        let (index, bytes) = point.split_first()?;
        let index = ShareIndex(NonZeroU8::new(*index)?);
        Some(Share { index, secret: Secret::from_slice(bytes)?.masked(&mask) })
    });
    shares.collect()
}

/// Puts the board's key together; shares beyond the threshold are checked all the same.
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
        let share = share.checked(board, checkpoint)?;
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
        point[1..].copy_from_slice(share.secret.masked(&mask).bytes());
        blahaj::Share::try_from(point.as_slice())
    });
    let points = points.collect::<Result<Vec<_>, _>>().map_err(|_| too_few())?;
    let masked = Zeroizing::new(Sharks(need).recover(&points).map_err(|_| too_few())?);
    let masked = Secret::from_slice(&masked).ok_or_else(too_few)?;
    Ok(BoardKey::of(masked.masked(&mask)))
}
