//! How much work one address and one identity may ask for: a bucket each that refills all the time (GCRA).
//!
//! Work is counted, not requests: a request costs one unit, a statement more by its length and by the signatures that have to be checked.
//! The buckets are as many as there are from the beginning; each address and each identity falls into one by a hash whose key this process
//! draws when it starts. So a flood of addresses takes no memory, and nobody can choose whose bucket they share.
//!
//! Each replica counts for itself: behind n replicas the bounds are n times as wide. That is enough for what they are for, to keep one
//! client from taking a replica for itself.

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

/// Seconds of its rate that a bucket holds.
const BURST_SECONDS: u32 = 2;
/// Buckets of each kind.
const BUCKETS: u64 = 1 << 16;
/// Bytes of a body that cost one unit.
const BYTES_A_UNIT: u64 = 16 << 10;
/// Signatures whose checking costs one unit.
const SIGNATURES_A_UNIT: usize = 4;
/// Units that a challenge costs, and a session: each is a row of the database, for minutes or an hour.
const SESSION_UNITS: u32 = 10;
/// Units that a proposal costs whom the catalogue does not know: all of the catalogue is unpacked for it.
const PROPOSAL_UNITS: u32 = 50;
/// Bytes of a chunk whose opening costs one unit: it is read, hashed and decrypted whole, however little of it is asked for.
const OPENED_BYTES_A_UNIT: u64 = 1 << 20;
/// Hours in which the bucket of newcomers' requests refills.
const DAY_HOURS: u32 = 24;

/// Work that is asked for, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost(u32);

impl Cost {
    /// What any request costs.
    pub(super) const REQUEST: Self = Self(1);

    /// What reading a body costs, beside the request.
    pub(super) fn for_bytes(bytes: u64) -> Self {
        Self::new(bytes / BYTES_A_UNIT)
    }

    /// What checking so many signatures costs.
    pub(super) fn for_signatures(signatures: usize) -> Self {
        Self::new((signatures / SIGNATURES_A_UNIT) as u64)
    }

    /// What the proposal of a stranger costs.
    pub(super) fn for_proposal() -> Self {
        Self(PROPOSAL_UNITS)
    }

    /// What opening a chunk of so many bytes costs.
    pub(super) fn for_opening(bytes: u64) -> Self {
        Self::new(bytes.div_ceil(OPENED_BYTES_A_UNIT))
    }

    /// What a challenge costs, or a session.
    pub(super) fn for_session() -> Self {
        Self(SESSION_UNITS)
    }

    fn new(units: u64) -> Self {
        Self(u32::try_from(units).unwrap_or(u32::MAX))
    }
}

/// Who a request comes from, as far as its address tells: a host, or a household's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Origin(IpAddr);

impl Origin {
    /// The origin of an address: one household has a whole /64 of IPv6 addresses.
    pub(super) fn new(address: IpAddr) -> Self {
        Self(household(address))
    }

    /// Which of so many shares of something is its own; others may have the same by chance.
    pub(super) fn share(self, count: usize) -> usize {
        static KEY: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        let hash = KEY.hash_one(self);
        usize::try_from(hash % count.max(1) as u64).unwrap_or(0)
    }
}

impl Origin {
    /// The network that it belongs to, as providers hand them out: a /16 of IPv4, a /32 of IPv6.
    pub(super) fn network(self) -> Vec<u8> {
        match self.0 {
            IpAddr::V4(v4) => v4.octets()[..2].to_vec(),
            IpAddr::V6(v6) => v6.octets()[..4].to_vec(),
        }
    }
}

/// The buckets.
pub(super) struct Limits {
    addresses: Option<Buckets>,
    identities: Option<Buckets>,
    /// Requests of newcomers, by address and day.
    newcomers: Option<Buckets>,
}

impl Limits {
    /// What the settings say; 0 is no limit.
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

    /// Charges an address for what it asked before; how long to wait first, if it asks for too much.
    pub(super) fn try_charge_address(&self, origin: Origin, cost: Cost) -> Result<(), Duration> {
        take(self.addresses.as_ref(), &origin, cost)
    }

    /// Charges an identity.
    pub(super) fn charge_identity(&self, key: KeyId, cost: Cost) -> Result<(), Refusal> {
        charge(self.identities.as_ref(), &key, cost, "rate limit exceeded for this identity")
    }

    /// Counts a newcomer's request from an address.
    pub(super) fn charge_newcomer(&self, origin: Origin) -> Result<(), Refusal> {
        let words = "daily limit of newcomers' requests reached for this address";
        charge(self.newcomers.as_ref(), &origin, Cost::REQUEST, words)
    }
}

/// Buckets of one kind, as many as there ever will be.
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

    /// The bucket of a key.
    fn bucket_index(&self, key: &impl Hash) -> u16 {
        u16::try_from(self.hasher.hash_one(key) % BUCKETS).unwrap_or(0)
    }
}

fn charge(buckets: Option<&Buckets>, key: &impl Hash, cost: Cost, words: &str) -> Result<(), Refusal> {
    take(buckets, key, cost).map_err(|wait| Refusal::too_many(words, wait.as_secs() + 1))
}

/// Takes units out of a bucket; how long it takes until there are as many, if there are not.
fn take(buckets: Option<&Buckets>, key: &impl Hash, cost: Cost) -> Result<(), Duration> {
    let Some(buckets) = buckets else { return Ok(()) };
    // What costs more than half of a bucket takes half of it: a bucket is never full while requests come.
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
