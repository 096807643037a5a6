//! Whether two JSON texts say the same.
//!
//! In scope: space, escapes, order of members and the writing of numbers make no difference. Out of scope: rounding; two numbers
//! that a float cannot tell apart are two numbers.

use std::collections::BTreeMap;

use super::MAX_DEPTH;
use super::scan::{Kind, elements, kind, members};

/// Whether both texts are the same value. Repeated names, and what lies too deep, must be the same bytes.
#[must_use]
pub fn equal(one: &str, other: &str) -> bool {
    at_depth(one.trim(), other.trim(), 0)
}

fn at_depth(one: &str, other: &str, depth: usize) -> bool {
    if one == other {
        return true;
    }
    if depth >= MAX_DEPTH {
        return false;
    }
    match (kind(one), kind(other)) {
        (Kind::Object, Kind::Object) => objects(one, other, depth).unwrap_or(false),
        (Kind::Array, Kind::Array) => arrays(one, other, depth).unwrap_or(false),
        (Kind::Scalar, Kind::Scalar) => scalars(one, other),
        _ => false,
    }
}

fn objects(one: &str, other: &str, depth: usize) -> Option<bool> {
    let (one, other) = (members(one)?, members(other)?);
    let by_name: BTreeMap<&str, &str> = other.iter().map(|part| (part.name.as_str(), part.value)).collect();
    let names: BTreeMap<&str, &str> = one.iter().map(|part| (part.name.as_str(), part.value)).collect();
    let unique = by_name.len() == other.len() && names.len() == one.len() && names.len() == by_name.len();
    let same = |(name, value): (&&str, &&str)| by_name.get(*name).is_some_and(|held| at_depth(value, held, depth + 1));
    Some(unique && names.iter().all(same))
}

fn arrays(one: &str, other: &str, depth: usize) -> Option<bool> {
    let (one, other) = (elements(one)?, elements(other)?);
    let same = one.len() == other.len();
    Some(same && one.iter().zip(&other).all(|(one, other)| at_depth(one.value, other.value, depth + 1)))
}

fn scalars(one: &str, other: &str) -> bool {
    if one.starts_with('"') && other.starts_with('"') {
        let text = |quoted: &str| serde_json::from_str::<String>(quoted).ok();
        return text(one).is_some_and(|one| text(other).is_some_and(|other| one == other));
    }
    decimal(one).is_some_and(|one| decimal(other).is_some_and(|other| one == other))
}

/// Sign, digits without zeros at either end, and the power of ten of the last digit.
fn decimal(text: &str) -> Option<(bool, String, i64)> {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let trimmed = all.trim_end_matches('0');
    let shift = i64::try_from(all.len() - trimmed.len()).ok()? - i64::try_from(fraction.len()).ok()?;
    let digits = trimmed.trim_start_matches('0').to_owned();
    if digits.is_empty() {
        // -0 is another text, and to some readers another number.
        return Some((negative, digits, 0));
    }
    Some((negative, digits, exponent.parse::<i64>().ok()?.checked_add(shift)?))
}

#[cfg(test)]
mod tests {
    use super::equal;

    #[test]
    fn the_writing_makes_no_difference_and_the_value_does() {
        for (one, other, expected) in [
            (r#"{"a":1,"b":[1,"x"]}"#, r#"{ "b" : [1.0, "\u0078"], "a" : 10e-1 }"#, true),
            ("100", "1e2", true),
            ("0.10", "0.1", true),
            ("-0", "0", false),
            ("[1,2]", "[2,1]", false),
            ("12345678901234567890", "12345678901234567891", false),
            ("1e99999999999999999999", "1e99999999999999999998", false),
            ("true", "\"true\"", false),
            ("null", "null", true),
            ("{}", "[]", false),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#, false),
        ] {
            assert_eq!((equal(one, other), equal(other, one)), (expected, expected), "{one} {other}");
        }
    }
}
