//! Tags of public answers, and the versions that end their copies.
//!
//! The key of a copy holds the version of each of its tags. Raising a version ends all copies with the tag at once,
//! however many there are, and nothing is scanned: they are asked for no more, and their time does the rest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::escape;

/// The tag of every public answer.
pub const ALL: &str = "drey";

/// The tags of a public row: [`ALL`], and its own. `/openapi.json` has `drey-openapi`.
#[must_use]
pub fn of(route: &str) -> [String; 2] {
    let stem = route.trim_matches('/').split('.').next().unwrap_or_default();
    let own: String = stem.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
    [ALL.to_owned(), format!("{ALL}-{own}")]
}

/// The value of `Cache-Tag`: the row's tags, and one of the version that is deployed.
#[must_use]
pub fn header(route: &str, deployed: &str) -> String {
    let [all, own] = of(route);
    format!("{all},{own},{ALL}-v{deployed}")
}

/// How often each tag has been raised. A tag that never was is at 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Versions(BTreeMap<String, u64>);

impl Versions {
    /// The version of a tag.
    #[must_use]
    pub fn of(&self, tag: &str) -> u64 {
        self.0.get(tag).copied().unwrap_or_default()
    }

    /// Takes a version that is known from elsewhere; a version never goes back.
    pub fn learn(&mut self, tag: &str, version: u64) {
        let known = self.0.entry(tag.to_owned()).or_default();
        *known = version.max(*known);
    }

    /// Takes everything that others know.
    pub fn merge(&mut self, others: &Self) {
        others.0.iter().for_each(|(tag, version)| self.learn(tag, *version));
    }
}

/// The path of our own copy of a public answer. No workspace begins with `public`, so it is no key of a tenant's.
#[must_use]
pub fn key(deployed: &str, versions: &Versions, route: &str, path: &str, query: &str) -> String {
    let [all, own] = of(route).map(|tag| versions.of(&tag));
    format!("/1/public/{}/{all}.{own}/{}/{}", escape(deployed), escape(path), escape(query))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUTE: &str = "/openapi.json";

    #[test]
    fn a_public_row_has_the_tags_that_a_cdn_can_purge() {
        assert_eq!(of(ROUTE), ["drey", "drey-openapi"]);
        assert_eq!(of("/v1/docs/{slug}"), ["drey", "drey-v1-docs--slug-"]);
        assert_eq!(header(ROUTE, "0.1.0"), "drey,drey-openapi,drey-v0.1.0");
    }

    /// The data centre's cache outlives a deploy.
    #[test]
    fn the_key_of_a_public_copy_is_fixed_and_moves_with_each_of_its_tags() {
        let mut versions = Versions::default();
        let at = |versions: &Versions| key("0.1.0", versions, ROUTE, ROUTE, "a=b");
        assert_eq!(at(&versions), "/1/public/0%2e1%2e0/0.0/%2fopenapi%2ejson/a%3db");
        versions.learn("drey-openapi", 2);
        versions.learn("drey", 1);
        versions.learn("drey-other", 7);
        assert_eq!(at(&versions), "/1/public/0%2e1%2e0/1.2/%2fopenapi%2ejson/a%3db");
    }

    #[test]
    fn a_version_never_goes_back() {
        let (mut known, mut late) = (Versions::default(), Versions::default());
        known.learn("drey", 3);
        late.learn("drey", 2);
        late.learn("drey-openapi", 1);
        known.merge(&late);
        assert_eq!((known.of("drey"), known.of("drey-openapi"), known.of("none")), (3, 1, 0));
        assert_eq!(serde_json::to_string(&known).expect("json"), r#"{"drey":3,"drey-openapi":1}"#);
    }
}
