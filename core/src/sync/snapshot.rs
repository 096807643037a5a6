//! Where a reader stands in a snapshot of a scope.
//!
//! In scope: `{offset}_snapshot` for the first page and `{offset}_snapshot.{type}.{id}` for the page after that entity. An
//! address names generation, epoch and page, so what it answers never changes. Out of scope: whether the log still goes on
//! from there.

use super::{EntityKey, Offset, OffsetError};

/// A page of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotPage {
    /// The state after this epoch; where the log goes on.
    pub at: Offset,
    /// The last entity of the page before.
    pub after: Option<EntityKey>,
}

/// What is asked of snapshots.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Snapshot {
    /// `snapshot`: the address of the newest.
    Newest,
    /// A page.
    Page(SnapshotPage),
}

const MARK: &str = "_snapshot";

impl Snapshot {
    /// Reads an offset; `None` if it speaks of no snapshot.
    ///
    /// # Errors
    /// [`OffsetError`] for a snapshot that is not one of ours.
    pub fn parse(text: &str) -> Result<Option<Self>, OffsetError> {
        if text == "snapshot" {
            return Ok(Some(Self::Newest));
        }
        let Some((at, page)) = text.split_once(MARK) else { return Ok(None) };
        let at = Offset::parse(at)?;
        let after = if page.is_empty() { None } else { Some(entity(page)?) };
        Ok(Some(Self::Page(SnapshotPage { at, after })))
    }
}

fn entity(text: &str) -> Result<EntityKey, OffsetError> {
    let text = text.strip_prefix('.').ok_or(OffsetError)?;
    // Ids hold no dot.
    let (entity_type, id) = text.rsplit_once('.').ok_or(OffsetError)?;
    EntityKey::parse(entity_type, id).map_err(|_| OffsetError)
}

impl std::fmt::Display for SnapshotPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}{MARK}", self.at)?;
        match &self.after {
            Some(entity) => write!(f, ".{}.{}", entity.entity_type(), entity.id()),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Clients and caches keep these addresses: another text would be another page.
    #[test]
    fn the_address_of_a_page_is_fixed_and_read_back() {
        let at = Offset::new(3, 42).expect("offset");
        let entity = EntityKey::parse("request", "r_1").expect("entity");
        for (after, text) in
            [(None, "3_0000000000000042_snapshot"), (Some(entity), "3_0000000000000042_snapshot.request.r_1")]
        {
            let page = SnapshotPage { at, after };
            assert_eq!(page.to_string(), text);
            assert_eq!(Snapshot::parse(text), Ok(Some(Snapshot::Page(page))));
        }
        assert_eq!(Snapshot::parse("snapshot"), Ok(Some(Snapshot::Newest)));
    }

    #[test]
    fn what_is_no_snapshot_is_none_and_what_is_a_wrong_one_is_refused() {
        for text in ["", "-1", "now", "3_0000000000000042", "snap"] {
            assert_eq!(Snapshot::parse(text), Ok(None), "{text}");
        }
        for text in [
            "_snapshot",
            "3_42_snapshot",
            "3_0000000000000042_snapshotx",
            "3_0000000000000042_snapshot.",
            "3_0000000000000042_snapshot.a",
            "3_0000000000000042_snapshot.a.ü",
        ] {
            assert_eq!(Snapshot::parse(text), Err(OffsetError), "{text}");
        }
    }
}
