//! The rules of sync that need no database: scopes, entities, offsets, and what a push may carry.
//!
//! In scope: reading, refusing, and what becomes of a write that came late. Out of scope: order, epochs and storage, which
//! Postgres alone decides.

mod clock;
mod decide;
mod feed;
mod live;
mod merge;
mod mutation;
mod offset;
mod push;
mod scope;
mod snapshot;
mod value;

pub use clock::{Causality, Clock, MAX_CLOCK};
pub use decide::{Decision, Standing, Verdict, decide};
pub use feed::{Feed, FeedEffect, FeedLimits, Frame, LogRead, Reader, WaiterId, Waits, Wish};
pub use live::{control_event, data_event, stream_cursor};
pub use merge::{Conflict, equal, merge};
pub use mutation::{EntityText, Mutation, Operation, Rejection, ScopeText, check};
pub use offset::{EPOCH_END, Offset, OffsetError, ReadFrom};
pub use push::{MAX_MUTATIONS, Push, check_call, writer};
pub use scope::{ClientId, EntityKey, ScopeError, ScopeRef, ScopeType};
pub(crate) use scope::{is_entity_type, is_id};
pub use snapshot::{Snapshot, SnapshotPage};
pub use value::{MAX_DEPTH, MAX_VALUE, check_value};
