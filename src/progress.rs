//! What long work reports to whoever watches; only the command line draws it.

/// A watcher of long work. Steps follow one another; work inside a step may come from several threads.
pub trait Progress: Send + Sync {
    /// A step begins, of `total` bytes where that is known.
    fn begin(&self, step: &str, total: Option<u64>);

    /// A step begins whose progress is counted in tokens.
    fn begin_tokens(&self, step: &str, total: u64) {
        self.begin(step, Some(total));
    }

    /// `count` more bytes, or tokens, of the step are done.
    fn advance(&self, count: u64);

    /// Something that a person wants to read now: a retry, a restart from zero.
    fn note(&self, message: &str);
}

/// Nobody watches.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn begin(&self, _step: &str, _total: Option<u64>) {}
    fn advance(&self, _count: u64) {}
    fn note(&self, _message: &str) {}
}
