//! How many requests one address and one identity may send: a bucket each that refills all the time (GCRA).
//!
//! Each replica counts for itself: behind n replicas the bounds are n times as wide. That is enough for what they are for, to keep one
//! client from taking a replica for itself.

use std::net::IpAddr;
use std::num::NonZeroU32;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::problem::Refusal;
use crate::identity::KeyId;

/// Seconds of its rate that a bucket holds.
const BURST_SECONDS: u32 = 2;

/// The buckets.
pub(super) struct Limits {
    addresses: Option<DefaultKeyedRateLimiter<IpAddr>>,
    identities: Option<DefaultKeyedRateLimiter<KeyId>>,
}

impl Limits {
    /// So many requests a second each; 0 is no limit.
    pub(super) fn new(per_address: u32, per_identity: u32) -> Self {
        Self { addresses: bucket(per_address), identities: bucket(per_identity) }
    }

    /// Counts a request of an address.
    pub(super) fn address(&self, address: IpAddr) -> Result<(), Refusal> {
        count(self.addresses.as_ref(), &group(address), "this address")
    }

    /// Counts a request of an identity.
    pub(super) fn identity(&self, key: KeyId) -> Result<(), Refusal> {
        count(self.identities.as_ref(), &key, "this identity")
    }

    /// Forgets those who have been quiet.
    pub(super) fn forget(&self) {
        if let Some(addresses) = &self.addresses {
            addresses.retain_recent();
        }
        if let Some(identities) = &self.identities {
            identities.retain_recent();
        }
    }
}

/// One household has a whole /64 of IPv6 addresses.
fn group(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        },
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn bucket<K: std::hash::Hash + Eq + Clone>(per_second: u32) -> Option<DefaultKeyedRateLimiter<K>> {
    let rate = NonZeroU32::new(per_second)?;
    let burst = NonZeroU32::new(per_second.saturating_mul(BURST_SECONDS))?;
    Some(RateLimiter::keyed(Quota::per_second(rate).allow_burst(burst)))
}

fn count<K: std::hash::Hash + Eq + Clone>(
    bucket: Option<&DefaultKeyedRateLimiter<K>>,
    key: &K,
    whose: &str,
) -> Result<(), Refusal> {
    let Some(bucket) = bucket else { return Ok(()) };
    bucket.check_key(key).map_err(|until| {
        let wait = until.wait_time_from(DefaultClock::default().now());
        Refusal::too_many(whose, wait.as_secs() + 1)
    })
}
