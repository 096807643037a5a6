//! A cursor is read back whole, unchanged and for its own query, or not at all.

use drey_core::cursor::{Cursor, CursorError};
use drey_core::time::Timestamp;
use proptest::prelude::*;
use uuid::Uuid;

/// Every character of base64url, and some that could slip through a lenient reader.
const CHARACTERS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_+/=. \n%é";

fn positions() -> impl Strategy<Value = (String, Uuid)> {
    (0_u64..253_402_300_799_000, any::<u128>())
        .prop_map(|(millis, id)| (Timestamp::from_millis(millis).to_string(), Uuid::from_u128(id)))
}

/// Every text that differs from this one in one character.
fn changed(text: &str) -> impl Iterator<Item = String> {
    let original: Vec<char> = text.chars().collect();
    (0..original.len()).flat_map(move |place| {
        let original = original.clone();
        CHARACTERS.chars().filter_map(move |character| {
            let mut changed = original.clone();
            let old = std::mem::replace(changed.get_mut(place)?, character);
            (old != character).then(|| changed.into_iter().collect())
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_cursor_reads_back(position in positions(), binding in ".{0,40}") {
        let text = Cursor::encode(&position.0, position.1, &binding);
        prop_assert_eq!(Cursor::decode(&text, &binding), Ok(position));
    }

    #[test]
    fn every_change_of_one_character_is_refused(position in positions(), binding in ".{0,40}") {
        let text = Cursor::encode(&position.0, position.1, &binding);
        for changed in changed(&text) {
            prop_assert_eq!(Cursor::decode(&changed, &binding), Err(CursorError), "{}", changed);
        }
    }

    #[test]
    fn a_cut_or_lengthened_cursor_is_refused(position in positions(), more in "[A-Za-z0-9_-]{1,8}") {
        let text = Cursor::encode(&position.0, position.1, "list");
        for end in 0..text.len() {
            prop_assert_eq!(Cursor::decode(&text[..end], "list"), Err(CursorError));
        }
        prop_assert_eq!(Cursor::decode(&format!("{text}{more}"), "list"), Err(CursorError));
    }

    #[test]
    fn another_query_does_not_take_it(position in positions(), one in ".{0,20}", other in ".{0,20}") {
        prop_assume!(one != other);
        let text = Cursor::encode(&position.0, position.1, &one);
        prop_assert_eq!(Cursor::decode(&text, &other), Err(CursorError));
    }

    #[test]
    fn a_key_reads_back_and_every_change_is_refused(key in "[A-Za-z0-9_-]{1,64}", binding in ".{0,20}") {
        let text = Cursor::encode_key(&key, &binding);
        prop_assert_eq!(Cursor::decode_key(&text, &binding), Ok(key));
        for changed in changed(&text) {
            prop_assert_eq!(Cursor::decode_key(&changed, &binding), Err(CursorError), "{}", changed);
        }
    }

    #[test]
    fn no_text_breaks_the_reader(text in ".{0,300}") {
        prop_assert_eq!(Cursor::decode(&text, "list"), Err(CursorError));
    }
}
