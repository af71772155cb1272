//! Acknowledged entries a second: each is a statement written with its entry, durable, in the tree, under a signed head.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portcullis::blob::Blobs;
use portcullis::digest::Sha256Digest;
use portcullis::log::{Entry, EntryKind};
use portcullis::registry::Registry;
use portcullis::store::{Filed, Filing, StatementRow, Store};
use portcullis::time::Timestamp;

use crate::milliseconds;
use crate::support::served::{Database, Served};

const LASTING: Duration = Duration::from_secs(10);
/// Statements that are under way at once.
const AT_ONCE: u64 = 256;

pub(crate) fn measure() {
    println!("## Throughput\n\n| what | a second | p50 ms | p99 ms |\n|---|---|---|---|");
    let folder = tempfile::tempdir().unwrap();
    let (writes, sorted) = loop_of_writes(&folder.path().join("bare"));
    println!(
        "| a bare loop of synchronized writes of 1.5 kB | {writes:.0} | {:.2} | {:.2} |",
        milliseconds(&sorted, 0.5),
        milliseconds(&sorted, 0.99)
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (commits, sorted) = runtime.block_on(loop_of_commits(&folder.path().join("bare.db")));
    println!(
        "| a bare loop of SQLite commits of 1.5 kB | {commits:.0} | {:.2} | {:.2} |",
        milliseconds(&sorted, 0.5),
        milliseconds(&sorted, 0.99)
    );
    for database in [Database::Sqlite, Database::Postgres] {
        let served = Served::founded(database);
        let settings = std::fs::read_to_string(served.scene.at("reg/portcullis.toml")).unwrap();
        let url = settings
            .lines()
            .find_map(|line| line.strip_prefix("database = "))
            .unwrap()
            .trim_matches('"')
            .to_owned();
        let url = match url.strip_prefix("sqlite:") {
            Some(file) => format!("sqlite:{}", served.scene.at("reg").join(file).display()),
            None => url,
        };
        let (entries, sorted) = runtime.block_on(taken_in(&served, &url));
        println!(
            "| entries taken in by a registry, {database:?}, {AT_ONCE} at once | {entries:.0} | {:.2} | {:.2} |",
            milliseconds(&sorted, 0.5),
            milliseconds(&sorted, 0.99),
        );
        println!(
            "\n{:.1} × the loop of commits, {:.1} × the loop of writes\n",
            entries / commits,
            entries / writes
        );
    }
}

fn loop_of_writes(path: &std::path::Path) -> (f64, Vec<Duration>) {
    let mut file = File::create(path).unwrap();
    let (bytes, mut times) = (vec![7; 1500], Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < LASTING / 2 {
        let one = Instant::now();
        file.write_all(&bytes).unwrap();
        file.sync_data().unwrap();
        times.push(one.elapsed());
    }
    rate(begun, times)
}

async fn loop_of_commits(path: &std::path::Path) -> (f64, Vec<Duration>) {
    use sqlx::{Connection as _, Executor as _};
    let url = format!("sqlite://{}?mode=rwc", path.display());
    let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
    for query in [
        "PRAGMA journal_mode = WAL",
        "PRAGMA synchronous = FULL",
        "CREATE TABLE rows (seq INTEGER PRIMARY KEY, text TEXT)",
    ] {
        database.execute(query).await.unwrap();
    }
    let (text, mut times) = ("x".repeat(1500), Vec::new());
    let begun = Instant::now();
    while begun.elapsed() < LASTING / 2 {
        let one = Instant::now();
        sqlx::query("INSERT INTO rows (text) VALUES ($1)").bind(&text).execute(&mut database).await.unwrap();
        times.push(one.elapsed());
    }
    rate(begun, times)
}

fn rate(begun: Instant, mut times: Vec<Duration>) -> (f64, Vec<Duration>) {
    let rate = times.len() as f64 / begun.elapsed().as_secs_f64();
    times.sort_unstable();
    (rate, times)
}

/// Files statements of 1.5 kB, each waiting until its entry is in the tree.
async fn taken_in(served: &Served, url: &str) -> (f64, Vec<Duration>) {
    let store = Store::open(url).await.unwrap();
    let identity = served.scene.identity_at("reg/identity.age");
    let signer = identity.signer(None).unwrap();
    let blobs = Blobs::open(served.scene.at("blobs").to_str().unwrap()).unwrap();
    let registry = Arc::new(Registry::new(store, blobs, identity, signer, served.scene.at("state")));
    std::fs::create_dir_all(served.scene.at("state")).unwrap();
    let number = Arc::new(AtomicU64::new(0));
    let begun = Instant::now();
    let tasks = (0..AT_ONCE).map(|_| {
        let (registry, number) = (registry.clone(), number.clone());
        tokio::spawn(async move {
            let mut times = Vec::new();
            while begun.elapsed() < LASTING {
                let digest = Sha256Digest::compute(&number.fetch_add(1, Ordering::Relaxed).to_be_bytes());
                let one = Instant::now();
                registry.store().put(Filing::one(filed(digest, &registry))).await.unwrap();
                registry.require_logged(EntryKind::Usage, digest).await.unwrap();
                times.push(one.elapsed());
            }
            times
        })
    });
    let mut times = Vec::new();
    for task in tasks.collect::<Vec<_>>() {
        times.extend(task.await.unwrap());
    }
    rate(begun, times)
}

fn filed(digest: Sha256Digest, registry: &Registry) -> Filed {
    let row = StatementRow {
        digest,
        signer: registry.key_id(),
        kind: "usage".to_owned(),
        checkpoint: "usage".parse().unwrap(),
        about: None,
        holder: registry.key_id(),
        envelope: "x".repeat(1500),
        received: Timestamp::now(),
    };
    Filed { row, entry: Some(Entry::new(EntryKind::Usage, Timestamp::now(), digest)) }
}
