//! Threads that share out the parts of one operation after another.
//!
//! A forward pass is some sixty operations, each over in tens of microseconds; waking a thread for each would take as long.
//! So the threads of a team spin for a moment between operations, then give way to others, then sleep.
//!
//! Each thread begins with a range of parts of its own, so that it reads memory in order; one that is done takes parts of the
//! others' ranges. So a thread that is late, because something else runs on its core, is not waited for: it finds the operation
//! closed and its parts done.

use std::any::Any;
use std::cell::UnsafeCell;
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

/// Rounds of waiting with a pause each, a few microseconds together.
const SPINS: u32 = 1 << 8;

/// Rounds of waiting behind them in which other threads may run; then the thread sleeps.
const YIELDS: u32 = 1 << 9;

/// Set in [`Shared::state`] while threads may join the operation.
const OPEN: u64 = 1 << 31;

/// The part of [`Shared::state`] that counts the threads at work on the operation, but for the one that called it.
const ACTIVE: u64 = OPEN - 1;

/// One more operation.
const NEXT: u64 = 1 << 32;

/// A fixed number of threads, the caller's among them.
#[derive(Debug)]
pub(in crate::inference) struct Team {
    shared: Arc<Shared>,
    threads: usize,
    /// Held by the one whose operation it is.
    turn: Mutex<()>,
}

/// An operation: its parts, and what to do with each.
#[derive(Clone, Copy)]
struct Job {
    work: *const (dyn Fn(usize) + Sync),
    parts: usize,
}

/// Alone in its lines of the caches: its thread takes from it while others take from theirs.
#[derive(Default)]
#[repr(align(128))]
struct Next(AtomicUsize);

struct Shared {
    /// From the top: the operation's number (32 bits), [`OPEN`], [`ACTIVE`].
    state: AtomicU64,
    job: UnsafeCell<Option<Job>>,
    /// The first part of each thread's range that nobody has taken.
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

// SAFETY: everything but `job` is `Sync` by itself. `job` is written only by the holder of `Team::turn`, while `state` is
// neither OPEN nor counts anybody ACTIVE, and read only by those who count as ACTIVE: they raised the count in one step with
// seeing OPEN (acquire), which was set after the write (release). What it points to is `Sync`, and outlives the operation
// because `Team::run` does not return before the count is back at 0.
unsafe impl Sync for Shared {}
// SAFETY: as above; the pointer in `job` is only followed during an operation.
unsafe impl Send for Shared {}

impl Team {
    /// A team of `threads`, at least 1, one of them the caller's.
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
            // Where the system gives no more threads the work is done by fewer.
            let spawned = std::thread::Builder::new().name("portcullis-team".to_owned());
            started += usize::from(spawned.spawn(move || shared.serve(me)).is_ok());
        }
        Self { shared, threads: started, turn: Mutex::new(()) }
    }

    /// The team of this process: a thread for each processor that it may use.
    pub(in crate::inference) fn of_this_process() -> Arc<Self> {
        static TEAM: OnceLock<Arc<Team>> = OnceLock::new();
        let all = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Arc::clone(TEAM.get_or_init(|| Arc::new(Self::new(all()))))
    }

    /// How many threads share the work.
    pub(in crate::inference) fn threads(&self) -> usize {
        self.threads
    }

    /// Calls `work` once with each number below `parts`, on all threads, and returns when all calls have.
    ///
    /// Must not be called from within `work`. A panic of `work` becomes the caller's.
    pub(in crate::inference) fn run(&self, parts: usize, work: &(dyn Fn(usize) + Sync)) {
        if parts <= 1 || self.threads == 1 {
            (0..parts).for_each(work);
            return;
        }
        let _turn = lock(&self.turn);
        self.shared.publish(Job { work: erase(work), parts });
        let done = catch_unwind(AssertUnwindSafe(|| self.shared.take_parts((0, parts), work)));
        self.shared.close();
        let panic = lock(&self.shared.panic).take().or(done.err());
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    /// Cuts `data` into chunks of `size`, the last perhaps shorter, and calls `work` once with each and its index.
    pub(in crate::inference) fn each_chunk<T: Send>(
        &self,
        data: &mut [T],
        size: usize,
        work: impl Fn(usize, &mut [T]) + Sync,
    ) {
        /// A pointer that threads may share, each for a range of its own.
        struct Base<T>(*mut T);
        // SAFETY: only `chunk` below follows it, and never for the same range twice.
        unsafe impl<T: Send> Sync for Base<T> {}

        let (size, length) = (size.max(1), data.len());
        let base = Base(data.as_mut_ptr());
        let chunk = |i: usize| {
            let base = &base;
            let first = i * size;
            let count = size.min(length - first);
            // SAFETY: `run` calls this once for each i below ⌈length / size⌉: the ranges lie inside of `data`, which is
            // borrowed for the whole call, and no two overlap.
            work(i, unsafe { std::slice::from_raw_parts_mut(base.0.add(first), count) });
        };
        self.run(length.div_ceil(size), &chunk);
    }

    /// Calls `work` once with each item and its index.
    pub(in crate::inference) fn each<T: Send>(&self, items: &mut [T], work: impl Fn(usize, &mut T) + Sync) {
        self.each_chunk(items, 1, |i, items| items.iter_mut().for_each(|item| work(i, item)));
    }

    /// How many of `units` should make one part, so that every thread gets a few and none waits long for the last.
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

/// Forgets how long `work` lives.
fn erase<'a>(work: &'a (dyn Fn(usize) + Sync + 'a)) -> *const (dyn Fn(usize) + Sync) {
    // SAFETY: only the lifetime changes; `Shared`'s proof says why the pointer is not followed after it.
    unsafe {
        std::mem::transmute::<*const (dyn Fn(usize) + Sync + 'a), *const (dyn Fn(usize) + Sync + 'static)>(
            work,
        )
    }
}

/// Nothing that these locks guard can be left half done.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Lets the threads in. Called by the holder of the turn, when no operation is open and nobody is active.
    fn publish(&self, job: Job) {
        // SAFETY: nobody is ACTIVE and the state is not OPEN, so nobody reads `job`; the turn is ours, so nobody writes it.
        unsafe { *self.job.get() = Some(job) };
        for (thread, next) in self.next.iter().enumerate() {
            next.0.store(self.range(thread, job.parts).start, Ordering::Relaxed);
        }
        let number = (self.state.load(Ordering::Relaxed) & !(NEXT - 1)).wrapping_add(NEXT);
        self.state.store(number | OPEN, Ordering::SeqCst);
        // One of two comes first, in the one order of all SeqCst operations: a thread that counts itself as asleep sees
        // the operation before it sleeps, or is seen here.
        if self.asleep.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.sleep));
            self.wake.notify_all();
        }
    }

    /// The parts that a thread begins with.
    fn range(&self, thread: usize, parts: usize) -> Range<usize> {
        let begin = |thread: usize| thread * (parts / self.next.len()) + thread.min(parts % self.next.len());
        begin(thread)..begin(thread + 1)
    }

    /// Works on the thread's own parts, then on what is left of the others'.
    fn take_parts(&self, (me, parts): (usize, usize), work: &(dyn Fn(usize) + Sync)) {
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

    /// Lets nobody in any more and waits for those who are.
    fn close(&self) {
        // After a panic of the caller's part there may be parts left that nobody need do.
        self.next.iter().for_each(|next| _ = next.0.fetch_add(usize::MAX / 2, Ordering::Relaxed));
        self.state.fetch_and(!OPEN, Ordering::AcqRel);
        let mut rounds = 0;
        while self.state.load(Ordering::Acquire) & ACTIVE > 0 {
            pause(&mut rounds);
        }
    }

    /// The life of the thread of number `me`: joins each operation that it finds open.
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

    /// Works on the open operation, as one who is counted as active; then is not.
    fn help(&self, me: usize) {
        // SAFETY: this thread counts as ACTIVE, so `job` is not written, and what it points to is alive.
        let work = unsafe { (*self.job.get()).map(|job| (job.parts, &*job.work)) };
        if let Some((parts, work)) = work {
            let done = catch_unwind(AssertUnwindSafe(|| self.take_parts((me, parts), work)));
            if let Err(panic) = done {
                *lock(&self.panic) = Some(panic);
            }
        }
        self.state.fetch_sub(1, Ordering::Release);
    }

    /// Sleeps until an operation after the `last` is open or the team is dropped.
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

/// Waits for a moment, longer the more rounds there were; true where it is time to sleep.
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
    fn every_part_is_done_once_whatever_the_threads() {
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
    fn threads_that_slept_wake_up() {
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
