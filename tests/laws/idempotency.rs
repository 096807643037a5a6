//! A key is one key however it is written; a fingerprint tells any two requests apart.

use drey_core::idempotency::{Key, fingerprint};
use proptest::prelude::*;

proptest! {
    #[test]
    fn quoted_and_bare_are_one_key(key in "[!#-\\[\\]-~]{1,255}") {
        let bare = Key::parse(&key).expect("a key");
        let quoted = Key::parse(&format!("\"{key}\"")).expect("a key");
        prop_assert_eq!(bare.as_str(), key.as_str());
        prop_assert_eq!(bare, quoted);
    }

    #[test]
    fn what_is_read_is_visible_ascii(header in "\"?.{0,40}\"?") {
        if let Ok(key) = Key::parse(&header) {
            prop_assert!((1..=255).contains(&key.as_str().len()));
            prop_assert!(key.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        }
    }

    #[test]
    fn requests_that_differ_anywhere_have_other_fingerprints(
        one in ("[A-Z]{0,4}", "[a-z/]{0,8}", "[a-z/]{0,8}", any::<Vec<u8>>()),
        other in ("[A-Z]{0,4}", "[a-z/]{0,8}", "[a-z/]{0,8}", any::<Vec<u8>>()),
    ) {
        let print = |r: &(String, String, String, Vec<u8>)| fingerprint(&r.0, &r.1, &r.2, &r.3);
        prop_assert_eq!(print(&one) == print(&other), one == other);
    }

    #[test]
    fn a_byte_that_moves_between_parts_changes_the_fingerprint(path in "[a-z]{2,9}", media in "[a-z]{2,9}") {
        let (head, last) = path.split_at(path.len() - 1);
        let moved = fingerprint("POST", head, &format!("{last}{media}"), b"");
        prop_assert_ne!(fingerprint("POST", &path, &media, b""), moved);
    }
}
