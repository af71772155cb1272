//! Opens chunks that do not come from a folder, for example from an object store.

use super::chunk::{FileCipher, Place};
use super::{ChunkEntry, ChunkName, ContentKey, Error, SealedManifest};
use crate::digest::Sha256Digest;

/// The keys of an unlocked checkpoint's files, wiped on drop.
pub struct ChunkOpener {
    manifest: SealedManifest,
    ciphers: Vec<FileCipher>,
}

impl ChunkOpener {
    /// Derives the files' keys from the content key.
    ///
    /// # Errors
    /// [`Error::WrongKey`].
    pub fn unlock(manifest: SealedManifest, key: &ContentKey) -> Result<Self, Error> {
        if !key.has_commitment(&manifest.seal.key_commitment) {
            return Err(Error::WrongKey);
        }
        let plain = &manifest.plain;
        let cipher = |name: &str| FileCipher::new(key, &plain.checkpoint, name);
        let ciphers = plain.files.iter().map(|file| cipher(&file.name)).collect::<Result<_, _>>()?;
        Ok(Self { manifest, ciphers })
    }

    /// Returns the manifest.
    pub fn manifest(&self) -> &SealedManifest {
        &self.manifest
    }

    /// Returns the chunks of a file, by its index in the manifest.
    pub fn chunks(&self, file: usize) -> &[ChunkEntry] {
        let name = self.manifest.plain.files.get(file).map(|file| file.name.as_str());
        name.and_then(|name| self.manifest.seal.files.get(name)).map_or(&[], Vec::as_slice)
    }

    /// Verifies and decrypts a chunk (P6).
    ///
    /// # Errors
    /// [`Error::ChunkDigest`], [`Error::ChunkNotOpened`].
    pub fn open(&self, file: usize, index: u64, mut ciphertext: Vec<u8>) -> Result<Vec<u8>, Error> {
        let path = self.manifest.plain.files.get(file).map(|file| file.name.clone()).unwrap_or_default();
        let chunk = || ChunkName { path: path.clone(), index };
        let not_opened = || Error::ChunkNotOpened { chunk: chunk() };
        let chunks = self.chunks(file);
        let entry = usize::try_from(index).ok().and_then(|index| chunks.get(index)).ok_or_else(not_opened)?;
        let found = Sha256Digest::compute(&ciphertext);
        if found != entry.sha256 {
            return Err(Error::ChunkDigest { chunk: chunk(), expected: entry.sha256, found });
        }
        let place = Place { index, is_last: index + 1 == chunks.len() as u64 };
        let cipher = self.ciphers.get(file).ok_or_else(not_opened)?;
        let length = cipher.open(place, &mut ciphertext).ok_or_else(not_opened)?;
        ciphertext.truncate(length);
        Ok(ciphertext)
    }
}
