//! Finds the row of a method and path. The index is built once per isolate: building it per request would cost more
//! than the request.

use std::collections::BTreeMap;

use matchit::Router;

use crate::problem::{Outcome, Problem};
use crate::routes::{Route, TABLE};
use drey_core::refusal::Code;

/// A matched row with the parameters of its path.
#[derive(Debug)]
pub struct Matched {
    /// The row.
    pub route: &'static Route,
    /// Names and percent-decoded values.
    pub parameters: Vec<(String, String)>,
}

type Methods = BTreeMap<&'static str, &'static Route>;

/// The paths of the table, each with its methods.
pub struct Index {
    paths: Router<Methods>,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Index").finish_non_exhaustive()
    }
}

impl Index {
    /// Builds the index of a table; says which path does not fit among the others.
    pub fn new() -> Result<Self, String> {
        let mut by_path: BTreeMap<&'static str, Methods> = BTreeMap::new();
        for route in TABLE {
            by_path.entry(route.path).or_default().insert(route.method, route);
        }
        let mut paths = Router::new();
        for (path, methods) in by_path {
            paths.insert(path, methods).map_err(|error| format!("{path}: {error}"))?;
        }
        Ok(Self { paths })
    }

    /// The row of a request. `HEAD` is answered as `GET` without a body.
    pub fn find(&self, method: &str, path: &str) -> Outcome<Matched> {
        let found = self.paths.at(path).map_err(|_| Problem::new(Code::NotFound, "There is no such route."))?;
        let wanted = if method == "HEAD" { "GET" } else { method };
        let Some(route) = found.value.get(wanted) else { return Err(not_allowed(found.value)) };
        let parameters = found.params.iter().map(|(name, value)| (name.to_owned(), decode(value))).collect();
        Ok(Matched { route, parameters })
    }

    /// The methods of a path, for `Allow` and preflight answers.
    #[must_use]
    pub fn methods(&self, path: &str) -> Option<String> {
        self.paths.at(path).ok().map(|found| allow(found.value))
    }
}

fn not_allowed(methods: &Methods) -> Problem {
    let allow = allow(methods);
    Problem::new(Code::MethodNotAllowed, format!("This route knows {allow}.")).with_header("allow", allow)
}

fn allow(methods: &Methods) -> String {
    let mut names: Vec<&str> = methods.keys().copied().collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.join(", ")
}

/// Percent-decodes one segment; bytes that are not UTF-8 become the replacement character, which no id contains.
fn decode(segment: &str) -> String {
    if !segment.contains('%') {
        return segment.to_owned();
    }
    percent_encoding::percent_decode_str(segment).decode_utf8_lossy().into_owned()
}
