//! Cards as statements: the public half of an identity, signed by its own key.
//!
//! The signature proves that the holder of the signing key chose the sealing key and the name. An attacker cannot combine another person's
//! signing key with a sealing key of their own.

use super::{Envelope, Error, Predicate, Quorum, Statement, Subject, Verified};
use crate::digest::Sha256Digest;
use crate::identity::{Card, Signer};

impl Predicate for Card {
    const KIND: &'static str = "card";
    const IN_CATALOGUE: bool = false;
}

/// Signs a card with its owner's key. The statement's subject is the digest of the signing key.
///
/// # Errors
/// [`Error::Signer`].
pub fn sign_card(card: &Card, signer: &dyn Signer) -> Result<Envelope, Error> {
    Statement::without_catalogue(subject(card), card.clone()).sign(signer)
}

/// Verifies that a card is signed by its own key, and by no other.
///
/// # Errors
/// [`Error::CardNotSelfSigned`], and those of [`Envelope::claim`].
pub fn verify_card(envelope: &Envelope) -> Result<Verified<Card>, Error> {
    let claim: Statement<Card> = envelope.claim()?;
    // A second signature could only be another person's, and each costs time to verify.
    if envelope.signatures().len() != 1 {
        let count = envelope.signatures().len();
        return Err(Error::SignatureCount { kind: Card::KIND.to_owned(), count, max: 1 });
    }
    let not_self_signed = || Error::CardNotSelfSigned { name: claim.predicate.name.to_string() };
    if claim.subject != subject(&claim.predicate) {
        return Err(not_self_signed());
    }
    let owner = |card: &Card| Quorum::from_key(card.name.as_str(), card.verifying_key);
    match envelope.verify_self_signed(owner) {
        Ok(statement) => Ok(statement.map(|statement| statement.predicate)),
        Err(Error::Threshold(_)) => Err(not_self_signed()),
        Err(error) => Err(error),
    }
}

fn subject(card: &Card) -> Subject {
    Subject { name: "identity".to_owned(), digest: Sha256Digest::compute(card.verifying_key.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::{Identity, OpeningKey};
    use crate::time::Timestamp;

    fn identity(seed: u8) -> Identity {
        let name = "Ada".parse().unwrap();
        Identity::new(name, None, &[seed; 32], &[seed; 32], Timestamp::from_unix_seconds(0))
    }

    #[test]
    fn a_card_is_believed_when_its_own_key_signed_it() {
        let ada = identity(1);
        let signer = ada.signer(None).unwrap();
        let envelope = sign_card(ada.card(), &*signer).unwrap();
        assert_eq!(*verify_card(&envelope).unwrap(), *ada.card());

        let mut swapped = ada.card().clone();
        swapped.sealing_key = OpeningKey::from_bytes(&[9; 32]).sealing_key();
        let stranger = identity(2).signer(None).unwrap();
        let error = verify_card(&sign_card(&swapped, &*stranger).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "the card of Ada is not signed by its own key");
    }
}
