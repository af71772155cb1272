//! Draws progress on standard error when that is a terminal.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::json;

use super::interrupt;
use super::output::Output;
use crate::progress::Progress;

/// The bar that is on the screen.
static SHOWN: Mutex<Option<ProgressBar>> = Mutex::new(None);

/// Leaves nothing of the bar that is on the screen, if there is one: for a process that ends at once.
pub(super) fn clear() {
    if let Some(bar) = shown().take() {
        bar.finish_and_clear();
    }
}

fn shown() -> MutexGuard<'static, Option<ProgressBar>> {
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A bar with rate and time left; only notes if standard error is not a terminal.
pub(super) struct Bar {
    output: Output,
    /// Whether a bar stays on the screen once it is full.
    stays: bool,
    bar: Mutex<ProgressBar>,
}

impl Bar {
    /// Bars of a command whose work they are: each stays, full, once its step is done.
    pub(super) fn new(output: Output) -> Self {
        Self::with_stay(output, true)
    }

    /// Bars before what a command is for: they make room for it.
    pub(super) fn transient(output: Output) -> Self {
        Self::with_stay(output, false)
    }

    fn with_stay(output: Output, stays: bool) -> Self {
        Self { output, stays, bar: Mutex::new(ProgressBar::hidden()) }
    }

    fn draw(&self, step: &str, total: Option<u64>, template: &str) {
        if !self.output.draws_progress() {
            return;
        }
        interrupt::clear_on_interrupt();
        let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr()).with_style(style);
        bar.set_message(step.to_owned());
        self.replace(bar);
    }

    /// Ends the bar of the step before.
    fn replace(&self, bar: ProgressBar) {
        let mut current = self.bar.lock().unwrap_or_else(PoisonError::into_inner);
        self.end(&current);
        *shown() = Some(bar.clone());
        *current = bar;
    }

    /// Draws the bar as it ends: a full one says so, of one that is not full nothing is left.
    fn end(&self, bar: &ProgressBar) {
        // What is ended is on its line for good: an interrupt would clear another one.
        shown().take();
        let is_full = bar.length().is_some_and(|length| length > 0 && bar.position() >= length);
        if self.stays && is_full { bar.finish() } else { bar.finish_and_clear() }
    }

    fn bar(&self) -> ProgressBar {
        self.bar.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.end(&self.bar());
    }
}

impl Progress for Bar {
    fn begin(&self, step: &str, total: Option<u64>) {
        let template = match total {
            Some(_) => {
                "{msg:12} {wide_bar} {decimal_bytes}/{decimal_total_bytes} {decimal_bytes_per_sec} {eta}"
            }
            None => "{msg:12} {spinner} {decimal_bytes} {decimal_bytes_per_sec}",
        };
        self.draw(step, total, template);
    }

    fn begin_tokens(&self, step: &str, total: u64) {
        self.draw(step, Some(total), "{msg:12} {wide_bar} {human_pos}/{human_len} tokens {per_sec} {eta}");
    }

    fn advance(&self, count: u64) {
        self.bar().inc(count);
    }

    fn note(&self, message: &str) {
        if self.output.draws_progress() {
            self.bar().suspend(|| self.output.note(message));
        } else {
            self.output.note(message);
        }
    }
}

/// Reads standard input whole, of at most `max` bytes.
pub(super) fn read_stdin(max: u64) -> io::Result<Vec<u8>> {
    use io::Read as _;
    let mut bytes = Vec::new();
    io::stdin().lock().take(max + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("more than {max} bytes")));
    }
    Ok(bytes)
}

/// Writes progress to standard output as JSON, a line an event.
pub(super) struct Events {
    output: Output,
    state: Mutex<EventState>,
}

struct EventState {
    step: String,
    total: Option<u64>,
    done: u64,
    started: Instant,
    reported: Instant,
}

/// Time between two lines of progress.
const MIN_INTERVAL: Duration = Duration::from_millis(500);

impl Events {
    pub(super) fn new(output: Output) -> Self {
        let now = Instant::now();
        let state = EventState { step: String::new(), total: None, done: 0, started: now, reported: now };
        Self { output, state: Mutex::new(state) }
    }

    fn emit(&self, state: &EventState) {
        let seconds = state.started.elapsed().as_secs_f64();
        let rate = state.done as f64 / seconds.max(1e-3);
        let left = state.total.filter(|_| state.done > 0);
        let left = left.map(|total| total.saturating_sub(state.done) as f64 / rate.max(1.0));
        self.line(&json!({
            "event": "progress", "step": state.step, "bytes": state.done, "total": state.total,
            "bytes_per_second": rate.round(), "seconds_left": left.map(f64::round),
        }));
    }

    fn line(&self, value: &serde_json::Value) {
        // If the reader is gone, the work continues.
        let _ = self.output.result(value, "");
    }
}

impl Progress for Events {
    fn begin(&self, step: &str, total: Option<u64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        *state = EventState { step: step.to_owned(), total, done: 0, started: now, reported: now };
        self.emit(&state);
    }

    fn advance(&self, count: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.done += count;
        if state.reported.elapsed() >= MIN_INTERVAL || Some(state.done) == state.total {
            state.reported = Instant::now();
            self.emit(&state);
        }
    }

    fn note(&self, message: &str) {
        self.line(&json!({ "event": "note", "message": message }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_bar_is_left_unfinished_whatever_becomes_of_its_step() {
        // Bars share a screen, so one test tries all ends in turn.
        let started = |bar: &Bar, length: u64| {
            let step = ProgressBar::hidden();
            step.set_length(length);
            bar.replace(step.clone());
            step
        };
        let bar = Bar::new(Output::new(false, false));
        let full = started(&bar, 2);
        bar.advance(2);
        let next = started(&bar, 2);
        assert!(full.is_finished() && !next.is_finished());
        bar.advance(1);
        // As when a step fails: the command returns, and the bar goes with it.
        drop(bar);
        assert!(next.is_finished() && shown().is_none());
        // As at Ctrl-C: nothing returns.
        let bar = Bar::transient(Output::new(false, false));
        let interrupted = started(&bar, 2);
        clear();
        assert!(interrupted.is_finished() && shown().is_none());
    }
}
