//! A team of threads that runs the parts of one operation after another.
//!
//! A forward pass has some sixty operations of tens of microseconds each; waking a thread for each would take as long. So the threads
//! spin for a moment between operations, then yield, then sleep.
//!
//! Each thread begins with its own range of parts, so that it reads memory in order, and then takes parts from the other ranges. The
//! team never waits for a thread that is late because another process uses its core: the others do its parts.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Rounds of waiting with a pause instruction; a few microseconds together.
const SPINS: u32 = 1 << 8;

/// Further rounds that yield to other threads; then the thread sleeps.
const YIELDS: u32 = 1 << 9;

/// Set in [`Shared::state`] while threads may join the operation.
const OPEN: u64 = 1 << 31;

/// The bits of [`Shared::state`] that count the threads at work on the operation, without the caller.
const ACTIVE: u64 = OPEN - 1;

/// One more operation.
const NEXT: u64 = 1 << 32;

/// A fixed number of threads, including the caller's.
#[derive(Debug)]
pub(in crate::inference) struct Team {
    shared: Arc<Shared>,
    threads: usize,
    /// Held by the caller whose operation runs.
    turn: Mutex<()>,
}

/// An operation: the number of its parts, and the work for each.
#[derive(Clone, Copy)]
struct Job {
    work: *const (dyn Fn(usize) + Sync),
    parts: usize,
}

/// Padded to its own cache lines, because its thread updates it while others update theirs.
#[derive(Default)]
#[repr(align(128))]
struct Next(AtomicUsize);

struct Shared {
    /// From the top: the operation's number (32 bits), [`OPEN`], [`ACTIVE`].
    state: AtomicU64,
    job: UnsafeCell<Option<Job>>,
    /// The first part of each thread's range that no thread has taken.
    next: Vec<Next>,
    panic: Mutex<Option<Box<dyn Any + Send>>>,
    asleep: AtomicUsize,
    sleep: Mutex<()>,
    wake: Condvar,
    closing: std::sync::atomic::AtomicBool,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("state", &self.state).finish_non_exhaustive()
    }
}

// SAFETY: every field but `job` is `Sync` by itself. `job` is written only by the holder of `Team::turn`, while `state` is not OPEN and
// its ACTIVE count is 0; it is read only by threads in the ACTIVE count, which raised the count in one step with seeing OPEN (acquire),
// and OPEN was set after the write (release). The closure that it points to is `Sync`, and outlives the operation because `Team::run`
// does not return before the count is 0.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer in `job` is dereferenced only during an operation.
unsafe impl Send for Shared {}

impl Team {
    /// A team of at least one thread, including the caller's.
    pub(in crate::inference) fn new(threads: usize) -> Self {
        let shared = Arc::new(Shared {
            state: AtomicU64::new(0),
            job: UnsafeCell::new(None),
            next: (0..threads).map(|_| Next::default()).collect(),
            panic: Mutex::new(None),
            asleep: AtomicUsize::new(0),
            sleep: Mutex::new(()),
            wake: Condvar::new(),
            closing: false.into(),
        });
        let mut started = 1;
        for me in 1..threads {
            let shared = Arc::clone(&shared);
            // If the system refuses a thread, fewer do the work.
            let spawned = std::thread::Builder::new().name("portcullis-team".to_owned());
            started += usize::from(spawned.spawn(move || shared.serve(me)).is_ok());
        }
        Self { shared, threads: started, turn: Mutex::new(()) }
    }

    /// The team that the models of this process share: a thread for each processor that it may use.
    pub(in crate::inference) fn global() -> Arc<Self> {
        static TEAM: OnceLock<Arc<Team>> = OnceLock::new();
        let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Arc::clone(TEAM.get_or_init(|| Arc::new(Self::new(all()))))
    }

    pub(in crate::inference) fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `work` once with each number below `parts`, on all threads, and returns after the last call.
    ///
    /// `work` must not call it again. A panic in `work` continues in the caller.
    pub(in crate::inference) fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        if parts <= 1 || self.threads == 1 {
            (0..parts).for_each(work);
            return;
        }
        let _turn = lock(&self.turn);
        self.shared.publish(Job { work: erase(work), parts });
        let done = catch_unwind(AssertUnwindSafe(|| self.shared.take_parts(0, parts, work)));
        self.shared.close();
        let panic = lock(&self.shared.panic).take().or(done.err());
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Calls `work` once with the index of each chunk of `size` values, and the chunk; the last may be shorter.
    pub(in crate::inference) fn each_chunk<T: Send>(
        &self,
        data: &mut [T],
        size: usize,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        /// A pointer that threads share, each for its own ranges.
        struct Base<T>(*mut T);
        // SAFETY: only `chunk` below dereferences it, and never twice for the same range.
        unsafe impl<T: Send> Sync for Base<T> {}

        let (size, length) = (size.max(1), data.len());
        let base = Base(data.as_mut_ptr());
        let chunk = |i: usize| {
            let base = &base;
            let first = i * size;
            let count = size.min(length - first);
            // SAFETY: `run` calls this once for each i below ⌈length / size⌉, so the ranges lie within `data`, which is mutably
            // borrowed for the whole call, and no two overlap.
            work(i, unsafe { std::slice::from_raw_parts_mut(base.0.add(first), count) });
        };
        self.run(length.div_ceil(size), &chunk);
    }

    /// Calls `work` once with each item and its index.
    pub(in crate::inference) fn each<T: Send>(&self, items: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
        self.each_chunk(items, 1, |i, items| items.iter_mut().for_each(|item| work(i, item)));
    }

    /// The number of `units` in one part, such that every thread gets a few parts and the last part is short.
    pub(in crate::inference) fn share(&self, units: usize) -> usize {
        const PARTS_EACH: usize = 8;
        units.div_ceil(self.threads * PARTS_EACH).max(1)
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        drop(lock(&self.shared.sleep));
        self.shared.wake.notify_all();
    }
}

/// Erases the lifetime of `work`.
fn erase<'a>(work: &'a (dyn Fn(usize) + Sync + 'a)) -> *const (dyn Fn(usize) + Sync) {
    // SAFETY: only the lifetime changes; the proof of `Sync for Shared` shows that the pointer is not dereferenced after it ends.
    unsafe {
        std::mem::transmute::<*const (dyn Fn(usize) + Sync + 'a), *const (dyn Fn(usize) + Sync + 'static)>(
            work,
        )
    }
}

/// Locks; a panic cannot leave the data of these locks inconsistent.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Opens an operation. The caller holds the turn, no operation is open, and no thread is active.
    fn publish(&self, job: Job) {
        // SAFETY: no thread is ACTIVE and the state is not OPEN, so no thread reads `job`; this thread holds the turn, so no other
        // writes it.
        unsafe { *self.job.get() = Some(job) };
        for (thread, next) in self.next.iter().enumerate() {
            next.0.store(self.range(thread, job.parts).start, Ordering::Relaxed);
        }
        let number = (self.state.load(Ordering::Relaxed) & !(NEXT - 1)).wrapping_add(NEXT);
        self.state.store(number | OPEN, Ordering::SeqCst);
        // All SeqCst operations have one order: a thread that counts itself as asleep either sees the operation before it
        // sleeps, or its count is seen here.
        if self.asleep.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.sleep));
            self.wake.notify_all();
        }
    }

    /// The range of parts that a thread begins with.
    fn range(&self, thread: usize, parts: usize) -> Range<usize> {
        let begin = |thread: usize| thread * (parts / self.next.len()) + thread.min(parts % self.next.len());
        begin(thread)..begin(thread + 1)
    }

    /// Works on the parts of thread `me`, then on what is left of the other ranges.
    fn take_parts(&self, me: usize, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        let threads = self.next.len();
        for thread in (me..threads).chain(0..me) {
            let end = self.range(thread, parts).end;
            loop {
                let part = self.next[thread].0.fetch_add(1, Ordering::Relaxed);
                if part >= end {
                    break;
                }
                work(part);
            }
        }
    }

    /// Closes the operation and waits for the active threads.
    fn close(&self) {
        // After a panic in the caller, parts may be left; no thread needs to do them.
        self.next.iter().for_each(|next| _ = next.0.fetch_add(usize::MAX / 2, Ordering::Relaxed));
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut rounds = 0;
        while self.state.load(Ordering::Acquire) & ACTIVE > 0 {
            pause(&mut rounds);
        }
    }

    /// The main loop of thread `me`: joins each open operation.
    fn serve(&self, me: usize) {
        let mut last = 0;
        let mut rounds = 0;
        while !self.closing.load(Ordering::Relaxed) {
            let state = self.state.load(Ordering::Relaxed);
            let number = state / NEXT;
            if state & OPEN == 0 || number == last {
                if pause(&mut rounds) {
                    self.sleep_until_after(last);
                    rounds = 0;
                }
                continue;
            }
            let joined = self.state.compare_exchange(state, state + 1, Ordering::Acquire, Ordering::Relaxed);
            if joined.is_ok() {
                self.help(me);
                last = number;
                rounds = 0;
            }
        }
    }

    /// Works on the open operation, then leaves the ACTIVE count, which this thread joined before.
    fn help(&self, me: usize) {
        // SAFETY: this thread is in the ACTIVE count, so `job` is not written, and the closure that it points to is alive.
        let work = unsafe { (*self.job.get()).map(|job| (job.parts, &*job.work)) };
        if let Some((parts, work)) = work {
            let done = catch_unwind(AssertUnwindSafe(|| self.take_parts(me, parts, work)));
            if let Err(panic) = done {
                *lock(&self.panic) = Some(panic);
            }
        }
        self.state.fetch_sub(1, Ordering::Release);
    }

    /// Sleeps until an operation after `last` is open or the team is dropped.
    fn sleep_until_after(&self, last: u64) {
        let mut guard = lock(&self.sleep);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        let idle = || {
            let state = self.state.load(Ordering::SeqCst);
            (state & OPEN == 0 || state / NEXT == last) && !self.closing.load(Ordering::SeqCst)
        };
        while idle() {
            guard = self.wake.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits for a moment; returns true after enough rounds to sleep.
fn pause(rounds: &mut u32) -> bool {
    *rounds = rounds.saturating_add(1);
    if *rounds < SPINS {
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
    *rounds > SPINS + YIELDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_done_once_with_any_number_of_threads() {
        for threads in [1, 2, 3, 8] {
            let team = Team::new(threads);
            for parts in [0, 1, 2, 7, 100] {
                let counts: Vec<AtomicUsize> = (0..parts).map(|_| AtomicUsize::new(0)).collect();
                team.run(parts, &|i| {
                    counts[i].fetch_add(1, Ordering::Relaxed);
                });
                assert!(counts.iter().all(|count| count.load(Ordering::Relaxed) == 1), "{threads}, {parts}");
            }
        }
    }

    #[test]
    fn thousands_of_operations_from_several_callers_all_end() {
        let team = Team::new(3);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    for round in 0..2_000_usize {
                        let mut numbers = vec![0; 1 + round % 50];
                        team.each_chunk(&mut numbers, 3, |i, part| part.fill(i + 1));
                        assert!(numbers.iter().enumerate().all(|(at, &n)| n == at / 3 + 1));
                    }
                });
            }
        });
    }

    #[test]
    fn sleeping_threads_wake_up() {
        let team = Team::new(2);
        for _ in 0..3 {
            std::thread::sleep(std::time::Duration::from_millis(30));
            let mut numbers = [0; 64];
            team.each(&mut numbers, |i, n| *n = i);
            assert!(numbers.iter().enumerate().all(|(i, &n)| n == i));
        }
    }

    #[test]
    fn a_panic_reaches_the_caller_and_the_team_goes_on() {
        let team = Team::new(2);
        for bad in [0, 5, 31] {
            let caught = catch_unwind(AssertUnwindSafe(|| team.run(32, &|i| assert_ne!(i, bad))));
            assert!(caught.is_err());
        }
        let sum = AtomicUsize::new(0);
        team.run(32, &|i| {
            sum.fetch_add(i, Ordering::Relaxed);
        });
        assert_eq!(sum.into_inner(), 31 * 32 / 2);
    }
}
