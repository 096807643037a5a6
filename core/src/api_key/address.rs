//! Ranges of addresses that a key may be used from.
//!
//! In scope: CIDR text and whether an address lies in a range. Out of scope: whose address it is (the platform says so).

use std::net::IpAddr;

/// A text that is no range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be an address or a range such as `192.0.2.0/24` or `2001:db8::/32`, its host bits zero")]
pub struct AddressError;

/// An address with the number of bits that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    address: IpAddr,
    bits: u8,
}

impl AddressRange {
    /// Reads `address/bits`; a bare address is a range of one. Host bits that are set are refused: whoever writes
    /// `10.1.2.3/8` means something that this would not be.
    ///
    /// # Errors
    /// [`AddressError`] for anything else.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let written: IpAddr = address.parse().map_err(|_| AddressError)?;
        let address = written.to_canonical();
        // A mapped range would mean IPv4 bits behind 96 of another kind: written as IPv4 it says the same.
        if address != written && bits.is_some() {
            return Err(AddressError);
        }
        let most = width(address);
        let bits = bits.map_or(Some(most), number).filter(|bits| *bits <= most).ok_or(AddressError)?;
        let range = Self { address, bits };
        if value(address) & !range.mask() == 0 { Ok(range) } else { Err(AddressError) }
    }

    /// Whether an address lies in the range. An IPv4 address inside IPv6 is that IPv4 address.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && value(address) & self.mask() == value(self.address)
    }

    /// Ones where bits count, of the low bits an address of this kind has.
    fn mask(self) -> u128 {
        let free = u32::from(width(self.address).saturating_sub(self.bits));
        u128::MAX.checked_shl(free).unwrap_or(0)
    }
}

/// Digits only, without a sign or a leading zero.
fn number(text: &str) -> Option<u8> {
    text.parse().ok().filter(|bits: &u8| bits.to_string() == text)
}

const fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn value(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(u32::from(v4)),
        IpAddr::V6(v6) => u128::from(v6),
    }
}

impl std::fmt::Display for AddressRange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.bits)
    }
}

impl serde::Serialize for AddressRange {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for AddressRange {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(text: &str) -> AddressRange {
        AddressRange::parse(text).expect("a range")
    }

    fn contains(text: &str, address: &str) -> bool {
        range(text).contains(address.parse().expect("an address"))
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_other() {
        assert!(contains("192.0.2.0/24", "192.0.2.255") && !contains("192.0.2.0/24", "192.0.3.0"));
        assert!(contains("0.0.0.0/0", "203.0.113.9") && !contains("0.0.0.0/0", "2001:db8::1"));
        assert!(contains("2001:db8::/32", "2001:db8:ffff::1") && !contains("2001:db8::/32", "2001:db9::"));
        assert!(contains("::/0", "::1") && !contains("::/0", "127.0.0.1"));
        assert!(contains("127.0.0.1", "::ffff:127.0.0.1") && !contains("127.0.0.1", "127.0.0.2"));
        assert_eq!([range("127.0.0.1").to_string(), range("::1").to_string()], ["127.0.0.1/32", "::1/128"]);
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0.0/08",
            "10.0/8",
            "::/129",
            "::ffff:10.0.0.0/104",
            "a",
        ] {
            assert_eq!(AddressRange::parse(text), Err(AddressError), "{text}");
        }
    }
}
