//! Whether a batch that failed may be sent again, and when.
//!
//! In scope: what a signal of Neon's HTTP endpoint or of Postgres says about the outcome. Out of scope: sending, waiting
//! and the request's deadline, which the store keeps.

/// What came back instead of rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal<'a> {
    /// Nothing: the connection broke, or never stood. The batch may have been committed.
    Network,
    /// An HTTP status without an error of Postgres.
    Status(u16),
    /// An error of Postgres; the code is empty when the proxy speaks for itself.
    Postgres {
        /// SQLSTATE, or empty.
        code: &'a str,
        /// The text that came with it.
        message: &'a str,
    },
}

/// What a second run of the batch would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only reads.
    Read,
    /// It writes, and finds its own first run (ids made by the Worker).
    Idempotent,
    /// It writes, and would write twice.
    Once,
}

/// What to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retry {
    /// Send the whole batch again after so many milliseconds.
    After(u32),
    /// Give up, and say why.
    Stop,
}

/// No batch is sent more often than this.
pub const MAX_ATTEMPTS: u32 = 3;

/// What a signal says about the batch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// Postgres undid it: it may run again whatever it does.
    RolledBack,
    /// Nobody can tell whether it was committed.
    Unknown,
    /// It would fail again.
    Final,
}

/// Decides after the `attempt`-th try (1 is the first) failed. `jitter` is random, from 0 up to 1.
#[must_use]
pub fn decide(signal: Signal<'_>, effect: Effect, attempt: u32, jitter: f64) -> Retry {
    let again = match outcome(signal) {
        Outcome::RolledBack => true,
        Outcome::Unknown => effect != Effect::Once,
        Outcome::Final => false,
    };
    if again && attempt < MAX_ATTEMPTS { Retry::After(delay_ms(attempt, jitter)) } else { Retry::Stop }
}

/// 25 to 75 ms before the second try, 50 to 150 before the third: long enough for a restarting proxy to turn round,
/// short enough for three tries inside a deadline of seconds; the spread keeps callers that failed together apart.
fn delay_ms(attempt: u32, jitter: f64) -> u32 {
    let jitter = if jitter.is_finite() { jitter.clamp(0.0, 1.0) } else { 0.5 };
    let base = 25_u32 << attempt.saturating_sub(1).min(MAX_ATTEMPTS);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "at most 2 × 25 × 8")]
    let spread = (f64::from(2 * base) * jitter) as u32;
    base + spread
}

fn outcome(signal: Signal<'_>) -> Outcome {
    match signal {
        // 507 is the answer's size limit: the same rows would be as large again.
        Signal::Status(507) => Outcome::Final,
        Signal::Network | Signal::Status(429 | 500..) => Outcome::Unknown,
        Signal::Status(_) => Outcome::Final,
        Signal::Postgres { code: "", message } => proxy_outcome(message),
        Signal::Postgres { code, .. } => postgres_outcome(code),
    }
}

/// The proxy's own errors have no code: those about the connection pass, those about the request do not.
fn proxy_outcome(message: &str) -> Outcome {
    let message = message.to_ascii_lowercase();
    let passing = [
        "connection closed",
        "error communicating with the server",
        "control plane request failed",
        "failed to acquire permit to connect",
        "too many connections attempts",
        "connection was terminated",
    ];
    if passing.iter().any(|words| message.contains(words)) { Outcome::Unknown } else { Outcome::Final }
}

fn postgres_outcome(code: &str) -> Outcome {
    match code {
        // Serialization failure, deadlock, lock not available. And a row that refers to one which was deleted after it was
        // looked at (23503): who looks again is told that it is not there.
        "40001" | "40P01" | "55P03" | "23503" => Outcome::RolledBack,
        // Too many connections, starting up, connection failures, shut down by an administrator or a crash.
        "53300" | "57P01" | "57P02" | "57P03" | "08000" | "08001" | "08003" | "08004" | "08006" => Outcome::Unknown,
        _ => Outcome::Final,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retries(signal: Signal<'_>) -> [bool; 3] {
        [Effect::Read, Effect::Idempotent, Effect::Once].map(|effect| decide(signal, effect, 1, 0.5) != Retry::Stop)
    }

    #[test]
    fn an_unknown_outcome_is_repeated_only_where_that_is_harmless() {
        let unknown = [true, true, false];
        assert_eq!(retries(Signal::Network), unknown);
        assert_eq!(retries(Signal::Status(500)), unknown);
        for code in ["53300", "57P03", "08006", "08001", "08004", "57P01", "57P02", "08003"] {
            assert_eq!(retries(Signal::Postgres { code, message: "" }), unknown, "{code}");
        }
        for message in ["Control plane request failed", "connection closed", "error communicating with the server"] {
            assert_eq!(retries(Signal::Postgres { code: "", message }), unknown, "{message}");
        }
    }

    #[test]
    fn what_was_rolled_back_is_repeated_whatever_it_does() {
        for code in ["40001", "40P01", "55P03", "23503"] {
            assert_eq!(retries(Signal::Postgres { code, message: "" }), [true; 3], "{code}");
        }
    }

    #[test]
    fn what_would_fail_again_is_not_repeated() {
        for code in ["57014", "25006", "08P01", "22P02", "23505", "42601", "28P01", "DR409", "XX000"] {
            assert_eq!(retries(Signal::Postgres { code, message: "connection" }), [false; 3], "{code}");
        }
        for status in [400, 401, 413, 507] {
            assert_eq!(retries(Signal::Status(status)), [false; 3], "{status}");
        }
        for message in ["password authentication failed for user 'x'", "invalid connection string"] {
            assert_eq!(retries(Signal::Postgres { code: "", message }), [false; 3], "{message}");
        }
    }

    #[test]
    fn there_are_three_tries_with_growing_pauses() {
        let after = |attempt, jitter| decide(Signal::Network, Effect::Read, attempt, jitter);
        assert_eq!((after(1, 0.0), after(1, 1.0)), (Retry::After(25), Retry::After(75)));
        assert_eq!((after(2, 0.0), after(2, 1.0)), (Retry::After(50), Retry::After(150)));
        assert_eq!(after(3, 0.5), Retry::Stop);
        assert_eq!(after(1, f64::NAN), Retry::After(50));
    }
}
