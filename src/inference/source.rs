//! Where the bytes of weights come from: the one thing that loading asks of a file, or of chunks opened in memory.

use std::collections::BTreeMap;
use std::io;

use crate::checkpoint::tensor_file::{TensorEntry, TensorFile};
use crate::seal::OpenedWeights;

/// Tensors that can be read piece by piece, from several threads at once.
///
/// An implementor whose bytes are altered can make loading fail or change numbers, never more: entries are compared
/// with the configuration before anything is allocated.
pub trait TensorSource: Sync {
    /// The tensors by name.
    fn entries(&self) -> &BTreeMap<String, TensorEntry>;

    /// Fills `buffer` with a tensor's bytes from `position` on, counted from the tensor's first byte.
    ///
    /// # Errors
    /// What the medium says.
    fn read_at(&self, entry: &TensorEntry, position: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl TensorSource for TensorFile {
    fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        TensorFile::entries(self)
    }

    fn read_at(&self, entry: &TensorEntry, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        TensorFile::read_at(self, entry, position, buffer)
    }
}

impl TensorSource for OpenedWeights {
    fn entries(&self) -> &BTreeMap<String, TensorEntry> {
        OpenedWeights::entries(self)
    }

    fn read_at(&self, entry: &TensorEntry, position: u64, buffer: &mut [u8]) -> io::Result<()> {
        OpenedWeights::read_at(self, entry, position, buffer)
    }
}
