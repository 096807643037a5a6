//! What is always true of `drey-core`, tried on random input: one file a topic.
//!
//! In scope: laws. Out of scope: examples, which stand beside the code.

#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a law that cannot be set up has failed")]

mod allocation;
mod api_key;
mod clock;
mod cursor;
mod etag;
mod feed;
mod id;
mod idempotency;
mod lease;
mod limit;
mod merge;
mod metrics;
mod offset;
mod presence;
mod quota;
mod redis;
mod refusal;
mod restart;
