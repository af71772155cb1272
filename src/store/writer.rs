//! Group commit: statements that arrive while the disk is busy are written in one transaction, with one synchronization.
//!
//! SQLite has one writer, and each commit waits for the disk. PostgreSQL does this itself.

use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::{mpsc, oneshot};

use super::Error;
use super::statements::{Filing, put};

/// Maximum queued filings.
const MAX_WAITING: usize = 4096;
/// Maximum filings per transaction.
const MAX_AT_ONCE: usize = 512;

struct Job {
    filing: Filing,
    done: oneshot::Sender<Result<bool, Error>>,
}

/// The queue of the writing task.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the task; it ends when all senders are dropped.
    pub(super) fn start(pool: AnyPool) -> Self {
        let (jobs, mut waiting) = mpsc::channel(MAX_WAITING);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while waiting.recv_many(&mut batch, MAX_AT_ONCE).await > 0 {
                write(&pool, std::mem::take(&mut batch)).await;
            }
        });
        Self { jobs }
    }

    /// Writes a filing; returns once it is durable. Returns the filing if the task has ended with its runtime.
    pub(super) async fn put(&self, filing: Filing) -> Result<Result<bool, Error>, Filing> {
        let (done, answer) = oneshot::channel();
        if let Err(gone) = self.jobs.send(Job { filing, done }).await {
            return Err(gone.0.filing);
        }
        let failed = |_| Error::NotWritten { reason: "its transaction failed".to_owned() };
        Ok(answer.await.map_err(failed).flatten())
    }
}

/// Writes a batch in one transaction, each filing entirely or not at all, and reports after the commit.
async fn write(pool: &AnyPool, batch: Vec<Job>) {
    let mut answers = Vec::with_capacity(batch.len());
    let committed: Result<(), sqlx::Error> = async {
        let mut transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
        for job in batch {
            let result = put_alone(&mut transaction, &job.filing).await;
            answers.push((job.done, result));
        }
        transaction.commit().await
    }
    .await;
    for (done, result) in answers {
        let result = match &committed {
            Ok(()) => result,
            Err(error) => Err(Error::NotWritten { reason: error.to_string() }),
        };
        // The caller may have gone away.
        drop(done.send(result));
    }
}

/// Writes one filing in a savepoint of its own.
async fn put_alone(transaction: &mut Transaction<'static, Any>, filing: &Filing) -> Result<bool, Error> {
    sqlx::query("SAVEPOINT filing").execute(&mut **transaction).await?;
    let result = put(transaction, filing).await;
    if result.is_err() {
        sqlx::query("ROLLBACK TO filing").execute(&mut **transaction).await?;
    }
    sqlx::query("RELEASE filing").execute(&mut **transaction).await?;
    result
}
