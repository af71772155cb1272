//! Writing together: what comes in while the disk is busy is written in the next transaction, all at once, with one synchronization.
//!
//! SQLite has one writer, and each of its commits waits for the disk. PostgreSQL gathers commits by itself.

use sqlx::{Any, AnyPool, Transaction};
use tokio::sync::{mpsc, oneshot};

use super::Error;
use super::statements::{Filing, put};

/// Filings that may wait.
const MAX_WAITING: usize = 4096;
/// Filings of one transaction.
const MAX_AT_ONCE: usize = 512;

struct Job {
    filing: Filing,
    done: oneshot::Sender<Result<bool, Error>>,
}

/// The way to the one task that writes.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
}

impl Writer {
    /// Starts the task; it ends when nobody can send to it any more.
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

    /// Has a filing written; answered once it is durable. It comes back where the task is gone, with the threads that it ran on.
    pub(super) async fn put(&self, filing: Filing) -> Result<Result<bool, Error>, Filing> {
        let (done, answer) = oneshot::channel();
        if let Err(gone) = self.jobs.send(Job { filing, done }).await {
            return Err(gone.0.filing);
        }
        let failed = |_| Error::NotWritten { reason: "its transaction failed".to_owned() };
        Ok(answer.await.map_err(failed).flatten())
    }
}

/// Writes a batch in one transaction, each filing of it whole or not at all, and answers when it is committed.
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
        // Who went away meanwhile wants no answer.
        drop(done.send(result));
    }
}

/// One filing in a savepoint of its own.
async fn put_alone(transaction: &mut Transaction<'static, Any>, filing: &Filing) -> Result<bool, Error> {
    sqlx::query("SAVEPOINT filing").execute(&mut **transaction).await?;
    let result = put(transaction, filing).await;
    if result.is_err() {
        sqlx::query("ROLLBACK TO filing").execute(&mut **transaction).await?;
    }
    sqlx::query("RELEASE filing").execute(&mut **transaction).await?;
    result
}
