//! The query string, decoded once.

use std::ops::RangeInclusive;

use crate::problem::{Outcome, Problem};

/// The parameters in the order they came.
#[derive(Debug, Default)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Decodes `application/x-www-form-urlencoded` text.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        Self { pairs: form_urlencoded::parse(text.as_bytes()).into_owned().collect() }
    }

    /// The first value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// A whole number within bounds.
    pub fn number(&self, name: &str, bounds: RangeInclusive<u32>) -> Outcome<Option<u32>> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| bounds.contains(number));
        let wanted = || format!("It is a whole number from {} to {}.", bounds.start(), bounds.end());
        number.map(Some).ok_or_else(|| Problem::parameter(name, wanted()))
    }

    /// The path with this query, one parameter replaced.
    #[must_use]
    pub fn with(&self, path: &str, name: &str, value: &str) -> String {
        let kept = self.pairs.iter().filter(|(known, _)| known != name);
        let mut text = form_urlencoded::Serializer::new(String::new());
        text.extend_pairs(kept).append_pair(name, value);
        format!("{path}?{}", text.finish())
    }
}
