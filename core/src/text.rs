//! The texts people give: names, slugs, addresses of mail, descriptions. Parsed once, then trusted.
//!
//! In scope: length, alphabet and shape. Out of scope: uniqueness, which the database decides.

use sha2::{Digest as _, Sha256};

/// Why a text is refused. The message is a clause that follows the field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// Nothing is left after trimming.
    #[error("must not be empty")]
    Empty,
    /// More characters than the field holds.
    #[error("must be at most {max} characters")]
    TooLong {
        /// The most characters the field holds.
        max: usize,
    },
    /// A control character stands in it.
    #[error("must not contain control characters")]
    Control,
    /// The alphabet or the shape is another.
    #[error("must be {expected}")]
    Shape {
        /// What it should have been.
        expected: &'static str,
    },
}

macro_rules! text {
    ($(#[$meta:meta])* $name:ident) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text as it is stored.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

text!(
    /// What people call a thing: 1 to 100 characters after trimming, no control characters.
    Name
);
text!(
    /// What a thing is called in an address: 1 to 63 of `a-z 0-9`, single hyphens between them.
    Slug
);
text!(
    /// An address of mail, in lower case: at most 254 characters, one `@`, no spaces.
    Email
);
text!(
    /// A longer text: at most 2000 characters after trimming, lines allowed, no other control characters.
    Description
);

impl Name {
    /// The most characters a name holds.
    pub const MAX: usize = 100;

    /// Trims and checks.
    ///
    /// # Errors
    /// [`TextError`] when empty, too long, or with control characters.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        refuse_longer(text, Self::MAX)?;
        refuse_control(text, char::is_control)?;
        Ok(Self(text.to_owned()))
    }
}

impl Slug {
    /// The most characters a slug holds: one label of a host name.
    pub const MAX: usize = 63;

    /// Checks; nothing is changed.
    ///
    /// # Errors
    /// [`TextError`] when empty, too long, or of another alphabet.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        refuse_longer(text, Self::MAX)?;
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if text.split('-').all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(TextError::Shape { expected: "lower-case letters and digits with single hyphens between them" })
        }
    }

    /// The slug a thing gets when its creator names none. A name without a letter or digit of ASCII gets one from its
    /// digest, so that two such names do not meet.
    #[must_use]
    pub fn from_name(name: &Name) -> Self {
        let spaced: String = name
            .as_str()
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' })
            .collect();
        let words: Vec<&str> = spaced.split_whitespace().collect();
        let slug: String = words.join("-").chars().take(Self::MAX).collect();
        let slug = slug.trim_end_matches('-');
        if slug.is_empty() { Self(digest_slug(name)) } else { Self(slug.to_owned()) }
    }
}

fn digest_slug(name: &Name) -> String {
    let digest = Sha256::digest(name.as_str().as_bytes());
    let hex = crate::encoding::to_hex(&digest);
    format!("n-{}", hex.get(..12).unwrap_or_default())
}

impl Email {
    /// The longest address that fits a mail path (RFC 5321 4.5.3.1.3, less the angle brackets).
    pub const MAX: usize = 254;

    /// Trims, lowers the case and checks the shape; whether mail arrives is another matter.
    ///
    /// # Errors
    /// [`TextError`] when empty, too long, or not one `@` with something on both sides.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim().to_lowercase();
        if text.is_empty() {
            return Err(TextError::Empty);
        }
        refuse_longer(&text, Self::MAX)?;
        refuse_control(&text, char::is_control)?;
        let one_at = text
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        if one_at && !text.contains(char::is_whitespace) {
            Ok(Self(text))
        } else {
            Err(TextError::Shape { expected: "an address of mail such as `name@example.com`" })
        }
    }
}

impl Default for Description {
    /// No description.
    fn default() -> Self {
        Self(String::new())
    }
}

impl Description {
    /// The most characters a description holds.
    pub const MAX: usize = 2000;

    /// Trims and checks; an empty description is one.
    ///
    /// # Errors
    /// [`TextError`] when too long, or with control characters other than line feed and tab.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let text = text.trim();
        refuse_longer(text, Self::MAX)?;
        refuse_control(text, |c| c.is_control() && !matches!(c, '\n' | '\t'))?;
        Ok(Self(text.to_owned()))
    }
}

fn refuse_longer(text: &str, max: usize) -> Result<(), TextError> {
    if text.chars().count() > max { Err(TextError::TooLong { max }) } else { Ok(()) }
}

fn refuse_control(text: &str, is_control: impl Fn(char) -> bool) -> Result<(), TextError> {
    if text.chars().any(is_control) { Err(TextError::Control) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::parse(text).expect("a name")
    }

    #[test]
    fn names_are_trimmed_and_counted_in_characters() {
        assert_eq!(name("  Petstore ").as_str(), "Petstore");
        assert!(Name::parse(&"ß".repeat(100)).is_ok());
        assert_eq!(Name::parse(&"ß".repeat(101)), Err(TextError::TooLong { max: 100 }));
        assert_eq!(Name::parse(" \t "), Err(TextError::Empty));
        assert_eq!(Name::parse("a\u{0}b"), Err(TextError::Control));
    }

    #[test]
    fn a_slug_comes_from_its_name() {
        for (from, slug) in [("Pet Store", "pet-store"), ("  API -- v2!  ", "api-v2"), ("Ünïcode", "n-code")] {
            assert_eq!(Slug::from_name(&name(from)).as_str(), slug);
        }
        assert_ne!(Slug::from_name(&name("日本")), Slug::from_name(&name("中国")));
    }

    #[test]
    fn slugs_of_another_shape_are_refused() {
        for text in ["-a", "a-", "a--b", "A", "a_b", "a b", "ä"] {
            assert!(matches!(Slug::parse(text), Err(TextError::Shape { .. })), "{text}");
        }
        assert!(Slug::parse(&"a".repeat(64)).is_err());
    }

    #[test]
    fn addresses_are_lowered() {
        assert_eq!(Email::parse(" Ada@Example.COM ").expect("mail").as_str(), "ada@example.com");
        for text in ["", "ada", "@b", "a@", "a@b@c", "a b@c"] {
            assert!(Email::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn descriptions_keep_their_lines() {
        assert_eq!(Description::parse("a\n\tb").expect("text").as_str(), "a\n\tb");
        assert_eq!(Description::parse("a\u{7}"), Err(TextError::Control));
    }
}
