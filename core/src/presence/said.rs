//! What clients say: frames of version 1, JSON texts with a `kind`.
//!
//! In scope: reading them. Out of scope: what they do to the room. A kind that is not known is from a later version and
//! says nothing; so is a member that is not known.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::places::{MOST_HEARD, MOST_SHOWN, Places, PlacesError};
use super::{MAX_FRAME, MAX_STATE, close};

/// What a client sends, besides `ping`.
#[derive(Debug)]
pub enum ClientFrame {
    /// `{"kind":"update","clock":7,"state":{…},"at":["request/r1"]}`: all that it shows.
    Update {
        /// Grows with each update of the client; an older or equal one is ignored.
        clock: u64,
        /// What it shows.
        shown: Shown,
    },
    /// `{"kind":"subscribe","to":["request/r1"]}`: from now on it hears of these places alone; `null`: of the whole room.
    Subscribe {
        /// Which.
        to: Option<Places>,
    },
    /// `{"kind":"ack","n":7}`: it has read the `probe` of this number, and what came before.
    Ack {
        /// Which; 0, which no probe has, if it does not say.
        n: u64,
    },
    /// Of a later version.
    Unknown,
}

/// All that a client shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// The JSON text of an object, at most 4096 bytes; `None` (JSON `null`) to leave.
    pub state: Option<String>,
    /// What it looks at.
    pub at: Places,
}

/// Why a frame closes its sender, and nobody else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Larger than a frame or a state may be.
    #[error("frame too large")]
    TooBig,
    /// Not JSON, or not a frame of this protocol.
    #[error("not a presence frame")]
    Invalid,
}

impl FrameError {
    /// The close code (RFC 6455 7.4.1), and why.
    #[must_use]
    pub const fn close(self) -> (u16, &'static str) {
        match self {
            Self::TooBig => (close::TOO_BIG, "frame too large"),
            Self::Invalid => (close::INVALID, "not a presence frame"),
        }
    }
}

impl From<serde_json::Error> for FrameError {
    fn from(_: serde_json::Error) -> Self {
        Self::Invalid
    }
}

impl From<PlacesError> for FrameError {
    fn from(_: PlacesError) -> Self {
        Self::Invalid
    }
}

#[derive(Deserialize)]
struct Kind<'a> {
    #[serde(borrow)]
    kind: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Update<'a> {
    clock: u64,
    /// Absent and `null` are different things, so the member is required; a raw value tells `null` apart.
    #[serde(borrow)]
    state: &'a RawValue,
    #[serde(default)]
    at: Vec<String>,
}

#[derive(Deserialize)]
struct Ack {
    #[serde(default)]
    n: u64,
}

#[derive(Deserialize)]
struct Subscribe {
    to: Option<Vec<String>>,
}

impl ClientFrame {
    /// Reads a text frame.
    ///
    /// # Errors
    /// [`FrameError`], which closes the sender.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        if text.len() > MAX_FRAME {
            return Err(FrameError::TooBig);
        }
        // A list of the same values would be read like an object.
        if !text.trim_start().starts_with('{') {
            return Err(FrameError::Invalid);
        }
        let Kind { kind } = serde_json::from_str(text)?;
        match &*kind {
            "update" => {
                let Update { clock, state, at } = serde_json::from_str(text)?;
                Ok(Self::Update { clock, shown: Shown::parse(state_of(state)?, at)? })
            }
            "subscribe" => {
                let Subscribe { to } = serde_json::from_str(text)?;
                Ok(Self::Subscribe { to: to.map(|to| Places::parse(to, MOST_HEARD)).transpose()? })
            }
            "ack" => {
                let Ack { n } = serde_json::from_str(text)?;
                Ok(Self::Ack { n })
            }
            _ => Ok(Self::Unknown),
        }
    }
}

impl Shown {
    /// What a client shows; who leaves looks at nothing.
    ///
    /// # Errors
    /// [`PlacesError`] for places that are none, or too many.
    pub fn parse<T: AsRef<str>>(state: Option<String>, at: impl IntoIterator<Item = T>) -> Result<Self, PlacesError> {
        let at = Places::parse(at, MOST_SHOWN)?;
        Ok(if state.is_some() { Self { state, at } } else { Self::default() })
    }
}

/// A state as it is kept: its JSON text, or `None` for `null`.
///
/// # Errors
/// [`FrameError`] for what is no object, or too large a one.
pub fn state_of(value: &RawValue) -> Result<Option<String>, FrameError> {
    match value.get() {
        "null" => Ok(None),
        state if state.len() > MAX_STATE => Err(FrameError::TooBig),
        state if state.starts_with('{') => Ok(Some(state.to_owned())),
        _ => Err(FrameError::Invalid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The clock and what is shown of an update; the name of anything else.
    fn check(text: &str) -> Result<(u64, Option<String>, String), FrameError> {
        ClientFrame::parse(text).map(|frame| match frame {
            ClientFrame::Update { clock, shown } => {
                let at: Vec<&str> = shown.at.iter().map(super::super::Place::as_str).collect();
                (clock, shown.state, at.join(" "))
            }
            other => (0, None, format!("{other:?}")),
        })
    }

    #[test]
    fn updates_are_read() {
        let state = Some(r#"{"at": [1, 2]}"#.to_owned());
        let read = check(r#"{"kind":"update","clock":7,"state":{"at": [1, 2]},"at":["request/r1","project/p"],"x":1}"#);
        assert_eq!(read, Ok((7, state, "project/p request/r1".to_owned())));
        let left = check(r#"{"state":null,"clock":8,"kind":"update","at":["request/r1"]}"#);
        assert_eq!(left, Ok((8, None, String::new())));
    }

    #[test]
    fn other_kinds_are_read_and_unknown_ones_say_nothing() {
        for (text, frame) in [
            (r#"{"kind":"subscribe","to":["a/b"]}"#, r#"Subscribe { to: Some(Places({Place("a/b")})) }"#),
            (r#"{"kind":"subscribe","to":[]}"#, "Subscribe { to: Some(Places({})) }"),
            (r#"{"kind":"subscribe","to":null}"#, "Subscribe { to: None }"),
            (r#"{"kind":"ack","n":7}"#, "Ack { n: 7 }"),
            (r#"{"kind":"ack"}"#, "Ack { n: 0 }"),
            (r#"{"kind":"wave","clock":"x","to":7}"#, "Unknown"),
        ] {
            assert_eq!(check(text), Ok((0, None, frame.to_owned())), "{text}");
        }
    }

    #[test]
    fn garbage_is_invalid_and_size_is_too_big() {
        for text in [
            "",
            "ping?",
            "{}",
            "[]",
            r#"["ack"]"#,
            "7",
            "{\"kind\":\"update\"",
            r#"{"kind":7}"#,
            r#"{"kind":"update","clock":-1,"state":null}"#,
            r#"{"kind":"update","clock":1}"#,
            r#"{"kind":"update","clock":1,"state":7}"#,
            r#"{"kind":"update","clock":1,"state":{},"at":"request/r1"}"#,
            r#"{"kind":"update","clock":1,"state":{},"at":["request"]}"#,
            r#"{"kind":"update","clock":1,"state":{},"at":["a/1","a/2","a/3","a/4","a/5"]}"#,
            r#"{"kind":"ack","n":"7"}"#,
            r#"{"kind":"subscribe","to":["everything"]}"#,
            r#"{"kind":"subscribe","to":["a/1","a/2","a/3","a/4","a/5","a/6","a/7","a/8","a/9"]}"#,
        ] {
            assert_eq!(check(text), Err(FrameError::Invalid), "{text}");
        }
        let of_size = |size: usize| {
            check(&format!(r#"{{"kind":"update","clock":1,"state":{{"a":"{}"}}}}"#, "x".repeat(size - 8))).map(|_| ())
        };
        assert_eq!(
            (of_size(4096), of_size(4097), of_size(9000)),
            (Ok(()), Err(FrameError::TooBig), Err(FrameError::TooBig))
        );
    }
}
