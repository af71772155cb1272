//! What to do when something sealed does not open, or cannot be sealed.

use super::checkpoint::explain_checkpoint;
use super::hint_for_io;
use crate::cli::failure::Kind;
use crate::seal::Error;

pub(super) fn explain_seal(error: &Error) -> (Kind, Option<String>) {
    let (kind, hint) = match error {
        Error::Io { source, .. } => return (Kind::Unavailable, hint_for_io(source)),
        Error::Checkpoint(error) => return explain_checkpoint(error),
        Error::Recipients(_) => {
            (Kind::Usage, "choose other lock holders: `portcullis catalogue status` lists the board")
        }
        Error::ManifestDigest { .. } => (
            Kind::Unverified,
            "the copy belongs to another seal than the catalogue's: pull it again, or ask the registry for the right one",
        ),
        Error::Manifest(_) | Error::Shares { .. } => {
            (Kind::Unverified, "fetch the file again: this copy is damaged or belongs to another folder")
        }
        Error::NotSealed { .. } => {
            (Kind::Unavailable, "name the folder that `portcullis seal <folder>` made")
        }
        Error::ChunkMissing { .. } => {
            (Kind::Unavailable, "run `portcullis pull <checkpoint>` again: it fetches what is missing")
        }
        Error::ChunkSize { .. } | Error::ChunkDigest { .. } => {
            (Kind::Unverified, "run `portcullis pull <checkpoint>` again: it replaces what is damaged")
        }
        Error::ChunkNotOpened { .. } | Error::PlainDigest { .. } => {
            (Kind::Unverified, "do not use it; tell the board, who signed its manifest")
        }
        Error::NoSuchShare { .. } | Error::WrongShare { .. } | Error::ShareTwice { .. } => {
            (Kind::Unverified, "ask that member to approve again")
        }
        Error::ShareNotOpened { .. } => (
            Kind::Denied,
            "use the identity (--home) that it was sealed to; if it is the right one, ask for it again",
        ),
        Error::NotOnBoard { .. } => {
            (Kind::Denied, "this checkpoint was sealed to other members: seal it again for the present board")
        }
        Error::TooFewShares { .. } => (Kind::Denied, "ask the other members to approve"),
        Error::WrongKey => (Kind::Unverified, "ask for a new grant and a new lease; tell the board"),
        Error::NotOpened { .. } => {
            (Kind::Denied, "use the identity (--home) that it was sealed to, and ask for a new lease")
        }
        Error::Unsealable { .. } => (Kind::Unverified, "ask its owner for a new card"),
        Error::SourceChanged { .. } => {
            (Kind::Unverified, "make sure that nothing writes to the folder, and seal it again")
        }
        Error::NotAFolderName { .. } => (Kind::Usage, "give --to the name of a new folder"),
        Error::DestinationExists { .. } => (Kind::Usage, "choose another --to, or remove that folder first"),
        Error::Busy { .. } => (Kind::Unavailable, "wait until it ends"),
        Error::NotASmallFile { .. } | Error::Encode { .. } | Error::Cipher => {
            (Kind::Internal, "this is a bug: please report it")
        }
    };
    (kind, Some(hint.to_owned()))
}
