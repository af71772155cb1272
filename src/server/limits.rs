//! Rate limits by address and by identity: token buckets (GCRA).
//!
//! The limit is on work, not on requests: a request costs one unit, a statement more by its length and its signatures. The number of
//! buckets is fixed; addresses and identities are hashed into them under a key that each process draws at random. So many addresses need no
//! more memory, and a client cannot choose whose bucket to share.
//!
//! Each replica counts by itself: with n replicas the limits are n times as high, which still keeps a client from taking over a replica.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::LazyLock;
use std::time::Duration;

use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use super::problem::Refusal;
use super::settings::LimitSettings;
use crate::identity::KeyId;
use crate::web::household;

/// The seconds of its rate that a bucket holds.
const BURST_SECONDS: u32 = 2;
/// Number of buckets of each kind.
const BUCKETS: u64 = 1 << 16;
/// Bytes of a body per unit.
const BYTES_A_UNIT: u64 = 16 << 10;
/// Signatures to verify per unit.
const SIGNATURES_A_UNIT: usize = 4;
/// Units of a challenge or a session: each is a database row for minutes or an hour.
const SESSION_UNITS: u32 = 10;
/// Units of a proposal by someone who is not in the catalogue: the whole catalogue is unpacked for it.
const PROPOSAL_UNITS: u32 = 50;
/// Bytes of a decrypted chunk per unit: a chunk is read, hashed and decrypted as a whole.
const OPENED_BYTES_A_UNIT: u64 = 1 << 20;
/// Hours in which the bucket of newcomers' requests refills.
const DAY_HOURS: u32 = 24;

/// An amount of work in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost(u32);

impl Cost {
    /// The cost of any request.
    pub(super) const REQUEST: Self = Self(1);

    /// The cost of reading a body, beside the request.
    pub(super) fn for_bytes(bytes: u64) -> Self {
        Self::new(bytes / BYTES_A_UNIT)
    }

    /// The cost of verifying signatures.
    pub(super) fn for_signatures(signatures: usize) -> Self {
        Self::new((signatures / SIGNATURES_A_UNIT) as u64)
    }

    /// The cost of a stranger's proposal.
    pub(super) fn for_proposal() -> Self {
        Self(PROPOSAL_UNITS)
    }

    /// The cost of decrypting a chunk.
    pub(super) fn for_opening(bytes: u64) -> Self {
        Self::new(bytes.div_ceil(OPENED_BYTES_A_UNIT))
    }

    /// The cost of a challenge or a session.
    pub(super) fn for_session() -> Self {
        Self(SESSION_UNITS)
    }

    fn new(units: u64) -> Self {
        Self(u32::try_from(units).unwrap_or(u32::MAX))
    }
}

/// The origin of a request by its address: an IPv4 host, or an IPv6 network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin(IpAddr);

impl Origin {
    /// The origin of an address; an IPv6 household has a whole /64.
    pub(super) fn new(address: IpAddr) -> Self {
        Self(household(address))
    }

    /// The index of its share among `count`; different origins may have the same.
    pub(super) fn share(self, count: usize) -> usize {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = KEY.hash_one(self);
        usize::try_from(hash % count.max(1) as u64).unwrap_or(0)
    }
}

impl Origin {
    /// The provider's network: a /16 of IPv4, a /32 of IPv6.
    pub(super) fn network(self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(v4) => v4.octets()[..2].to_vec(),
            IpAddr::V6(v6) => v6.octets()[..4].to_vec(),
        }
    }
}

/// The rate limits of a server.
pub(super) struct Limits {
    addresses: Option<Buckets>,
    identities: Option<Buckets>,
    /// Newcomers' requests by address and day.
    newcomers: Option<Buckets>,
}

impl Limits {
    /// The limits of the settings; 0 means no limit.
    pub(super) fn new(settings: &LimitSettings) -> Self {
        Self {
            addresses: Buckets::per_second(settings.per_address),
            identities: Buckets::per_second(settings.per_identity),
            newcomers: Buckets::per_day(settings.newcomer_requests_per_address),
        }
    }

    /// Charges an address.
    pub(super) fn charge_address(&self, origin: Origin, cost: Cost) -> Result<(), Refusal> {
        charge(self.addresses.as_ref(), &origin, cost, "rate limit exceeded for this address")
    }

    /// Charges an address for work of an earlier request; returns how long to wait if the limit is exceeded.
    pub(super) fn try_charge_address(&self, origin: Origin, cost: Cost) -> Result<(), Duration> {
        take(self.addresses.as_ref(), &origin, cost)
    }

    /// Charges an identity.
    pub(super) fn charge_identity(&self, key: KeyId, cost: Cost) -> Result<(), Refusal> {
        charge(self.identities.as_ref(), &key, cost, "rate limit exceeded for this identity")
    }

    /// Charges an address for a newcomer's request.
    pub(super) fn charge_newcomer(&self, origin: Origin) -> Result<(), Refusal> {
        let words = "daily limit of newcomers' requests reached for this address";
        charge(self.newcomers.as_ref(), &origin, Cost::REQUEST, words)
    }
}

/// A fixed number of buckets of one kind.
struct Buckets {
    limiter: DefaultKeyedRateLimiter<u16>,
    burst: NonZeroU32,
    hasher: RandomState,
}

impl Buckets {
    fn per_second(units: u32) -> Option<Self> {
        let rate = NonZeroU32::new(units)?;
        let burst = NonZeroU32::new(units.saturating_mul(BURST_SECONDS))?;
        Some(Self::new(Quota::per_second(rate), burst))
    }

    fn per_day(units: u32) -> Option<Self> {
        let burst = NonZeroU32::new(units)?;
        let period = Duration::from_secs(u64::from(DAY_HOURS) * 3600) / units;
        Some(Self::new(Quota::with_period(period)?, burst))
    }

    fn new(quota: Quota, burst: NonZeroU32) -> Self {
        let limiter = RateLimiter::keyed(quota.allow_burst(burst));
        Self { limiter, burst, hasher: RandomState::new() }
    }

    /// The index of a key's bucket.
    fn bucket_index(&self, key: &impl Hash) -> u16 {
        u16::try_from(self.hasher.hash_one(key) % BUCKETS).unwrap_or(0)
    }
}

fn charge(buckets: Option<&Buckets>, key: &impl Hash, cost: Cost, words: &str) -> Result<(), Refusal> {
    take(buckets, key, cost).map_err(|wait| Refusal::too_many(words, wait.as_secs() + 1))
}

/// Takes units from a bucket; returns how long to wait if there are too few.
fn take(buckets: Option<&Buckets>, key: &impl Hash, cost: Cost) -> Result<(), Duration> {
    let Some(buckets) = buckets else { return Ok(()) };
    // A cost above half of a bucket is reduced to half: a bucket is never full while requests arrive.
    let Some(units) = NonZeroU32::new(cost.0.min((buckets.burst.get() / 2).max(1))) else { return Ok(()) };
    let Ok(charged) = buckets.limiter.check_key_n(&buckets.bucket_index(key), units) else { return Ok(()) };
    charged.map_err(|until| until.wait_time_from(DefaultClock::default().now()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_addresses_takes_no_more_than_the_buckets_that_there_are() {
        let buckets = Buckets::per_second(5).unwrap();
        for address in 0..200_000_u32 {
            let origin = Origin::new(IpAddr::V4(address.into()));
            drop(charge(Some(&buckets), &origin, Cost::REQUEST, "too much"));
        }
        assert!(buckets.limiter.len() as u64 <= BUCKETS);
    }

    #[test]
    fn work_is_charged_and_not_requests() {
        let buckets = Buckets::per_second(10).unwrap();
        let charge = |cost| charge(Some(&buckets), &1, cost, "too much").is_ok();
        assert!(charge(Cost::for_signatures(3)) && charge(Cost::for_bytes(100)), "too little to count");
        assert!(charge(Cost::for_signatures(32)), "8 of 20 units");
        assert!(charge(Cost::for_bytes(1 << 30)), "half of a bucket at the most");
        assert!(!charge(Cost::for_signatures(32)));
        assert!(charge(Cost::REQUEST));
    }
}
