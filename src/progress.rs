//! Progress reports of long operations. Only the command line displays them.

/// Receives progress reports. Steps follow one another; several threads may report within a step.
pub trait Progress: Send + Sync {
    /// Begins a step of `total` bytes, if that is known.
    fn begin(&self, step: &str, total: Option<u64>);

    /// Begins a step that counts tokens.
    fn begin_tokens(&self, step: &str, total: u64) {
        self.begin(step, Some(total));
    }

    /// Adds `count` bytes, or tokens, to the current step.
    fn advance(&self, count: u64);

    /// Reports an event that matters to the user, such as a retry.
    fn note(&self, message: &str);
}

/// Discards all reports.
#[derive(Debug, Clone, Copy)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn begin(&self, _step: &str, _total: Option<u64>) {}
    fn advance(&self, _count: u64) {}
    fn note(&self, _message: &str) {}
}
