//! How soon a registry with a long log serves again after a kill.

use std::time::{Duration, Instant};

use portcullis::log::HeadNote;

use crate::support::served::{Database, Process, Served};

pub(crate) fn measure(entries: u64) {
    let mut served = Served::released(Database::Sqlite, "partners");
    fill(&served, entries);
    wait_for(&served, entries);
    println!("## Restart\n\n| | seconds |\n|---|---|");
    for round in 1..=3 {
        std::mem::replace(&mut served.process, Process::idle()).kill();
        let begun = Instant::now();
        served.process = Process::start(&served.scene, "reg --listen 127.0.0.1:0", &[]);
        let ready = begun.elapsed();
        // A statement that is acknowledged and proved, not only a port that answers.
        served.scene.succeed("ada", &format!("--registry {} request list", served.process.url));
        let head = served.get("/log/checkpoint");
        assert_eq!(head.status, 200, "{}", head.text);
        println!(
            "| {entries} entries, kill {round}: until it listens | {:.2} |\n| until it has answered a member and shown its head | {:.2} |",
            ready.as_secs_f64(),
            begun.elapsed().as_secs_f64(),
        );
    }
    println!();
}

/// Entries that wait for their places, written behind the registry's back.
fn fill(served: &Served, entries: u64) {
    use sqlx::{Connection as _, Executor as _};
    let url = format!("sqlite://{}", served.scene.at("reg/registry.db").display());
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut database = sqlx::SqliteConnection::connect(&url).await.unwrap();
        database.execute("PRAGMA busy_timeout = 60000").await.unwrap();
        let query = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {entries}) \
             INSERT INTO log_entries (kind, statement, entry, place) \
             SELECT 'usage', printf('%064x', i), \
             '{{\"schema\":1,\"kind\":\"usage\",\"at\":\"2026-01-01T00:00:00Z\",\"statement\":\"' || printf('%064x', i) || '\"}}', -1 FROM n"
        );
        database.execute(sqlx::AssertSqlSafe(query)).await.unwrap();
        database.close().await.unwrap();
    });
}

fn wait_for(served: &Served, entries: u64) {
    let begun = Instant::now();
    loop {
        let head = served.get("/log/checkpoint");
        if head.status == 200 && HeadNote::parse(&head.bytes).unwrap().claim().size() >= entries {
            println!(
                "{entries} entries that waited were sequenced in {:.0} s\n",
                begun.elapsed().as_secs_f64()
            );
            return;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
