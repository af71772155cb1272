//! Ctrl-C and SIGTERM.

use std::sync::atomic::{AtomicBool, Ordering};

use super::failure::INTERRUPTED;
use super::output::Output;

static ASKED_TO_STOP: AtomicBool = AtomicBool::new(false);

/// Ends the process at once when asked, with a word on what is left. For work that a kill at any instant cannot harm.
pub(super) fn exit_when_asked(output: Output, word: &'static str) {
    // The handler can be set once a process; a second command in one process keeps the first handler.
    let _ = ctrlc::set_handler(move || {
        output.note(format_args!("\ninterrupted: {word}"));
        std::process::exit(INTERRUPTED.into());
    });
}

/// Lets the work go on until it next asks [`asked_to_stop`]; a second Ctrl-C ends the process.
pub(super) fn remember_when_asked() {
    let _ = ctrlc::set_handler(|| {
        if ASKED_TO_STOP.swap(true, Ordering::Relaxed) {
            std::process::exit(INTERRUPTED.into());
        }
    });
}

/// Whether someone pressed Ctrl-C since [`remember_when_asked`].
pub(super) fn asked_to_stop() -> bool {
    ASKED_TO_STOP.load(Ordering::Relaxed)
}
