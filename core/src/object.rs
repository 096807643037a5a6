//! JSON objects that are read as objects only.
//!
//! In scope: refusing the list form that serde's derive accepts for every struct (members in order, without names).
//! Out of scope: which members there are.

use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value that came as a JSON object. No schema of ours says that a list will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<T>(pub T);

struct Members<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for Members<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<T, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map))
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members(PhantomData)).map(Self)
    }
}

/// For a field: `#[serde(deserialize_with = "object")]`.
pub(crate) fn object<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
    Object::deserialize(deserializer).map(|Object(value)| value)
}

/// For a list of objects.
pub(crate) fn objects<'de, T: Deserialize<'de>, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let list: Vec<Object<T>> = Vec::deserialize(deserializer)?;
    Ok(list.into_iter().map(|Object(value)| value).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Named<'a> {
        #[serde(borrow)]
        name: &'a serde_json::value::RawValue,
    }

    #[test]
    fn an_object_is_read_and_borrows_and_a_list_is_not() {
        let Object(named) = serde_json::from_str::<Object<Named<'_>>>(r#"{"name": 1.00 }"#).expect("an object");
        assert_eq!(named.name.get(), "1.00");
        for text in ["[1]", "[]", "1", "null", r#"{"name":1,"other":2}"#] {
            assert!(serde_json::from_str::<Object<Named<'_>>>(text).is_err(), "{text}");
        }
    }
}
