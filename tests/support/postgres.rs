//! A real PostgreSQL of the test's own: a private folder, a private socket, gone with the test process.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;

struct Postgres {
    folder: TempDir,
    programs: PathBuf,
    port: u16,
}

/// The URL of a new, empty database.
pub fn new_database() -> String {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let server = SERVER.get_or_init(Postgres::start);
    let name = format!("test{}", COUNT.fetch_add(1, Ordering::SeqCst));
    server.psql("postgres", &format!("CREATE DATABASE {name}"));
    format!("postgres://portcullis@127.0.0.1:{}/{name}", server.port)
}

impl Postgres {
    fn start() -> Self {
        let programs = programs();
        let folder = tempfile::Builder::new().prefix("pg").tempdir().unwrap();
        let user = if is_root() { Some("nobody") } else { None };
        if let Some(user) = user {
            let owner = format!("{user}:");
            assert!(Command::new("chown").arg(&owner).arg(folder.path()).status().unwrap().success());
        }
        let data = folder.path().join("data");
        let initdb = format!(
            "{}/initdb -D {} -U portcullis --auth=trust --no-sync -E UTF8 --locale=C",
            programs.display(),
            data.display()
        );
        let output = shell(&initdb, user).output().unwrap();
        assert!(output.status.success(), "initdb: {}", String::from_utf8_lossy(&output.stderr));
        let port = free_port();
        // It ends when its standard input does, which is when this process ends, however that may be.
        let serve = format!(
            "{0}/postgres -D {1} -p {port} -k {2} -c listen_addresses=127.0.0.1 -c max_connections=200 & \
             server=$!; cat > /dev/null; kill -QUIT $server; wait; rm -rf {2}/data",
            programs.display(),
            data.display(),
            folder.path().display(),
        );
        let mut command = shell(&serve, user);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = Box::leak(Box::new(command.spawn().unwrap()));
        assert!(child.stdin.is_some());
        let server = Self { folder, programs, port };
        let begun = Instant::now();
        while !server.try_psql("postgres", "SELECT 1") {
            assert!(begun.elapsed() < Duration::from_secs(30), "PostgreSQL does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }

    fn psql(&self, database: &str, query: &str) {
        assert!(self.try_psql(database, query), "{query}");
    }

    fn try_psql(&self, database: &str, query: &str) -> bool {
        let port = self.port.to_string();
        let arguments = ["-h", "127.0.0.1", "-p", &port, "-U", "portcullis", "-d", database, "-qc", query];
        Command::new(self.programs.join("psql"))
            .args(arguments)
            .current_dir(self.folder.path())
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    }
}

fn shell(script: &str, user: Option<&str>) -> Command {
    match user {
        // PostgreSQL refuses to run as root.
        Some(user) => {
            let mut command = Command::new("runuser");
            command.args(["-u", user, "--", "sh", "-c", script]).current_dir("/");
            command
        }
        None => {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        }
    }
}

/// Where PostgreSQL's programs are: Debian keeps them out of the PATH.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let mut versions: Vec<_> = versions.map(|entry| entry.path().join("bin")).collect();
    versions.sort();
    let path: Vec<_> = std::env::var_os("PATH").iter().flat_map(std::env::split_paths).collect();
    let has =
        |folder: &Path| ["postgres", "initdb", "psql"].iter().all(|program| folder.join(program).is_file());
    let found = versions.into_iter().rev().chain(path).find(|folder| has(folder));
    found.unwrap_or_else(|| panic!("PostgreSQL is not installed: `apt-get install postgresql`"))
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}

pub fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
