//! The demo's registry: this very program, serving on loopback until the demo ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context as _;
/// How long it may take to end.
const GOODBYE: Duration = Duration::from_secs(3);
/// The registry's folder.
pub(super) const REGISTRY: &str = "registry";
/// How it is served.
pub(super) const SERVE: [&str; 6] = ["registry", "serve", REGISTRY, "--listen", "127.0.0.1:0", "--quiet"];

/// A registry that is being served.
#[derive(Debug)]
pub(super) struct RegistryProcess {
    child: Child,
    pub(super) url: String,
    /// What it printed of that.
    pub(super) printed: String,
}

impl RegistryProcess {
    /// Serves the registry below `place`, on a free port.
    pub(super) fn start(place: &Path) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(program)
            .current_dir(place)
            .args(SERVE)
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot serve the demo's registry")?;
        let mut printed = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut printed)?;
        }
        let url = printed.trim_end().strip_prefix("listening on ").map(str::to_owned);
        let url = url.context("the demo's registry does not say where it listens")?;
        Ok(Self { child, url, printed })
    }
}

impl Drop for RegistryProcess {
    fn drop(&mut self) {
        // Asked first, so that it takes its temporary files with it; what is on its disk is whole at every instant.
        #[cfg(unix)]
        {
            use rustix::process::{Pid, Signal, kill_process};
            let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
            let begun = Instant::now();
            while begun.elapsed() < GOODBYE && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
