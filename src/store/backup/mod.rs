//! Backups: every table as JSON lines, the same for SQLite and PostgreSQL, read in one transaction while writes go on.
//!
//! The first line names the form, each further line is a row, and the last has the number of rows, the SHA-256 of all earlier lines and the
//! registry's signature over both: a truncated, altered or foreign backup is refused before any row is read. Sessions are left out, because
//! they end with the database. Chunks are not in the database.

mod tables;
mod trailer;

pub use trailer::BackupTrust;

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, BufWriter, Read as _, Write as _};
use std::ops::RangeInclusive;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use sqlx::any::AnyRow;
use sqlx::{Any, Executor as _, Row as _, Transaction};

use super::{Error, Kind, Store};
use crate::digest::Sha256Hasher;
use crate::identity::Signer;
use crate::time::Timestamp;
use tables::Column::{Bytes, Number, Text};
use tables::{OF_ONE_ROW, TABLES, Table};
use trailer::{Trailer, TrustedTrailer, check};

/// The current form. Form 1 has no signature, and lacks the columns of later releases.
const FORM: u64 = 2;
/// The supported forms.
const FORMS: RangeInclusive<u64> = 1..=FORM;
/// Maximum line: the largest catalogue file in base64, with its name.
const MAX_LINE: u64 = 192 << 20;
/// Rows per query.
const PAGE: i64 = 500;

/// Writes and hashes lines.
struct LineWriter<W> {
    to: W,
    hasher: Sha256Hasher,
    rows: u64,
}

impl<W: io::Write> LineWriter<W> {
    fn write(&mut self, line: &Value) -> Result<(), Error> {
        let mut text = line.to_string();
        text.push('\n');
        self.hasher.update(text.as_bytes());
        Ok(self.to.write_all(text.as_bytes())?)
    }
}

impl Store {
    /// Writes a backup, signed by `signer`, to a file; returns the number of rows.
    ///
    /// # Errors
    /// [`Error::Database`], [`Error::File`], [`Error::Backup`] if it cannot be signed.
    pub async fn backup(&self, to: &mut File, signer: &dyn Signer, now: Timestamp) -> Result<u64, Error> {
        let mut lines = LineWriter { to: BufWriter::new(to), hasher: Sha256Hasher::default(), rows: 0 };
        lines.write(&json!({ "portcullis-backup": FORM }))?;
        let mut transaction = self.pool.begin().await?;
        if self.kind == Kind::Postgres {
            transaction.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY").await?;
        }
        for table in &TABLES {
            dump_table(&mut transaction, table, &mut lines).await?;
        }
        transaction.commit().await?;
        let LineWriter { mut to, hasher, rows } = lines;
        let trailer = Trailer::sign(rows, hasher.finish(), signer, now)?;
        serde_json::to_writer(&mut to, &trailer).map_err(io::Error::from)?;
        writeln!(to)?;
        to.flush()?;
        Ok(rows)
    }

    /// Restores a backup into this database, which must be empty, in one transaction; returns the number of rows.
    ///
    /// # Errors
    /// [`Error::NotEmpty`], [`Error::Backup`] if it was cut off or altered, [`Error::BackupUnsigned`], [`Error::BackupForeign`],
    /// [`Error::Database`], [`Error::File`].
    pub async fn restore(&self, from: &Path, trust: &BackupTrust) -> Result<u64, Error> {
        let mut transaction = self.write().await?;
        for table in TABLES.iter().filter(|table| !OF_ONE_ROW.contains(&table.name)) {
            let query = format!("SELECT COUNT(*) AS rows FROM {}", table.name);
            let found = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_one(&mut *transaction).await?;
            if found.try_get::<i64, _>("rows")? > 0 {
                return Err(Error::NotEmpty { table: table.name });
            }
        }
        let trusted = check(from, trust)?;
        for table in OF_ONE_ROW {
            transaction.execute(sqlx::AssertSqlSafe(format!("DELETE FROM {table}"))).await?;
        }
        let mut lines = BackupReader::open(from, trusted)?;
        let mut rows = 0;
        while let Some((table, row)) = lines.next_row()? {
            insert(&mut transaction, table, &row, lines.trusted.form).await?;
            rows += 1;
        }
        for table in OF_ONE_ROW {
            // Without the head, another log would begin under the same name.
            let query = format!("SELECT COUNT(*) AS rows FROM {table}");
            let found = sqlx::query(sqlx::AssertSqlSafe(query)).fetch_one(&mut *transaction).await?;
            if found.try_get::<i64, _>("rows")? != 1 {
                return Err(Error::Backup { reason: format!("it lacks the row of {table}") });
            }
        }
        if self.kind == Kind::Postgres {
            for table in TABLES.iter().filter(|table| table.columns[0].0 == "seq") {
                let query = format!(
                    "SELECT setval(pg_get_serial_sequence('{0}', 'seq'), (SELECT COALESCE(MAX(seq), 1) FROM {0}))",
                    table.name
                );
                transaction.execute(sqlx::AssertSqlSafe(query)).await?;
            }
        }
        transaction.commit().await?;
        Ok(rows)
    }
}

async fn dump_table<W: io::Write>(
    transaction: &mut Transaction<'static, Any>,
    table: &Table,
    lines: &mut LineWriter<W>,
) -> Result<(), Error> {
    let names: Vec<_> = table.columns.iter().map(|(name, _)| *name).collect();
    let (key, all) = (names[0], names.join(", "));
    let mut after: Option<Value> = None;
    loop {
        let from = if after.is_some() { format!("WHERE {key} > $1") } else { String::new() };
        let query = format!("SELECT {all} FROM {} {from} ORDER BY {key} LIMIT {PAGE}", table.name);
        let query = sqlx::query(sqlx::AssertSqlSafe(query));
        let query = match &after {
            Some(Value::Number(number)) => query.bind(number.as_i64().unwrap_or_default()),
            Some(text) => query.bind(text.as_str().unwrap_or_default().to_owned()),
            None => query,
        };
        let rows = query.fetch_all(&mut **transaction).await?;
        for row in &rows {
            let row = read(row, table)?;
            after = row.get(key).cloned();
            lines.write(&json!({ "table": table.name, "row": row }))?;
            lines.rows += 1;
        }
        if i64::try_from(rows.len()).is_ok_and(|rows| rows < PAGE) {
            return Ok(());
        }
    }
}

fn read(row: &AnyRow, table: &Table) -> Result<Map<String, Value>, Error> {
    let mut map = Map::new();
    for (name, column) in table.columns {
        let value = match column {
            Number => Value::from(row.try_get::<i64, _>(*name)?),
            Text => Value::from(row.try_get::<String, _>(*name)?),
            Bytes => Value::from(STANDARD.encode(row.try_get::<Vec<u8>, _>(*name)?)),
        };
        map.insert((*name).to_owned(), value);
    }
    Ok(map)
}

async fn insert(
    transaction: &mut Transaction<'static, Any>,
    table: &Table,
    row: &Map<String, Value>,
    form: u64,
) -> Result<(), Error> {
    let names: Vec<_> = table.columns.iter().map(|(name, _)| *name).collect();
    let places: Vec<_> = (1..=names.len()).map(|place| format!("${place}")).collect();
    let query = format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), places.join(", "));
    let mut query = sqlx::query(sqlx::AssertSqlSafe(query));
    for (name, column) in table.columns {
        let damaged = || Error::Backup { reason: format!("a row of {} has an invalid `{name}`", table.name) };
        // Columns that earlier releases lacked are empty.
        let value = row.get(*name).or_else(|| (form == 1).then_some(column.empty()));
        let value = value.ok_or_else(damaged)?;
        query = match column {
            Number => query.bind(value.as_i64().ok_or_else(damaged)?),
            Text => query.bind(value.as_str().ok_or_else(damaged)?.to_owned()),
            Bytes => {
                let text = value.as_str().ok_or_else(damaged)?;
                query.bind(STANDARD.decode(text).map_err(|_| damaged())?)
            }
        };
    }
    query.execute(&mut **transaction).await?;
    Ok(())
}

/// A row of a table.
type Row = (&'static Table, Map<String, Value>);

/// The lines of a verified backup. They are hashed again, and compared at the end.
struct BackupReader {
    trusted: TrustedTrailer,
    lines: BufReader<File>,
    hasher: Sha256Hasher,
    rows: u64,
}

impl BackupReader {
    fn open(from: &Path, trusted: TrustedTrailer) -> Result<Self, Error> {
        let lines = BufReader::new(File::open(from)?);
        let mut checked = Self { trusted, lines, hasher: Sha256Hasher::default(), rows: 0 };
        let first = checked.line()?;
        checked.hasher.update(first.as_bytes());
        Ok(checked)
    }

    fn line(&mut self) -> Result<String, Error> {
        let mut line = String::new();
        let count = (&mut self.lines).take(MAX_LINE).read_line(&mut line)?;
        if count == 0 || !line.ends_with('\n') {
            return Err(Error::Backup { reason: "it was cut off".to_owned() });
        }
        Ok(line)
    }

    fn next_row(&mut self) -> Result<Option<Row>, Error> {
        let line = self.line()?;
        let mut value: Value = crate::json::from_str(&line)
            .map_err(|error| Error::Backup { reason: format!("line {}: {error}", self.rows + 2) })?;
        let Some(name) = value["table"].as_str() else {
            let found = std::mem::take(&mut self.hasher).finish();
            if self.trusted.trailer.rows == self.rows && self.trusted.trailer.sha256 == found {
                return Ok(None);
            }
            return Err(Error::Backup { reason: "it changed while it was read".to_owned() });
        };
        let table = TABLES.iter().find(|table| table.name == name);
        let unknown = || Error::Backup { reason: format!("there is no table {name}") };
        let table = table.ok_or_else(unknown)?;
        self.hasher.update(line.as_bytes());
        self.rows += 1;
        let row = value["row"].take();
        let Value::Object(row) = row else {
            return Err(Error::Backup { reason: format!("a row of {} is none", table.name) });
        };
        Ok(Some((table, row)))
    }
}
