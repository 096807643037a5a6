//! Waiting for more of a scope's log (Durable Streams: long-poll and SSE).
//!
//! In scope: proving reader and place by a read as the caller, the protocol's headers. Out of scope: waiting itself, which
//! the scope's feed does for everybody.

use drey_core::refusal::{Code, Refusal};
use drey_core::sync::{Offset, ReadFrom, ScopeRef, control_event, data_event, stream_cursor};
use drey_durable_objects::scope_feed::{Ask, FeedClient, FeedError, Reply, Stream};

use crate::answer::Answer;
use crate::call::{Call, WorkspaceAccess};
use crate::edge::{clock, random};
use crate::load::Waiting;
use crate::problem::{Outcome, Problem};
use crate::routes::sync::{gone, offset, read_chunk};

/// How a reader waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Live {
    LongPoll,
    Sse,
}

/// What a feed may take beyond its own wait: a read of Postgres, and the way there.
const MARGIN_MS: u32 = 5_000;
/// Of a stream of events: `no-cache` keeps proxies from collecting it before they pass it on (Durable Streams).
const UNKEPT: &str = "no-cache, no-store";
/// Seconds after which to try again where too many wait.
const RETRY_S: u32 = 5;

/// The `live` of a request. `HEAD` wants no body, so it has nothing to wait for.
pub(super) fn mode(call: &Call<'_>) -> Outcome<Option<Live>> {
    match call.request.query.get("live") {
        _ if call.request.head.method == "HEAD" => Ok(None),
        None => Ok(None),
        Some("long-poll") => Ok(Some(Live::LongPoll)),
        Some("sse") => Ok(Some(Live::Sse)),
        Some(_) => Err(Problem::parameter("live", "It is `long-poll` or `sse`.")),
    }
}

/// One live read.
struct Reading<'a> {
    call: &'a Call<'a>,
    access: &'a WorkspaceAccess,
    scope: &'a ScopeRef,
    mode: Live,
}

/// Reads from an offset, or waits there. The feed knows most readers and places by itself; those that it does not are read
/// from Postgres as the caller, which proves that he may.
pub(super) async fn read(
    call: &Call<'_>,
    access: &WorkspaceAccess,
    scope: &ScopeRef,
    from: ReadFrom,
    mode: Live,
) -> Outcome<Answer> {
    let reading = Reading { call, access, scope, mode };
    if let ReadFrom::At(place) = from
        && let Some(answer) = reading.wait(place, false, None).await?
    {
        return Ok(answer);
    }
    let chunk = read_chunk(call, scope, from).await?;
    let end = if from == ReadFrom::Now { chunk.epoch } else { chunk.end };
    let end = Offset::new(chunk.generation, end).ok_or_else(|| gone(call))?;
    let has_messages = from != ReadFrom::Now && chunk.end > chunk.start;
    match mode {
        Live::LongPoll if has_messages => reading.messages(&chunk.messages, end, !chunk.closed),
        // A closed chunk is a stream that ends: there is more, and the next one begins there.
        Live::Sse if has_messages && chunk.closed => Ok(reading.events(Some(&chunk.messages), end)),
        Live::LongPoll | Live::Sse => {
            let first = has_messages.then_some(chunk.messages);
            // A feed that knows better in the same moment ends this one: he comes again.
            let answer = reading.wait(end, true, first.clone()).await?;
            answer.map_or_else(|| reading.nothing(end, first), Ok)
        }
    }
}

impl Reading<'_> {
    /// Waits at the scope's feed. `None`: it cannot vouch for reader or place.
    async fn wait(&self, place: Offset, proved: bool, first: Option<String>) -> Outcome<Option<Answer>> {
        let feed = FeedClient { env: self.call.request.env, hint: self.call.grant().map(|grant| grant.region) };
        let ask = self.ask(place, proved)?;
        let reply = match self.mode {
            Live::LongPoll => {
                let _waiting = Waiting::new(self.call.request.app)?;
                let long_poll_ms = u32::try_from(self.call.request.app.config.long_poll_ms).unwrap_or(u32::MAX);
                feed.poll(ask, long_poll_ms.saturating_add(MARGIN_MS)).await.map_err(|error| unreachable(&error))?
            }
            Live::Sse => match feed.stream(ask, first).await.map_err(|error| unreachable(&error))? {
                Stream::Open(response) => {
                    let answer = Answer::stream("text/event-stream", response);
                    return Ok(Some(answer.with("cache-control", UNKEPT)));
                }
                Stream::Not(reply) => reply,
            },
        };
        self.replied(reply)
    }

    fn ask(&self, place: Offset, proved: bool) -> Outcome<Ask> {
        let principal = self.call.principal()?;
        Ok(Ask {
            workspace: self.access.workspace,
            scope_type: self.scope.scope_type().as_str().to_owned(),
            scope_id: self.scope.id().to_owned(),
            user: principal.user,
            api_key: principal.key.as_ref().map(|key| key.id),
            generation: place.generation(),
            epoch: place.epoch(),
            proved,
            cursor: self.cursor_sent(),
            authz_epoch: self.call.grant().map(|grant| grant.authz_epoch).unwrap_or_default(),
            expires_in_ms: principal.expires_ms.saturating_sub(clock::now_ms()),
        })
    }

    fn replied(&self, reply: Reply) -> Outcome<Option<Answer>> {
        let Reply { ask, refused, generation, epoch, messages } = reply;
        match refused.as_deref() {
            Some("reader") => return Err(too_many()),
            Some(_) => return Err(full()),
            None if ask => return Ok(None),
            None => {}
        }
        let place = Offset::new(generation, epoch).ok_or_else(|| gone(self.call))?;
        let Some(messages) = messages else { return self.nothing(place, None).map(Some) };
        self.messages(messages.get(), place, true).map(Some)
    }

    /// Messages at once. The cursor makes the next request another one for every cache between.
    fn messages(&self, messages: &str, next: Offset, up_to_date: bool) -> Outcome<Answer> {
        let answer = Answer::bytes(200, "application/json", messages.as_bytes().to_vec());
        let answer = self.placed(answer, next)?;
        Ok(if up_to_date { answer.with("stream-up-to-date", "true") } else { answer })
    }

    /// Nothing came: 204, or a stream that ends at once.
    fn nothing(&self, place: Offset, first: Option<String>) -> Outcome<Answer> {
        match (self.mode, first) {
            (Live::LongPoll, _) => Ok(self.placed(Answer::no_content(), place)?.with("stream-up-to-date", "true")),
            (Live::Sse, first) => Ok(self.events(first.as_deref(), place)),
        }
    }

    fn events(&self, messages: Option<&str>, next: Offset) -> Answer {
        let mut text = messages.map(data_event).unwrap_or_default();
        text.push_str(&control_event(next, self.cursor(), false));
        Answer::bytes(200, "text/event-stream", text.into_bytes()).with("cache-control", UNKEPT)
    }

    fn placed(&self, answer: Answer, next: Offset) -> Outcome<Answer> {
        let answer = answer.with("cache-control", "no-store").with("stream-cursor", self.cursor().to_string());
        Ok(answer.with("stream-next-offset", offset(next.generation(), next.epoch())?))
    }

    fn cursor(&self) -> u64 {
        let [jitter] = random::bytes();
        stream_cursor(clock::now_ms(), self.cursor_sent(), f64::from(jitter) / 256.0)
    }

    /// What is no cursor of ours is as if it had not been sent.
    fn cursor_sent(&self) -> Option<u64> {
        self.call.request.query.get("cursor").and_then(|cursor| cursor.parse().ok())
    }
}

fn unreachable(error: &FeedError) -> Problem {
    Problem::unavailable(Code::UpstreamUnavailable, error.to_string(), 1)
}

fn too_many() -> Problem {
    let detail = "You have as many live reads of this scope as you may have. End one first.";
    Refusal::new(Code::QuotaExceeded, detail).with_retry_after(RETRY_S).into()
}

fn full() -> Problem {
    let detail = "As many wait for this scope as may. Read without `live`, or retry after the time given.";
    Refusal::new(Code::Overloaded, detail).with_retry_after(RETRY_S).into()
}
