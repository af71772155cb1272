//! The demo's registry: this very program, serving on loopback until the demo ends.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::Context as _;
use serde_json::Value;

/// A registry that is being served.
#[derive(Debug)]
pub(super) struct Served {
    child: Child,
    /// Where it listens.
    pub(super) url: String,
}

impl Served {
    /// Serves the registry in `folder`, below `place`, on a free port.
    pub(super) fn start(place: &Path, folder: &str) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(program)
            .current_dir(place)
            .args(["registry", "serve", folder, "--listen", "127.0.0.1:0", "--json", "--quiet"])
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot serve the demo's registry")?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line)?;
        }
        let said: Value = crate::json::from_str(&line).context("the demo's registry does not serve")?;
        let url = said["listening"].as_str().context("the demo's registry does not say where it listens")?;
        Ok(Self { url: url.to_owned(), child })
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        // It ends with the demo; what is on its disk is whole at every instant.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
