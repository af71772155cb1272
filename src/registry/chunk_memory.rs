//! Memory for decrypted chunks: a chunk is decrypted as a whole, and many clients may read slowly at the same time.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::Error;

/// Maximum bytes of decrypted chunks.
const MAX_OPENED: u64 = 256 << 20;
/// Bytes per unit of accounting.
const UNIT: u64 = 64 << 10;
/// Fraction of the memory that one share may use; the longest chunk fits.
const PART: u64 = 4;
/// Number of shares among readers, large enough that two active readers rarely have the same.
pub(super) const SHARES: usize = 1024;
/// Maximum wait for memory.
const PATIENCE: Duration = Duration::from_secs(10);

/// The memory for decrypted chunks.
pub(super) struct ChunkMemory {
    all: Arc<Semaphore>,
    shares: Vec<Arc<Semaphore>>,
    patience: Duration,
}

/// Reserved memory, released on drop.
#[derive(Debug)]
pub(super) struct MemoryPermit {
    _share: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for ChunkMemory {
    fn default() -> Self {
        let units = usize::try_from(MAX_OPENED / UNIT).unwrap_or(1);
        let share = usize::try_from(MAX_OPENED / UNIT / PART).unwrap_or(1);
        Self {
            all: Arc::new(Semaphore::new(units)),
            shares: (0..SHARES).map(|_| Arc::new(Semaphore::new(share))).collect(),
            patience: PATIENCE,
        }
    }
}

impl ChunkMemory {
    /// Waits for memory for a chunk of `bytes`, within the reader's own share first: a reader with a full share does not hold up others.
    ///
    /// # Errors
    /// [`Error::Crowded`].
    pub(super) async fn reserve(&self, share: usize, bytes: u64) -> Result<MemoryPermit, Error> {
        let units = u32::try_from(bytes.div_ceil(UNIT).clamp(1, MAX_OPENED / UNIT / PART)).unwrap_or(1);
        let share = self.shares.get(share % SHARES).ok_or(Error::Crowded)?;
        let entered = timeout(self.patience, async {
            let share = Arc::clone(share).acquire_many_owned(units).await?;
            let all = Arc::clone(&self.all).acquire_many_owned(units).await?;
            Ok::<_, tokio::sync::AcquireError>(MemoryPermit { _share: share, _all: all })
        });
        entered.await.map_err(|_| Error::Crowded)?.map_err(|_| Error::Crowded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn whoever_fills_their_share_waits_and_others_do_not() {
        let memory = ChunkMemory { patience: Duration::from_millis(50), ..ChunkMemory::default() };
        let chunk = 8 << 20;
        let mut held = Vec::new();
        for _ in 0..8 {
            held.push(memory.reserve(1, chunk).await.unwrap());
        }
        let refused = memory.reserve(1, chunk).await.unwrap_err();
        assert_eq!(refused.to_string(), "too many chunks are open for readers");
        assert!(memory.reserve(2, 64 << 20).await.is_ok(), "the longest chunk fits into a share");
        held.pop();
        assert!(memory.reserve(1, chunk).await.is_ok());
        for share in 2..5 {
            held.push(memory.reserve(share, 64 << 20).await.unwrap());
        }
        held.push(memory.reserve(6, chunk).await.unwrap());
        assert!(matches!(memory.reserve(7, chunk).await, Err(Error::Crowded)), "all of it is full");
    }
}
