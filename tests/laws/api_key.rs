//! A key reads back, and whatever is one character away from a key is none.

use drey_core::api_key::{AddressRange, KeyEnvironment, compose, parse};
use drey_core::id::ApiKeyId;
use proptest::prelude::*;
use std::net::IpAddr;
use uuid::Uuid;

fn key(id: u128, secret: &[u8; 32]) -> (ApiKeyId, String) {
    let id = ApiKeyId::from_uuid(Uuid::from_u128(id));
    (id, compose(KeyEnvironment::Production, id, secret))
}

proptest! {
    #[test]
    fn a_key_reads_back(id in any::<u128>(), secret in any::<[u8; 32]>()) {
        let (id, text) = key(id, &secret);
        prop_assert_eq!(parse(KeyEnvironment::Production, &text), Ok(id));
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'));
    }

    #[test]
    fn other_secrets_are_other_keys(id in any::<u128>(), one in any::<[u8; 32]>(), other in any::<[u8; 32]>()) {
        prop_assert_eq!(key(id, &one).1 == key(id, &other).1, one == other);
    }

    #[test]
    fn a_character_of_any_script_is_refused(id in any::<u128>(), secret in any::<[u8; 32]>(), place in 0_usize..80, character in any::<char>()) {
        let (_, text) = key(id, &secret);
        let changed: String = text.chars().enumerate().map(|(at, old)| if at == place { character } else { old }).collect();
        prop_assert_eq!(parse(KeyEnvironment::Production, &changed).is_err(), changed != text);
    }

    #[test]
    fn a_missing_a_doubled_and_a_swapped_character_are_refused(id in any::<u128>(), secret in any::<[u8; 32]>(), place in 0_usize..80) {
        let (_, text) = key(id, &secret);
        let mut missing = text.clone();
        missing.remove(place);
        let mut doubled = text.clone();
        doubled.insert(place, doubled.as_bytes()[place].into());
        let mut swapped = text.clone().into_bytes();
        swapped.swap(place, place + 1);
        let swapped = String::from_utf8(swapped).expect("ASCII");
        for changed in [missing, doubled, swapped] {
            prop_assert!(changed == text || parse(KeyEnvironment::Production, &changed).is_err(), "{}", changed);
        }
    }

    #[test]
    fn no_text_makes_the_parser_fail_otherwise(text in any::<String>()) {
        prop_assert!(parse(KeyEnvironment::Production, &text).is_err());
    }

    #[test]
    fn a_range_reads_back_and_holds_the_addresses_that_share_its_bits(address in any::<u32>(), bits in 0_u8..=32, other in any::<u32>()) {
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        let text = format!("{}/{bits}", IpAddr::from((address & mask).to_be_bytes()));
        let range = AddressRange::parse(&text).expect("a range");
        prop_assert_eq!(range.to_string(), text);
        prop_assert!(range.contains(IpAddr::from(address.to_be_bytes())));
        prop_assert_eq!(range.contains(IpAddr::from(other.to_be_bytes())), address & mask == other & mask);
    }
}

proptest! {
    // Each case tries every place of a key with every other character: ten thousand keys that are one character away.
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn every_single_ascii_change_is_refused(id in any::<u128>(), secret in any::<[u8; 32]>()) {
        let (_, text) = key(id, &secret);
        for place in 0..text.len() {
            for byte in 0_u8..128 {
                let mut changed = text.clone().into_bytes();
                if changed[place] == byte {
                    continue;
                }
                changed[place] = byte;
                let changed = String::from_utf8(changed).expect("ASCII");
                prop_assert!(parse(KeyEnvironment::Production, &changed).is_err(), "{}", changed);
            }
        }
    }
}
