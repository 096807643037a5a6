//! A request that has found its row, before anything about its caller is known.

use std::rc::Rc;

use worker::Env;

use crate::app::App;
use crate::context::Context;
use crate::edge::boundary::{Head, Header};
use crate::edge::clock;
use crate::problem::{Outcome, Problem};
use crate::query::Query;
use crate::routes::Route;

/// One request and its row.
#[derive(Debug)]
pub struct Request<'a> {
    /// What the isolate shares.
    pub app: &'a Rc<App>,
    /// The bindings.
    pub env: &'a Env,
    /// Where work goes on after the answer.
    pub worker: &'a worker::Context,
    /// Ids, deadline, timings.
    pub context: &'a Context,
    /// Method, path, headers.
    pub head: &'a Head,
    /// The runtime's request, for bodies and upgrades.
    pub raw: &'a web_sys::Request,
    /// The row.
    pub route: &'static Route,
    /// The path's parameters, percent-decoded.
    pub parameters: Vec<(String, String)>,
    /// The query's parameters.
    pub query: Query,
}

impl Request<'_> {
    /// A parameter of the path. One that does not parse names nothing: 404.
    pub fn parameter<T, E>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Outcome<T> {
        let found = self.parameters.iter().find(|(known, _)| known == name);
        let (_, value) = found.ok_or_else(|| {
            Problem::internal(format!("{} {} has no parameter {name}", self.route.method, self.route.path))
        })?;
        parse(value).map_err(|_| Problem::not_found())
    }

    /// What is left of the deadline.
    #[must_use]
    pub fn remaining_ms(&self) -> u32 {
        self.context.deadline.remaining(clock::now_ms())
    }

    /// `x-drey-revision`: the caller has seen this revision and must not be answered from an older one.
    pub fn least_revision(&self) -> Outcome<Option<i64>> {
        let Some(text) = self.head.header(Header::Revision) else { return Ok(None) };
        let revision = text.parse().ok().filter(|revision| *revision >= 0);
        let wanted = "It is the whole number of an earlier answer's `x-drey-revision`.";
        revision.map(Some).ok_or_else(|| Problem::parameter("x-drey-revision", wanted))
    }

    /// Whether the caller asks for a WebSocket.
    #[must_use]
    pub fn wants_websocket(&self) -> bool {
        self.head.header(Header::Upgrade).is_some_and(|value| value.eq_ignore_ascii_case("websocket"))
    }
}
