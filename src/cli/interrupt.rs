//! Ctrl-C and SIGTERM. What a command asks for last is what is done.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use super::failure::INTERRUPTED;
use super::output::Output;
use super::progress;

static IS_INTERRUPTED: AtomicBool = AtomicBool::new(false);

type Action = Box<dyn FnMut() + Send>;

/// What is done at the next signal.
static ACTION: Mutex<Option<Action>> = Mutex::new(None);

/// Ends the process at once when asked, with a word on what is left. For work that a kill at any instant cannot harm.
pub(super) fn exit_on_interrupt(output: Output, word: &'static str) {
    on_interrupt(move || {
        progress::clear();
        output.note(format_args!("\ninterrupted: {word}"));
        leave();
    });
}

/// The same for a bar that is about to be drawn, if nothing else is done at a signal: a process that is killed would leave it on the screen.
pub(super) fn clear_on_interrupt() {
    if action().is_none() {
        on_interrupt(leave);
    }
}

/// Lets the work go on until it next asks [`is_interrupted`]; a second Ctrl-C ends the process.
pub(super) fn remember_interrupt() {
    on_interrupt(|| {
        if IS_INTERRUPTED.swap(true, Ordering::Relaxed) {
            leave();
        }
    });
}

/// Ends what `stop` ends at the first signal, and the process at the second.
pub(super) fn stop_on_interrupt(stop: impl Fn() + Send + Sync + 'static) {
    let mut is_asked = false;
    on_interrupt(move || {
        if is_asked {
            leave();
        }
        is_asked = true;
        stop();
    });
}

/// Runs what hides what is typed. Ctrl-C ends the process and leaves the terminal as it was before.
pub(super) fn restore_terminal_on_interrupt<T>(hide_and_ask: impl FnOnce() -> T) -> T {
    #[cfg(unix)]
    let before = rustix::termios::tcgetattr(std::io::stdin()).ok().map(|attributes| {
        let previous = action().take();
        on_interrupt(move || {
            let _ = rustix::termios::tcsetattr(
                std::io::stdin(),
                rustix::termios::OptionalActions::Now,
                &attributes,
            );
            leave();
        });
        previous
    });
    let answer = hide_and_ask();
    #[cfg(unix)]
    if let Some(previous) = before {
        *action() = previous;
    }
    answer
}

/// Whether someone pressed Ctrl-C since [`remember_interrupt`].
pub(super) fn is_interrupted() -> bool {
    IS_INTERRUPTED.load(Ordering::Relaxed)
}

fn on_interrupt(act: impl FnMut() + Send + 'static) {
    *action() = Some(Box::new(act));
    // The handler can be set once a process, and does what is asked for by then.
    let _ = ctrlc::set_handler(|| match &mut *action() {
        Some(act) => act(),
        None => leave(),
    });
}

fn action() -> std::sync::MutexGuard<'static, Option<Action>> {
    ACTION.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends the process; of a bar nothing is left.
fn leave() {
    progress::clear();
    std::process::exit(INTERRUPTED.into());
}
