//! Invitations: where a registry is and which catalogue it must show, on one line that people can send each other.
//!
//! ```text
//! portcullis-invite1…     Bech32m (BIP 350): version (1 byte, 1), the catalogue's id (32 bytes), the registry's address (1 to 512 bytes of UTF-8)
//! ```
//!
//! The checksum finds slips of the pen and says nothing of who wrote the invitation: who can change it on its way invites to a catalogue of
//! their own. People compare the [`Fingerprint`] by another way, such as a telephone.

use std::fmt;
use std::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32m, Hrp};

use crate::digest::Sha256Digest;
use crate::statement::CatalogueId;
use crate::visible::is_plain;

/// What every invitation begins with, before Bech32's `1`.
const PREFIX: &str = "portcullis-invite";
/// The version that is written here.
const VERSION: u8 = 1;
/// Longest text that is looked at: Bech32m finds errors in no longer ones.
const MAX_CHARACTERS: usize = 1023;
/// Longest address.
const MAX_ADDRESS: usize = 512;

/// An invitation to a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    registry: String,
    catalogue: CatalogueId,
}

/// A text is no invitation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvitationError {
    /// It does not begin as one.
    #[error("this is no invitation: one begins with `{PREFIX}1`")]
    Prefix,
    /// Longer than any.
    #[error("the invitation is longer than {MAX_CHARACTERS} characters")]
    TooLong,
    /// A character was lost, added or changed.
    #[error("the invitation is damaged: {reason}")]
    Damaged {
        /// What is wrong with it.
        reason: String,
    },
    /// A later version wrote it.
    #[error("the invitation is of version {version}, and this program knows version {VERSION}")]
    Version {
        /// Its version.
        version: u8,
    },
    /// It holds no address that could be one.
    #[error("the invitation names no registry that could be one")]
    Registry,
}

/// What a fingerprint begins from, before the catalogue's id and the registry's address.
const DOMAIN: &[u8] = b"portcullis/v1/invitation\n";

/// The first 80 bits of a digest over a catalogue's id and its registry's address, for people to compare: `8a41 5c0f 9d22 71be 04aa`. The same
/// catalogue at another address, where somebody may listen in between, has another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint(Sha256Digest);

impl Invitation {
    /// An invitation to the registry at this address, which must show this catalogue.
    ///
    /// # Errors
    /// [`InvitationError::Registry`] for an address that is empty, too long, or has something hidden in it.
    pub fn new(registry: impl Into<String>, catalogue: CatalogueId) -> Result<Self, InvitationError> {
        let registry = registry.into();
        let is_short = (1..=MAX_ADDRESS).contains(&registry.len());
        if is_short && !registry.contains(['\n', '\t']) && is_plain(&registry) {
            return Ok(Self { registry, catalogue });
        }
        Err(InvitationError::Registry)
    }

    /// Whether a text is meant to be an invitation, in whatever state it is.
    pub fn is_meant_by(text: &str) -> bool {
        text.trim_start().get(..PREFIX.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(PREFIX))
    }

    /// Where the registry is: an address, or a folder.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The catalogue that the registry must show.
    pub fn catalogue(&self) -> CatalogueId {
        self.catalogue
    }

    /// What people compare.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(self.catalogue, &self.registry)
    }
}

impl FromStr for Invitation {
    type Err = InvitationError;

    fn from_str(text: &str) -> Result<Self, InvitationError> {
        if !Self::is_meant_by(text) {
            return Err(InvitationError::Prefix);
        }
        if text.len() > 2 * MAX_CHARACTERS {
            return Err(InvitationError::TooLong);
        }
        // Mail breaks long lines.
        let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        if text.len() > MAX_CHARACTERS {
            return Err(InvitationError::TooLong);
        }
        let damaged = |reason: String| InvitationError::Damaged { reason };
        let checked = CheckedHrpstring::new::<Bech32m>(&text).map_err(|error| damaged(error.to_string()))?;
        if !checked.hrp().as_str().eq_ignore_ascii_case(PREFIX) {
            return Err(InvitationError::Prefix);
        }
        let bytes: Vec<u8> = checked.byte_iter().collect();
        let (version, rest) = bytes.split_first().ok_or_else(|| damaged("nothing is in it".to_owned()))?;
        if *version != VERSION {
            return Err(InvitationError::Version { version: *version });
        }
        let (catalogue, registry) =
            rest.split_first_chunk::<32>().ok_or_else(|| damaged("it is cut off".to_owned()))?;
        let registry = std::str::from_utf8(registry).map_err(|_| InvitationError::Registry)?;
        Self::new(registry, CatalogueId::new(Sha256Digest::from_bytes(*catalogue)))
    }
}

impl fmt::Display for Invitation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&[VERSION][..], self.catalogue.digest().as_bytes(), self.registry.as_bytes()].concat();
        let prefix = Hrp::parse(PREFIX).map_err(|_| fmt::Error)?;
        bech32::encode_lower_to_fmt::<Bech32m, _>(f, prefix, &bytes).map_err(|_| fmt::Error)
    }
}

impl Fingerprint {
    /// The fingerprint of a catalogue at a registry's address.
    pub fn of(catalogue: CatalogueId, registry: &str) -> Self {
        Self(Sha256Digest::compute(&[DOMAIN, catalogue.digest().as_bytes(), registry.as_bytes()].concat()))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, pair) in self.0.as_bytes().chunks(2).take(5).enumerate() {
            if at > 0 {
                f.write_str(" ")?;
            }
            for byte in pair {
                write!(f, "{byte:02x}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Invitation {
        let catalogue = CatalogueId::new(Sha256Digest::compute(b"a root"));
        Invitation::new("https://registry.example", catalogue).unwrap()
    }

    #[test]
    fn an_invitation_is_one_line_that_stays_as_it_is() {
        // What was sent once must be understood for ever.
        insta::assert_snapshot!(example().to_string(), @"portcullis-invite1q9gtxyh4e0r3vavl2csdwwnucy2p2urnf86pkr8qkl8hk7q8asca56r5w3c8xw309aex2emfwd68y7fwv4uxzmtsd3jsxxu54s");
        insta::assert_snapshot!(example().fingerprint(), @"fecc 6640 8fbf 676a b364");
        let text = example().to_string();
        for written in [text.clone(), text.to_uppercase(), format!(" {} \n {}", &text[..40], &text[40..])] {
            assert_eq!(written.parse(), Ok(example()), "{written}");
        }
    }

    #[test]
    fn what_is_no_invitation_is_refused_by_what_it_is() {
        let text = example().to_string();
        let bytes = |bytes: &[u8]| bech32::encode::<Bech32m>(Hrp::parse(PREFIX).unwrap(), bytes).unwrap();
        let refused = [
            "https://registry.example".to_owned(),
            text.replace("portcullis-invite1", "portcullis-invite"),
            text[..text.len() - 1].to_owned(),
            text.replace('q', "p"),
            bech32::encode::<bech32::Bech32>(Hrp::parse(PREFIX).unwrap(), &[1; 60]).unwrap(),
            bech32::encode::<Bech32m>(Hrp::parse("portcullis-invites").unwrap(), &[1; 60]).unwrap(),
            bytes(&[]),
            bytes(&[2; 60]),
            bytes(&[1; 20]),
            bytes(&[1; 33]),
            bytes(&[&[1; 33][..], "https://\u{202e}moc.example".as_bytes()].concat()),
            bytes(&[&[1; 33][..], b"\xff"].concat()),
            text.clone() + &"q".repeat(3000),
        ];
        let said: Vec<_> =
            refused.iter().map(|text| text.parse::<Invitation>().unwrap_err().to_string()).collect();
        insta::assert_snapshot!(said.join("\n"), @"
        this is no invitation: one begins with `portcullis-invite1`
        the invitation is damaged: parse failed
        the invitation is damaged: invalid checksum
        the invitation is damaged: invalid checksum
        the invitation is damaged: invalid checksum
        this is no invitation: one begins with `portcullis-invite1`
        the invitation is damaged: nothing is in it
        the invitation is of version 2, and this program knows version 1
        the invitation is damaged: it is cut off
        the invitation names no registry that could be one
        the invitation names no registry that could be one
        the invitation names no registry that could be one
        the invitation is longer than 1023 characters
        ");
    }

    #[test]
    fn an_address_is_bounded() {
        let catalogue = example().catalogue();
        assert!(
            Invitation::new("x".repeat(MAX_ADDRESS), catalogue)
                .unwrap()
                .to_string()
                .parse::<Invitation>()
                .is_ok()
        );
        for address in
            [String::new(), "x".repeat(MAX_ADDRESS + 1), "a\nb".to_owned(), "a\u{200b}b".to_owned()]
        {
            assert_eq!(Invitation::new(address, catalogue), Err(InvitationError::Registry));
        }
    }

    proptest! {
        #[test]
        fn every_invitation_reads_back(digest: [u8; 32], registry in "[!-~]{1,200}") {
            let invitation = Invitation::new(registry, CatalogueId::new(Sha256Digest::from_bytes(digest))).unwrap();
            prop_assert_eq!(invitation.to_string().parse::<Invitation>(), Ok(invitation));
        }

        #[test]
        fn no_text_makes_the_parser_fall_over(text in "(portcullis-invite1)?\\PC{0,300}") {
            if let Ok(invitation) = text.parse::<Invitation>() {
                prop_assert_eq!(invitation.to_string().parse::<Invitation>(), Ok(invitation));
            }
        }

        #[test]
        fn one_wrong_character_is_found(at in 18usize..100, to in "[qpzry9x8gf2tvdw0s3jn54khce6mua7l]") {
            let text = example().to_string();
            let at = at.min(text.len() - 1);
            prop_assume!(text[at..=at] != to);
            let changed = format!("{}{to}{}", &text[..at], &text[at + 1..]);
            prop_assert!(matches!(changed.parse::<Invitation>(), Err(InvitationError::Damaged { .. })), "{}", changed);
        }
    }
}
