//! Sizes in manifests and flags: `512M`, `1G`, `1.5GB`, `256`.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error};
use serde_json::Value;

/// A number of mebibytes, the platform's unit of memory and disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Megabytes(pub(crate) u64);

impl fmt::Display for Megabytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 > 0 && self.0.is_multiple_of(1024) {
            write!(f, "{}G", self.0 / 1024)
        } else {
            write!(f, "{}M", self.0)
        }
    }
}

/// Not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no size; write 512M or 1G (units are MB and GB)")]
pub(crate) struct QuantityError(String);

impl FromStr for Megabytes {
    type Err = QuantityError;

    /// Digits, with one decimal point at most, and `M`, `MB`, `G`, `GB`, `T`, `TB` in either case; a number
    /// alone counts mebibytes. Parts of a mebibyte are cut; less than one is refused.
    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let error = || QuantityError(text.to_owned());
        let upper = text.trim().to_ascii_uppercase();
        let number = upper.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit: u128 = match upper.get(number.len()..).unwrap_or_default() {
            "" | "M" | "MB" => 1,
            "G" | "GB" => 1 << 10,
            "T" | "TB" => 1 << 20,
            _ => return Err(error()),
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits =
            |text: &str| text.len() <= 12 && text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) {
            return Err(error());
        }
        let scale = 10_u128.pow(u32::try_from(part.len()).unwrap_or_default());
        let value: u128 = format!("{whole}{part}").parse().map_err(|_| error())?;
        match u64::try_from(value * unit / scale) {
            Ok(megabytes) if megabytes > 0 => Ok(Self(megabytes)),
            _ => Err(error()),
        }
    }
}

impl<'de> Deserialize<'de> for Megabytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            other => other.to_string(),
        };
        text.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_in_the_platforms_units() {
        for (text, megabytes) in [
            ("512M", Some(512)),
            ("512mb", Some(512)),
            ("1G", Some(1024)),
            ("1.5GB", Some(1536)),
            ("2t", Some(2 << 20)),
            ("256", Some(256)),
            // Less than a mebibyte, other units, no number, too many digits, a sign.
            ("0", None),
            ("0.0001M", None),
            ("1K", None),
            ("1MiB", None),
            ("", None),
            ("G", None),
            ("1.2.3M", None),
            ("-1M", None),
            ("99999999999999999999T", None),
        ] {
            assert_eq!(text.parse().ok(), megabytes.map(Megabytes), "{text}");
        }
    }

    #[test]
    fn sizes_are_shown_in_the_largest_whole_unit() {
        assert_eq!(Megabytes(1024).to_string(), "1G");
        assert_eq!(Megabytes(1536).to_string(), "1536M");
    }
}
