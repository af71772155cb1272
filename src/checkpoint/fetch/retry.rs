//! Retries: exponential backoff with full jitter, and `Retry-After` (RFC 9110, section 10.2.3) up to a limit.

use std::time::{Duration, SystemTime};

use super::error::FetchError;
use crate::progress::Progress;

/// When failed requests are repeated.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Maximum number of consecutive failed attempts.
    pub attempts: u32,
    /// The longest delay before the second attempt; it doubles with each further attempt.
    pub first_delay: Duration,
    /// The longest backoff delay.
    pub longest_delay: Duration,
    /// The longest accepted `Retry-After`.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 8,
            first_delay: Duration::from_millis(500),
            longest_delay: Duration::from_secs(30),
            longest_retry_after: Duration::from_secs(300),
        }
    }
}

impl RetryPolicy {
    /// Returns the delay after `failed` consecutive failures; `chance` is uniform in [0, 1).
    fn delay(&self, failed: u32, retry_after: Option<Duration>, chance: f64) -> Duration {
        let doublings = failed.saturating_sub(1).min(31);
        let ceiling = self.first_delay.saturating_mul(1 << doublings).min(self.longest_delay);
        let jitter = ceiling.mul_f64(chance.clamp(0.0, 1.0));
        match retry_after {
            // Add jitter: otherwise all clients that the server refused return in the same second.
            Some(asked) => asked.min(self.longest_retry_after) + jitter.min(self.first_delay),
            None => jitter,
        }
    }
}

/// Parses `Retry-After`: seconds, or an HTTP date.
pub fn parse_retry_after(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// The retries of one file or piece.
pub(super) struct Retries<'a> {
    policy: RetryPolicy,
    failed: u32,
    file: &'a str,
    progress: &'a dyn Progress,
}

impl<'a> Retries<'a> {
    pub(super) fn new(policy: RetryPolicy, file: &'a str, progress: &'a dyn Progress) -> Self {
        Self { policy, failed: 0, file, progress }
    }

    /// Resets the count of failures after progress.
    pub(super) fn renew(&mut self) {
        self.failed = 0;
    }

    /// Waits before the next attempt, or returns the error if it is permanent or the attempts are used up.
    pub(super) async fn wait_or_fail(&mut self, error: FetchError) -> Result<(), FetchError> {
        if !error.is_transient() {
            return Err(error);
        }
        self.failed += 1;
        if self.failed >= self.policy.attempts {
            return Err(FetchError::GaveUp {
                file: self.file.to_owned(),
                attempts: self.failed,
                last: Box::new(error),
            });
        }
        let chance = rand::random::<f64>();
        let delay = self.policy.delay(self.failed, error.retry_after(), chance);
        self.progress.note(&format!(
            "{}: {error}; attempt {} of {} in {:.1} s",
            self.file,
            self.failed + 1,
            self.policy.attempts,
            delay.as_secs_f64()
        ));
        tokio::time::sleep(delay).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_are_spread_over_all_of_it() {
        let policy = RetryPolicy::default();
        let longest = |failed| policy.delay(failed, None, 1.0).as_millis();
        assert_eq!([1, 2, 3, 4].map(longest), [500, 1000, 2000, 4000]);
        assert_eq!([7, 40, u32::MAX].map(longest), [30_000; 3]);
        assert_eq!(policy.delay(5, None, 0.0), Duration::ZERO);
        assert_eq!(policy.delay(5, None, 0.25).as_millis(), 2000);
    }

    #[test]
    fn the_server_is_obeyed_up_to_a_bound() {
        let policy = RetryPolicy::default();
        let wait = |asked, chance| policy.delay(3, Some(Duration::from_secs(asked)), chance);
        assert_eq!(wait(7, 0.0), Duration::from_secs(7));
        assert_eq!(wait(7, 1.0), Duration::from_millis(7500));
        assert_eq!(wait(1 << 40, 0.0), Duration::from_secs(300));
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        // RFC 9110's own date, 37 seconds later than its epoch of 784 111 777.
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_740);
        let read = |text| parse_retry_after(text, now).map(|wait| wait.as_secs());
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Sun, 06 Nov 1994 08:49:37 GMT"), Some(37));
        assert_eq!(read("Tue, 06 Nov 1984 08:49:37 GMT"), Some(0));
        for other in ["", "-1", "1.5", "soon", "99999999999"] {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
