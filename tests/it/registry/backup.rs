//! Keeping a registry's database: backups while it is served, restored into either database, and the tables of earlier releases.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::support::people::{ID, Scene};
use crate::support::served::{Database, Process, Served};
use serde_json::{Value, json};
use sqlx::migrate::Migrator;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _};

/// The backup's lines, the first and the last aside.
fn rows(scene: &Scene, name: &str) -> Vec<Value> {
    let text = fs::read_to_string(scene.at(name)).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines[1..lines.len() - 1].to_vec()
}

/// Settings of the same registry on another database.
fn on_another(served: &Served, name: &str, url: &str) {
    let settings = fs::read_to_string(served.scene.at("reg/portcullis.toml")).unwrap();
    let lines = settings.lines().map(|line| match line.split_once(" = ") {
        Some(("database", _)) => format!("database = \"{url}\"\n"),
        _ => format!("{line}\n"),
    });
    served.scene.write(&format!("reg/{name}.toml"), &lines.collect::<String>());
}

/// Serves the registry with other settings, at the address where its people look for it.
fn serve_instead(served: &mut Served, name: &str) {
    let address = served.process.url.strip_prefix("http://").unwrap().to_owned();
    let arguments = format!("reg --config reg/{name}.toml --listen {address}");
    let between = served.replica();
    assert!(std::mem::replace(&mut served.process, between).stop());
    served.process = Process::start(&served.scene, &arguments, &[]);
}

fn a_backup_restores(from: Database, to: Database) {
    let mut served = Served::released(from, "partners");
    let (request, _) = served.granted();
    let url = to.url().replace("registry.db", "restored.db");
    on_another(&served, "restored", &url);
    // Somebody goes on asking while the backup is taken.
    let is_over = AtomicBool::new(false);
    let pending = thread::scope(|scope| {
        let scene = &served.scene;
        let asking = scope.spawn(|| {
            let mut asked = Vec::new();
            while !is_over.load(Ordering::SeqCst) {
                let new = format!(
                    "request new {ID} --purpose {} --use detection --days 30 --accept-agreement",
                    asked.len()
                );
                asked.push(scene.json("ada", &new)["request"].as_str().unwrap().to_owned());
            }
            asked
        });
        for _ in 0..5 {
            scene.succeed("registry", "registry backup reg --to backup.jsonl");
        }
        is_over.store(true, Ordering::SeqCst);
        asking.join().unwrap()
    });
    assert!(!pending.is_empty());
    let scene = &served.scene;
    let restored =
        scene.succeed("registry", "registry restore reg --config reg/restored.toml --from backup.jsonl");
    let count = rows(scene, "backup.jsonl").len();
    assert_eq!(restored, format!("restored {count} rows from backup.jsonl\n"));
    // What it holds now is what the backup held.
    scene.succeed("registry", "registry backup reg --config reg/restored.toml --to again.jsonl");
    assert_eq!(rows(scene, "again.jsonl"), rows(scene, "backup.jsonl"));
    // Every request is there with its statement, or neither is.
    let rows = rows(scene, "backup.jsonl");
    let of = |table: &str| {
        rows.iter().filter(|row| row["table"] == table).map(|row| row["row"].clone()).collect::<Vec<_>>()
    };
    let statements: BTreeMap<String, Value> =
        of("statements").into_iter().map(|row| (row["digest"].to_string(), row)).collect();
    assert!(of("requests").iter().all(|row| statements.contains_key(&row["digest"].to_string())));
    serve_instead(&mut served, "restored");
    let scene = &served.scene;
    assert!(scene.succeed("rosa", &format!("request show {request}")).starts_with("granted until"));
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    // New rows come behind the old ones.
    let new = format!("request new {ID} --purpose Later --use detection --days 30 --accept-agreement");
    let another = scene.digits(&scene.json("rosa", &new)["request"]);
    scene.succeed("cy", &format!("deny {another} --reason No"));
}

#[test]
fn a_backup_taken_while_serving_restores_from_sqlite_into_postgresql() {
    a_backup_restores(Database::Sqlite, Database::Postgres);
}

#[test]
fn a_backup_taken_while_serving_restores_from_postgresql_into_sqlite() {
    a_backup_restores(Database::Postgres, Database::Sqlite);
}

#[test]
fn a_backup_that_was_cut_off_or_altered_is_refused_and_nothing_of_it_is_kept() {
    let served = Served::founded(Database::Sqlite);
    let scene = &served.scene;
    scene.succeed("registry", "registry backup reg --to good.jsonl");
    on_another(&served, "restored", "sqlite:restored.db");
    let good = fs::read_to_string(scene.at("good.jsonl")).unwrap();
    let restore = "registry restore reg --config reg/restored.toml --from bad.jsonl";
    let mut said = String::new();
    let last = good.trim_end().rfind('\n').unwrap() + 1;
    for bad in [
        good[..good.len() / 2].to_owned(),
        good[..last].to_owned(),
        good.replacen("metadata/1.root.json", "metadata/2.root.json", 1),
        good.replacen("catalogue_files", "elsewhere", 1),
        good.replacen("\"portcullis-backup\":2", "\"portcullis-backup\":9", 1),
        "Dear diary\n".to_owned(),
        String::new(),
    ] {
        scene.write("bad.jsonl", &bad);
        said += &scene.refuse("registry", restore);
    }
    insta::assert_snapshot!(said, @"
    exit 4
    error: the backup cannot be used: it was cut off
      next: take another backup: nothing of this one was brought in
    exit 4
    error: the backup cannot be used: it was cut off
      next: take another backup: nothing of this one was brought in
    exit 4
    error: the backup cannot be used: its SHA-256 is not that of its lines
      next: take another backup: nothing of this one was brought in
    exit 4
    error: the backup cannot be used: its SHA-256 is not that of its lines
      next: take another backup: nothing of this one was brought in
    exit 4
    error: the backup cannot be used: it has form 9; this version knows 1 to 2
      next: take another backup: nothing of this one was brought in
    exit 4
    error: the backup cannot be used: it is no backup of a registry
      next: take another backup: nothing of this one was brought in
    exit 4
    error: the backup cannot be used: it was cut off
      next: take another backup: nothing of this one was brought in
    ");
    scene.write("bad.jsonl", &good);
    scene.succeed("registry", restore);
    insta::assert_snapshot!(scene.refuse("registry", restore), @"
    exit 2
    error: the database is not empty: catalogue_files has rows
      next: name an empty database in portcullis.toml
    ");
    insta::assert_snapshot!(scene.refuse("registry", "registry restore reg --from no-such-file"), @"
    exit 2
    error: the database is not empty: catalogue_files has rows
      next: name an empty database in portcullis.toml
    ");
}

/// A backup with other lines, whose sum was made anew; its signature is `signed`.
fn summed_anew(lines: &str, signed: Option<&Value>) -> String {
    let sha256 = portcullis::digest::Sha256Digest::compute(lines.as_bytes());
    let mut trailer = json!({ "rows": lines.lines().count() - 1, "sha256": sha256 });
    if let Some(signed) = signed {
        trailer["signed"] = signed.clone();
    }
    format!("{lines}{trailer}\n")
}

#[test]
fn a_backup_that_this_registry_did_not_sign_is_refused_and_one_of_before_needs_a_word() {
    let served = Served::founded(Database::Sqlite);
    let scene = &served.scene;
    scene.succeed("registry", "registry backup reg --to good.jsonl");
    scene.succeed("registry", "registry init other --name Other");
    on_another(&served, "restored", "sqlite:restored.db");
    let good = fs::read_to_string(scene.at("good.jsonl")).unwrap();
    let last = good.trim_end().rfind('\n').unwrap() + 1;
    let (lines, trailer) = good.split_at(last);
    let trailer: Value = serde_json::from_str(trailer).unwrap();
    let altered = lines.replacen("metadata/1.root.json", "metadata/2.root.json", 1);
    let mut restored = String::new();
    let restore = "registry restore reg --config reg/restored.toml --from bad.jsonl";
    for (bad, arguments) in [
        // With the old signature, without any, and as one of an earlier release, which has none.
        (summed_anew(&altered, Some(&trailer["signed"])), restore.to_owned()),
        (summed_anew(&altered, None), restore.to_owned()),
        (summed_anew(&altered, None), format!("{restore} --unsigned")),
        (summed_anew(&altered.replacen(":2}", ":1}", 1), None), restore.to_owned()),
        (
            summed_anew(&altered.replacen(":2}", ":1}", 1), Some(&trailer["signed"])),
            format!("{restore} --unsigned"),
        ),
        // Of another registry.
        (good.clone(), "registry restore other --from bad.jsonl".to_owned()),
        (good.clone(), format!("{restore} --signed-by other/registry.card")),
    ] {
        scene.write("bad.jsonl", &bad);
        restored += &scene.refuse("registry", &arguments);
    }
    insta::assert_snapshot!(restored, @"
    exit 4
    error: the backup cannot be used: its signature is over other lines
      next: take another backup: nothing of this one was brought in
    exit 4
    error: the backup cannot be used: its signature or its form was changed
      next: take another backup: nothing of this one was brought in
    exit 4
    error: the backup cannot be used: its signature or its form was changed
      next: take another backup: nothing of this one was brought in
    exit 4
    error: the backup is not signed
      next: if an earlier release wrote it, and nobody else could since, bring it in with --unsigned
    exit 4
    error: the backup cannot be used: its signature or its form was changed
      next: take another backup: nothing of this one was brought in
    exit 4
    error: the backup is not signed by this registry's key <digest>; it names <digest>
      next: restore in the folder of the registry that took it; of a registry whose key was replaced, give the card of the old one with --signed-by
    exit 4
    error: the backup is not signed by this registry's key <digest>; it names <digest>
      next: restore in the folder of the registry that took it; of a registry whose key was replaced, give the card of the old one with --signed-by
    ");
    // Of an earlier release, and nobody could write to it since.
    let of_before = summed_anew(&lines.replacen(":2}", ":1}", 1), None);
    scene.write("bad.jsonl", &of_before);
    scene.succeed("registry", &format!("{restore} --unsigned"));
    // Of this registry, brought in by the folder of another one that is told whose it is.
    scene.write("bad.jsonl", &good);
    scene.succeed("registry", "registry restore other --from bad.jsonl --signed-by reg/registry.card");
}

#[test]
fn a_backup_without_the_logs_head_is_refused() {
    let served = Served::founded(Database::Sqlite);
    let scene = &served.scene;
    scene.succeed("registry", "registry backup reg --to good.jsonl");
    on_another(&served, "restored", "sqlite:restored.db");
    let good = fs::read_to_string(scene.at("good.jsonl")).unwrap();
    // With it another log would begin under the same name.
    let lines = good.lines().filter(|line| !line.contains("log_head") && !line.contains("sha256\":"));
    let lines: String = lines.map(|line| format!("{line}\n")).collect();
    scene.write("bad.jsonl", &summed_anew(&lines.replacen(":2}", ":1}", 1), None));
    let restore = "registry restore reg --config reg/restored.toml --from bad.jsonl --unsigned";
    insta::assert_snapshot!(scene.refuse("registry", restore), @"
    exit 4
    error: the backup cannot be used: it lacks the row of log_head
      next: take another backup: nothing of this one was brought in
    ");
}

/// The tables of the first release, with the rows of a backup in them.
async fn make_first_release(url: &str, migrations: &Path, rows: &[Value]) {
    sqlx::any::install_default_drivers();
    let mut database = AnyConnection::connect(url).await.unwrap();
    Migrator::new(migrations).await.unwrap().run(&mut database).await.unwrap();
    database.execute("DELETE FROM catalogue_version").await.unwrap();
    // That release had no log.
    for row in rows.iter().filter(|row| !row["table"].as_str().unwrap().starts_with("log_")) {
        let cells = row["row"].as_object().unwrap();
        // Nor did it compare what requests ask for.
        let cells: BTreeMap<_, _> = cells.iter().filter(|(name, _)| *name != "asks").collect();
        let names: Vec<_> = cells.keys().map(|name| name.as_str()).collect();
        let values: Vec<_> = cells.iter().map(|(name, value)| literal(url, name, value)).collect();
        let table = row["table"].as_str().unwrap();
        let insert = format!("INSERT INTO {table} ({}) VALUES ({})", names.join(", "), values.join(", "));
        database.execute(AssertSqlSafe(insert)).await.unwrap();
    }
    if url.starts_with("postgres") {
        for table in ["statements", "requests", "request_events"] {
            let query = format!(
                "SELECT setval(pg_get_serial_sequence('{table}', 'seq'), (SELECT MAX(seq) FROM {table}))"
            );
            database.execute(AssertSqlSafe(query)).await.unwrap();
        }
    }
    database.close().await.unwrap();
}

fn literal(url: &str, name: &str, value: &Value) -> String {
    use base64::Engine as _;
    match value {
        Value::Number(number) => number.to_string(),
        text => {
            let text = text.as_str().unwrap();
            if !name.ends_with("bytes") {
                return format!("'{}'", text.replace('\'', "''"));
            }
            let bytes = base64::engine::general_purpose::STANDARD.decode(text).unwrap();
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            if url.starts_with("postgres") { format!("'\\x{hex}'") } else { format!("X'{hex}'") }
        }
    }
}

fn the_first_release_is_brought_up_to_date(database: Database, kind: &str) {
    let mut served = Served::released(database, "partners");
    let (request, _) = served.granted();
    served.scene.succeed("registry", "registry backup reg --to backup.jsonl");
    let rows = rows(&served.scene, "backup.jsonl");
    let url = database.url().replace("registry.db", "first.db");
    on_another(&served, "first", &url);
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store/migrations").join(kind);
    let first = served.scene.at("migrations");
    fs::create_dir(&first).unwrap();
    fs::copy(all.join("0001_first.sql"), first.join("0001_first.sql")).unwrap();
    let place = url.replace("sqlite:", &format!("sqlite://{}/", served.scene.at("reg").display()));
    let place = if place.starts_with("sqlite") { place + "?mode=rwc" } else { place };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(make_first_release(&place, &first, &rows));
    serve_instead(&mut served, "first");
    let scene = &served.scene;
    assert!(scene.succeed("rosa", &format!("request show {request}")).starts_with("granted until"));
    scene.succeed("rosa", &format!("pull {ID}"));
    scene.succeed("rosa", &format!("run {ID} Hello -n 2"));
    scene.request();
    // A release that does not know the tables of a later one leaves them alone.
    runtime.block_on(async {
        let mut database = AnyConnection::connect(&place).await.unwrap();
        let error = Migrator::new(first.as_path()).await.unwrap().run(&mut database).await.unwrap_err();
        assert!(matches!(error, sqlx::migrate::MigrateError::VersionMissing(2)), "{error}");
    });
}

#[test]
fn the_first_release_on_sqlite_is_brought_up_to_date() {
    the_first_release_is_brought_up_to_date(Database::Sqlite, "sqlite");
}

#[test]
fn the_first_release_on_postgresql_is_brought_up_to_date() {
    the_first_release_is_brought_up_to_date(Database::Postgres, "postgres");
}
