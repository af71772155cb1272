//! The catalogue's files, the same for every replica: read as a whole, replaced by compare-and-swap on their version.

use std::collections::BTreeMap;

use sqlx::Row as _;

use super::{Error, Store};
use crate::log::Entry;

/// All files of the catalogue at one version, by their paths.
#[expect(missing_docs, reason = "the names say what they are")]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CatalogueFiles {
    /// Increases with every change.
    pub version: i64,
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Store {
    /// The version of the catalogue's files.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn catalogue_version(&self) -> Result<i64, Error> {
        let row = sqlx::query("SELECT version FROM catalogue_version").fetch_one(&self.pool).await?;
        Ok(row.try_get("version")?)
    }

    /// All files of one version.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn catalogue_files(&self) -> Result<CatalogueFiles, Error> {
        let mut transaction = self.pool.begin().await?;
        let row = sqlx::query("SELECT version FROM catalogue_version").fetch_one(&mut *transaction).await?;
        let version = row.try_get("version")?;
        let rows =
            sqlx::query("SELECT path, bytes FROM catalogue_files").fetch_all(&mut *transaction).await?;
        let files = rows.iter().map(|row| Ok((row.try_get("path")?, row.try_get("bytes")?)));
        let files = files.collect::<Result<_, Error>>()?;
        transaction.commit().await?;
        Ok(CatalogueFiles { version, files })
    }

    /// Writes changed files, removes those that are `None`, and records the change in the log, if the version is still `expected`; returns
    /// whether it was.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub async fn replace_catalogue(
        &self,
        expected: i64,
        changes: &BTreeMap<String, Option<Vec<u8>>>,
        entries: &[Entry],
    ) -> Result<bool, Error> {
        let mut transaction = self.write().await?;
        let done = sqlx::query("UPDATE catalogue_version SET version = version + 1 WHERE version = $1")
            .bind(expected)
            .execute(&mut *transaction)
            .await?;
        if done.rows_affected() != 1 {
            return Ok(false);
        }
        for (path, bytes) in changes {
            let query = match bytes {
                Some(bytes) => sqlx::query(
                    "INSERT INTO catalogue_files (path, bytes) VALUES ($1, $2) \
                     ON CONFLICT (path) DO UPDATE SET bytes = excluded.bytes",
                )
                .bind(path.as_str())
                .bind(bytes.as_slice()),
                None => sqlx::query("DELETE FROM catalogue_files WHERE path = $1").bind(path.as_str()),
            };
            query.execute(&mut *transaction).await?;
        }
        for entry in entries {
            super::log::append(&mut transaction, entry).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }
}
