//! How many chunks are in flight: more while that makes the whole faster, half as many when a server says that it is too much.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How much faster the whole must become for one more to be worth it.
const WORTH_IT: f64 = 1.03;
/// Chunks between two changes.
const CHUNKS: u32 = 4;

/// Additive increase, multiplicative decrease, as TCP does it.
#[derive(Debug)]
pub(super) struct Flow {
    max: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    target: usize,
    /// Chunks and bytes since the last change.
    chunks: u32,
    bytes: u64,
    since: Instant,
    /// Bytes a second before the last change.
    before: f64,
    /// Nothing is asked for until then.
    held_until: Option<Instant>,
}

impl Flow {
    pub(super) fn new(first: usize, max: usize) -> Self {
        let target = first.clamp(1, max.max(1));
        let since = Instant::now();
        let state = State { target, chunks: 0, bytes: 0, since, before: 0.0, held_until: None };
        Self { max: max.max(1), state: Mutex::new(state) }
    }

    /// Whether the worker of this number may take a chunk now; otherwise how long it waits before it asks again.
    pub(super) fn admits(&self, worker: usize) -> Result<(), Duration> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        match state.held_until {
            Some(until) if until > now => Err(until - now),
            _ if worker < state.target => Ok(()),
            _ => Err(Duration::from_millis(50)),
        }
    }

    pub(super) fn on_chunk(&self, bytes: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.chunks += 1;
        state.bytes += bytes;
        if state.chunks < CHUNKS.max(u32::try_from(state.target).unwrap_or(u32::MAX)) {
            return;
        }
        let rate = state.bytes as f64 / state.since.elapsed().as_secs_f64().max(1e-6);
        if rate > state.before * WORTH_IT && state.target < self.max {
            state.target += 1;
        }
        state.before = rate.max(state.before);
        (state.chunks, state.bytes, state.since) = (0, 0, Instant::now());
    }

    /// A server said that it is too much.
    pub(super) fn on_overload(&self, wait: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.target = (state.target / 2).max(1);
        state.before = 0.0;
        (state.chunks, state.bytes, state.since) = (0, 0, Instant::now());
        let until = Instant::now() + wait;
        state.held_until = Some(state.held_until.map_or(until, |held| held.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(flow: &Flow) -> usize {
        (0..).take_while(|worker| flow.admits(*worker).is_ok()).count()
    }

    #[test]
    fn it_grows_while_that_helps_and_halves_when_told() {
        let flow = Flow::new(4, 8);
        assert_eq!(target(&flow), 4);
        for _ in 0..4 {
            flow.on_chunk(1 << 20);
        }
        assert_eq!(target(&flow), 5);
        flow.on_overload(Duration::ZERO);
        assert_eq!(target(&flow), 2);
        flow.on_overload(Duration::from_secs(60));
        assert_eq!(target(&flow), 0, "nothing is asked for while a server wants to be left alone");
    }

    #[test]
    fn it_never_exceeds_its_bound() {
        let flow = Flow::new(1, 2);
        for round in 1..200u64 {
            flow.on_chunk(round << 30);
        }
        assert_eq!(target(&flow), 2);
    }
}
