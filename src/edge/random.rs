//! Randomness: the runtime's generator, for ids, trace spans and jitter.

use std::cell::RefCell;

use drey_core::id::{ApiKeyId, InvitationId, OrgId, ProjectId, RequestId, SessionId, UserId, WorkspaceId};

use super::clock;

/// What one crossing to the runtime's generator brings: the ids of ten requests.
const POOL: usize = 512;

thread_local! {
    /// Random bytes that nobody has had yet.
    static UNUSED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// `N` random bytes, at most 512, which nobody else gets. The runtime's generator does not fail inside a request; if
/// it ever did, the zero bytes would collide in Postgres and the write would be refused rather than doubled.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    const { assert!(N <= POOL) };
    UNUSED.with_borrow_mut(|unused| {
        if unused.len() < N {
            unused.clear();
            unused.resize(POOL, 0);
            getrandom::fill(unused).ok();
        }
        let bytes = unused.last_chunk().copied().unwrap_or([0; N]);
        unused.truncate(unused.len().saturating_sub(N));
        bytes
    })
}

/// One to three seconds: those for whom a gate or Postgres was too slow all at once do not come back all at once.
#[must_use]
pub fn soon_s() -> u32 {
    let [byte] = bytes();
    1 + u32::from(byte) % 3
}

/// A random number from 0 up to 1, for spreading retries.
#[must_use]
pub fn fraction() -> f64 {
    let [byte] = bytes();
    f64::from(byte) / 256.0
}

macro_rules! mint {
    ($($function:ident => $id:ident),+ $(,)?) => {
        $(
            #[doc = concat!("A new [`", stringify!($id), "`], ordered by time.")]
            #[must_use]
            pub fn $function() -> $id {
                $id::mint(clock::now_ms(), bytes())
            }
        )+
    };
}

mint! {
    api_key_id => ApiKeyId,
    invitation_id => InvitationId,
    org_id => OrgId,
    project_id => ProjectId,
    request_id => RequestId,
    session_id => SessionId,
    user_id => UserId,
    workspace_id => WorkspaceId,
}
