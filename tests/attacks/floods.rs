//! Floods by strangers: memory, disk, processor, the board's queue.
