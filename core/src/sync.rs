//! The rules of sync that need no database: scopes, entities, offsets, and what a push may carry.
//!
//! In scope: reading and refusing. Out of scope: order, epochs and storage, which Postgres alone decides.

mod mutation;
mod offset;
mod push;
mod scope;
mod value;

pub use mutation::{EntityText, Mutation, Operation, Rejection, ScopeText, check};
pub use offset::{Offset, OffsetError, ReadFrom};
pub use push::{MAX_MUTATIONS, Push, check_call};
pub use scope::{ClientId, EntityKey, ScopeError, ScopeRef, ScopeType};
pub use value::{MAX_DEPTH, MAX_VALUE};
