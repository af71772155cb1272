//! To whom a checkpoint is sealed: the board with its threshold, and the registry.
//!
//! Whoever chooses the recipients chooses who can open: the keys come from signed cards or from the catalogue, and the sealed
//! manifest names them by key id, so that the board sees whom it is before it signs.

use std::collections::BTreeSet;

use crate::identity::{Card, KeyId, SealingKey};

/// Most members that a board can have: GF(256) has so many points beside zero.
const MAX_MEMBERS: usize = 255;

/// Whom something is sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// The id of their signing key, by which they are known.
    pub key_id: KeyId,
    /// What opens with their identity.
    pub sealing_key: SealingKey,
}

impl From<&Card> for Recipient {
    fn from(card: &Card) -> Self {
        Self { key_id: card.verifying_key.id(), sealing_key: card.sealing_key }
    }
}

/// The holders of both locks. Invariants: 1 to 255 members, a threshold between 1 and their number, and no key twice: neither
/// does a member hold two shares, nor the registry one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients {
    threshold: u8,
    board: Vec<Recipient>,
    registry: Recipient,
}

/// The locks cannot be held by these.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecipientsError {
    /// No member, or too many.
    #[error("a board of {count} members; 1 to {MAX_MEMBERS} can share a key")]
    BoardSize {
        /// How many.
        count: usize,
    },
    /// A threshold that nobody meets, or that everybody meets.
    #[error(
        "a threshold of {threshold} of {members} members; it must be between 1 and the number of members"
    )]
    Threshold {
        /// The threshold.
        threshold: u8,
        /// How many members there are.
        members: usize,
    },
    /// One person twice, or two with the same sealing key.
    #[error("the key {key_id} is on the board twice: a member holds one share")]
    MemberTwice {
        /// The second's key id.
        key_id: KeyId,
    },
    /// The registry's keys are a member's: one holder of both locks.
    #[error("the registry's key {key_id} is on the board: the two locks need different holders")]
    RegistryOnBoard {
        /// The registry's key id.
        key_id: KeyId,
    },
}

impl Recipients {
    /// The holders, if each is another.
    ///
    /// # Errors
    /// Every variant of [`RecipientsError`].
    pub fn new(threshold: u8, board: Vec<Recipient>, registry: Recipient) -> Result<Self, RecipientsError> {
        let members = board.len();
        if !(1..=MAX_MEMBERS).contains(&members) {
            return Err(RecipientsError::BoardSize { count: members });
        }
        if threshold == 0 || usize::from(threshold) > members {
            return Err(RecipientsError::Threshold { threshold, members });
        }
        let (mut ids, mut keys) = (BTreeSet::new(), BTreeSet::new());
        for member in &board {
            if !ids.insert(member.key_id) || !keys.insert(member.sealing_key) {
                return Err(RecipientsError::MemberTwice { key_id: member.key_id });
            }
        }
        if ids.contains(&registry.key_id) || keys.contains(&registry.sealing_key) {
            return Err(RecipientsError::RegistryOnBoard { key_id: registry.key_id });
        }
        Ok(Self { threshold, board, registry })
    }

    /// How many members open the board's lock together.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// The board's members, in the order of their shares.
    pub fn board(&self) -> &[Recipient] {
        &self.board
    }

    /// Who holds the other lock.
    pub fn registry(&self) -> &Recipient {
        &self.registry
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{OpeningKey, Signer as _, SigningKey};

    fn recipient(signing: u8, opening: u8) -> Recipient {
        Recipient {
            key_id: SigningKey::from_bytes(&[signing; 32]).verifying_key().id(),
            sealing_key: OpeningKey::from_bytes(&[opening; 32]).sealing_key(),
        }
    }

    #[test]
    fn two_locks_have_distinct_holders() {
        let refused = |threshold, board: &[(u8, u8)], registry: (u8, u8)| {
            let board = board.iter().map(|(signing, opening)| recipient(*signing, *opening)).collect();
            Recipients::new(threshold, board, recipient(registry.0, registry.1)).unwrap_err().to_string()
        };
        insta::assert_snapshot!([
            refused(1, &[], (9, 9)),
            refused(1, &vec![(1, 1); 256], (9, 9)),
            refused(0, &[(1, 1)], (9, 9)),
            refused(3, &[(1, 1), (2, 2)], (9, 9)),
            refused(1, &[(1, 1), (1, 2)], (9, 9)),
            refused(1, &[(1, 1), (2, 1)], (9, 9)),
            refused(1, &[(1, 1), (2, 2)], (1, 9)),
            refused(1, &[(1, 1), (2, 2)], (9, 2)),
        ].join("\n"), @"
        a board of 0 members; 1 to 255 can share a key
        a board of 256 members; 1 to 255 can share a key
        a threshold of 0 of 1 members; it must be between 1 and the number of members
        a threshold of 3 of 2 members; it must be between 1 and the number of members
        the key 7ab6b86cb2c9684b0ddc10896153aa2595decf4d4327a5ff1a8ab7422c828b12 is on the board twice: a member holds one share
        the key c3f860ca5da4454d33496ca33bb48f0cdcd5b731be7316b67ca191db0185aa26 is on the board twice: a member holds one share
        the registry's key 7ab6b86cb2c9684b0ddc10896153aa2595decf4d4327a5ff1a8ab7422c828b12 is on the board: the two locks need different holders
        the registry's key f2e2bdd2a76c65abf2de0c2eded95abe3c23d3935f8b25a4135283e2dae99a75 is on the board: the two locks need different holders
        ");
        assert!(Recipients::new(1, vec![recipient(1, 1)], recipient(2, 2)).is_ok());
    }
}
