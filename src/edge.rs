//! Everything that exists only in the Workers runtime: the request and response boundary, time, randomness, signatures,
//! outbound fetches, the shared cache, Redis and the log.
//!
//! In scope: bindings, thin and typed. Out of scope: decisions, tenants, SQL.

pub mod boundary;
pub mod clock;
pub mod crypto;
pub mod fetch;
pub mod log;
pub mod memory;
pub mod random;
pub mod redis;
pub mod shared_cache;
