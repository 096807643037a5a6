//! Offsets read back, keep the order of the stream, and have one text.

use drey_core::sync::{Offset, ReadFrom};
use proptest::prelude::*;

const EPOCHS: std::ops::Range<i64> = 0..10_000_000_000_000_000;

proptest! {
    #[test]
    fn an_offset_reads_back(generation in 1..i64::MAX, epoch in EPOCHS) {
        let offset = Offset::new(generation, epoch).expect("in range");
        prop_assert_eq!(Offset::parse(&offset.to_string()), Ok(offset));
        prop_assert_eq!((offset.generation(), offset.epoch()), (generation, epoch));
    }

    #[test]
    fn text_order_is_stream_order(generation in 1..i64::MAX, one in EPOCHS, other in EPOCHS) {
        let [one, other] = [one, other].map(|epoch| Offset::new(generation, epoch).expect("in range"));
        prop_assert_eq!(one.cmp(&other), one.to_string().cmp(&other.to_string()));
    }

    #[test]
    fn only_the_canonical_text_is_read(text in "0{0,2}[0-9]{1,5}_[0-9]{16}|[-+]?[0-9a-f]{0,20}_?[0-9]{14,18}|.{0,30}") {
        if let Ok(ReadFrom::At(offset)) = ReadFrom::parse(&text) {
            prop_assert_eq!(offset.to_string(), text);
        }
    }

    #[test]
    fn an_offset_is_never_a_sentinel_and_fits_a_query(generation in 1..i64::MAX, epoch in EPOCHS) {
        let text = Offset::new(generation, epoch).expect("in range").to_string();
        prop_assert!(text.len() < 256 && !text.contains([',', '&', '=', '?', '/']));
        prop_assert!(text != "-1" && text != "now");
    }
}
