//! Sub-rooms: the things of a workspace that clients look at.
//!
//! In scope: how a place is named, and sets of them. Out of scope: whether the thing exists. A place is what its clients say;
//! whoever may enter the room may look at all of them.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::sync::{is_entity_type, is_id};

/// The most places that one client is in: a state of the largest size and these still fit what a socket remembers.
pub const MOST_SHOWN: usize = 4;

/// The most places that one socket hears of.
pub const MOST_HEARD: usize = 8;

/// The longest type of a place.
const MAX_TYPE: usize = 32;

/// A place that is none, or too many of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be a few places such as `request/r1`")]
pub struct PlacesError;

/// A thing of the workspace as its clients name it: `request/r1`. A type of 1 to 32 of `[a-z0-9_-]`, a letter first, and an
/// id of 1 to 64 of `[A-Za-z0-9_-]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Place(String);

impl Place {
    /// Checks.
    ///
    /// # Errors
    /// [`PlacesError`] for another shape.
    pub fn parse(text: &str) -> Result<Self, PlacesError> {
        let (kind, id) = text.split_once('/').ok_or(PlacesError)?;
        let fits = kind.len() <= MAX_TYPE && is_entity_type(kind) && is_id(id);
        if fits { Ok(Self(text.to_owned())) } else { Err(PlacesError) }
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Some places, each once, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct Places(BTreeSet<Place>);

impl Places {
    /// At most so many of them.
    ///
    /// # Errors
    /// [`PlacesError`] for too many, or one that is none.
    pub fn parse<T: AsRef<str>>(texts: impl IntoIterator<Item = T>, most: usize) -> Result<Self, PlacesError> {
        let mut places = BTreeSet::new();
        for text in texts {
            places.insert(Place::parse(text.as_ref())?);
            if places.len() > most {
                return Err(PlacesError);
            }
        }
        Ok(Self(places))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// By name.
    pub fn iter(&self) -> impl Iterator<Item = &Place> {
        self.0.iter()
    }

    /// Whether both have a place in common.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        !self.0.is_disjoint(&other.0)
    }

    /// Adds those of another.
    pub(super) fn join(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let texts: Vec<String> = Vec::deserialize(deserializer)?;
        Self::parse(texts, MOST_HEARD).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_type_and_an_id() {
        for text in ["request/r1", "project/prj_01", "x/Y-_9"] {
            assert_eq!(Place::parse(text).map(|place| place.as_str().to_owned()), Ok(text.to_owned()));
        }
        let long = format!("{}/r", "t".repeat(33));
        for text in ["", "request", "/r1", "request/", "Request/r1", "request/r 1", "a/b/c", "1a/b", &long] {
            assert_eq!(Place::parse(text), Err(PlacesError), "{text}");
        }
    }

    #[test]
    fn places_are_few_and_each_is_there_once() {
        let texts = ["b/1", "a/1", "b/1"];
        assert_eq!(Places::parse(texts, 2).map(|places| places.iter().count()), Ok(2));
        assert_eq!(Places::parse(texts, 1), Err(PlacesError));
    }
}
