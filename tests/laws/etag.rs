//! Tags match themselves and nothing else.

use drey_core::etag::{body_tag, if_match, if_none_match, item_tag, version_tag};
use proptest::prelude::*;

proptest! {
    #[test]
    fn a_version_matches_itself_only(version in 1..i64::MAX, other in any::<i64>()) {
        let tag = version_tag(version);
        prop_assert_eq!(if_match(&tag), Ok(vec![version]));
        prop_assert_eq!(if_match(&format!("W/{tag}")), Ok(vec![]));
        let weak = format!("W/{tag}");
        prop_assert!(if_none_match(&tag, &tag) && if_none_match(&weak, &tag));
        prop_assert_eq!(if_none_match(&tag, &version_tag(other)), version == other);
    }

    #[test]
    fn an_items_tag_names_its_version_and_its_body(version in 1..i64::MAX, one in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
        let tag = item_tag(version, &one);
        prop_assert_eq!(if_match(&tag), Ok(vec![version]));
        prop_assert_eq!(if_none_match(&tag, &item_tag(version, &other)), one == other);
    }

    #[test]
    fn a_tag_is_found_in_a_list(before in "[a-z,]{0,5}", version in 1..i64::MAX, after in "[a-z,]{0,5}") {
        let (tag, header) = (version_tag(version), format!("\"{before}\" , W/\"{version}\",\"{after}\""));
        prop_assert!(if_none_match(&header, &tag));
    }

    #[test]
    fn bodies_have_tags_of_their_own(one in any::<Vec<u8>>(), other in any::<Vec<u8>>()) {
        prop_assert_eq!(body_tag(&one) == body_tag(&other), one == other);
    }

    #[test]
    fn no_header_breaks_the_reader(header in ".{0,60}", tags in "(W/|\"|,| |[a-z]){0,30}") {
        for header in [header, tags] {
            let _ = if_match(&header);
            let _ = if_none_match(&header, "\"1\"");
        }
    }
}
