//! The recipients of a sealed checkpoint: the board with its threshold, and the registry.
//!
//! The recipients determine who can open it. Their keys come from signed cards or from the catalogue, and the sealed manifest names them
//! by key id, so that the board can check them before it signs.

use std::collections::BTreeSet;

use crate::identity::{Card, KeyId, SealingKey};

/// Maximum number of members: the number of points of GF(256) except zero.
const MAX_MEMBERS: usize = 255;

/// A recipient of a part of the locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recipient {
    /// The id of the recipient's signing key.
    pub key_id: KeyId,
    /// The key to which the part is sealed.
    pub sealing_key: SealingKey,
}

impl From<&Card> for Recipient {
    fn from(card: &Card) -> Self {
        Self { key_id: card.verifying_key.id(), sealing_key: card.sealing_key }
    }
}

/// The holders of both locks. Invariants: 1 to 255 members, a threshold between 1 and their number, and distinct keys: a member holds one
/// share, and the registry none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipients {
    threshold: u8,
    board: Vec<Recipient>,
    registry: Recipient,
}

/// The recipients are invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message explains its fields")]
pub enum RecipientsError {
    /// The board has no members or too many.
    #[error("a board must have 1 to {MAX_MEMBERS} members, not {count}")]
    BoardSize { count: usize },
    /// The threshold is zero or exceeds the number of members.
    #[error(
        "a threshold of {threshold} of {members} members; it must be between 1 and the number of members"
    )]
    Threshold { threshold: u8, members: usize },
    /// A member appears twice, or two members have the same sealing key.
    #[error("the key {key_id} is on the board twice; each member holds one share")]
    MemberTwice { key_id: KeyId },
    /// The registry's key is also a member's.
    #[error("the registry's key {key_id} is on the board; the two locks must have different holders")]
    RegistryOnBoard { key_id: KeyId },
}

impl Recipients {
    /// Checks the invariants.
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

    /// Returns how many shares open the board's lock.
    pub fn threshold(&self) -> u8 {
        self.threshold
    }

    /// Returns the board's members, in the order of their shares.
    pub fn board(&self) -> &[Recipient] {
        &self.board
    }

    /// Returns the registry.
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
        a board must have 1 to 255 members, not 0
        a board must have 1 to 255 members, not 256
        a threshold of 0 of 1 members; it must be between 1 and the number of members
        a threshold of 3 of 2 members; it must be between 1 and the number of members
        the key 7ab6b86cb2c9684b0ddc10896153aa2595decf4d4327a5ff1a8ab7422c828b12 is on the board twice; each member holds one share
        the key c3f860ca5da4454d33496ca33bb48f0cdcd5b731be7316b67ca191db0185aa26 is on the board twice; each member holds one share
        the registry's key 7ab6b86cb2c9684b0ddc10896153aa2595decf4d4327a5ff1a8ab7422c828b12 is on the board; the two locks must have different holders
        the registry's key f2e2bdd2a76c65abf2de0c2eded95abe3c23d3935f8b25a4135283e2dae99a75 is on the board; the two locks must have different holders
        ");
        assert!(Recipients::new(1, vec![recipient(1, 1)], recipient(2, 2)).is_ok());
    }
}
