//! What an operator sees of a deployment: counted in isolates, added up in one place, written as `OpenMetrics`.
//!
//! In scope: the families, counting, adding up, the busiest tenants, the text. Out of scope: when an isolate reports and
//! where the sums are stored.
//!
//! A label is a word of ours (a row's path, a plan, a code) or, for the ten busiest tenants, an id: never a token, a
//! person, an address or a query. So the text stays small however many callers there are.

mod counts;
mod family;
mod render;
mod sketch;
mod totals;

pub use counts::{Counts, Running, Seen};
pub use family::{Family, Kind};
pub use sketch::Sketch;
pub use totals::{Delta, Levels, RoomReport, Totals};

/// The media type of the text.
/// Source: `OpenMetrics` 1.0, <https://prometheus.io/docs/specs/om/open_metrics_spec/>.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
