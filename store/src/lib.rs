//! Everything drey keeps in Postgres, through Neon's SQL over HTTP.
//!
//! # In scope
//! The client of Neon's `/sql` endpoint, and ALL the SQL: one module a table or aggregate, one constant a statement, one round trip
//! a function. Every batch begins with one statement that sets the caller and his tenant, so that row-level security holds.
//!
//! # Out of scope
//! HTTP of our own, JSON bodies of the API beyond the shape of an item, decisions (`drey-core`), and who may call what:
//! each statement checks the role again, but the route table decides first.

pub mod session;

pub mod neon;
pub mod read;
pub mod statement;
pub mod write;

pub mod api_key;
pub mod audit_event;
pub mod gate;
pub mod health;
pub mod invitation;
pub mod org;
pub mod org_member;
pub mod project;
pub mod settings;
pub mod sync_divergence;
pub mod sync_partition;
pub mod sync_push;
pub mod sync_read;
pub mod sync_session;
pub mod sync_snapshot;
pub mod sync_told;
pub mod usage;
pub mod user;
pub mod workspace;
pub mod workspace_member;

pub use neon::config::{ConfigError, NeonConfig, Secret};
pub use neon::error::StoreError;
pub use neon::{Consistency, Neon};
pub use read::{Page, Position, Read};
pub use session::{Caller, Deadline, Session, Timings};
pub use statement::{STATEMENTS, Statement};
pub use write::{Idempotency, Write, Written};

/// What every function of this crate answers.
pub type Result<T> = std::result::Result<T, StoreError>;
