//! What a live reader of a stream is sent besides the messages: the cursor, and the events of SSE (Durable Streams).
//!
//! In scope: the texts. Out of scope: when they are sent ([`super::Feed`]).

use super::Offset;

/// Where the protocol's intervals begin: 2024-10-09T00:00:00Z, in milliseconds since 1970.
const EPOCH_MS: u64 = 1_728_432_000_000;
/// The length of an interval.
const INTERVAL_MS: u64 = 20_000;
/// The protocol adds 1 to 3,600 s of jitter: 1 to 180 intervals.
const MOST_JITTER: u64 = 3_600_000 / INTERVAL_MS;

/// The cursor to answer: the number of the interval that `now_ms` lies in. A client that already has it, or a later one,
/// gets a later one still, so that a shared cache cannot answer its next request with what it has just read. `jitter` is
/// from 0 up to 1.
#[must_use]
pub fn stream_cursor(now_ms: u64, sent: Option<u64>, jitter: f64) -> u64 {
    let now = now_ms.saturating_sub(EPOCH_MS) / INTERVAL_MS;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast saturates")]
    #[expect(clippy::cast_precision_loss, reason = "180 is exact")]
    let later = (jitter * MOST_JITTER as f64) as u64;
    match sent {
        // What is far in the future is no cursor of ours, and must not overflow.
        Some(sent) if sent >= now => sent.saturating_add(1 + later.min(MOST_JITTER - 1)),
        _ => now,
    }
}

/// The event of messages: `json` is an array. SSE takes one space from the front of a line. A line break inside it, which is
/// white space in JSON, would end the event.
#[must_use]
pub fn data_event(json: &str) -> String {
    let mut event = String::with_capacity(json.len() + 32);
    event.push_str("event: data\n");
    for line in json.split(['\n', '\r']) {
        event.push_str("data: ");
        event.push_str(line);
        event.push('\n');
    }
    event.push('\n');
    event
}

/// The event that says where its reader stands. After each `data` event, and first if there is no data. Without the space
/// that SSE allows after a colon: some readers of the protocol do not.
#[must_use]
pub fn control_event(next: Offset, cursor: u64, up_to_date: bool) -> String {
    let tail = if up_to_date { r#","upToDate":true"# } else { "" };
    format!("event: control\ndata:{{\"streamNextOffset\":\"{next}\",\"streamCursor\":\"{cursor}\"{tail}}}\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-21T07:00:00Z.
    const NOW_MS: u64 = 1_795_244_400_000;

    #[test]
    fn a_cursor_is_the_interval_and_always_passes_the_one_that_was_sent() {
        let now = (NOW_MS - EPOCH_MS) / 20_000;
        assert_eq!(stream_cursor(NOW_MS, None, 0.5), now);
        assert_eq!(stream_cursor(NOW_MS, Some(now - 1), 0.5), now);
        assert_eq!(stream_cursor(NOW_MS, Some(now), 0.0), now + 1);
        assert_eq!(stream_cursor(NOW_MS, Some(now + 7), 0.999), now + 7 + 180);
        assert_eq!(stream_cursor(NOW_MS, Some(u64::MAX), 0.5), u64::MAX);
    }

    #[test]
    fn an_event_is_as_the_protocol_writes_it() {
        assert_eq!(data_event("[{\"a\":\n1}]"), "event: data\ndata: [{\"a\":\ndata: 1}]\n\n");
        let offset = Offset::new(1, 42).expect("offset");
        assert_eq!(
            control_event(offset, 7, true),
            "event: control\ndata:{\"streamNextOffset\":\"1_0000000000000042\",\"streamCursor\":\"7\",\"upToDate\":true}\n\n"
        );
        assert!(control_event(offset, 7, false).ends_with("\"streamCursor\":\"7\"}\n\n"));
    }
}
