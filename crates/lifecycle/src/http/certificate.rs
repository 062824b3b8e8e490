//! What `webpki` does not tell of a certificate, read from its DER: from when to when it is valid,
//! and whether it is its own issuer.

use std::ops::RangeInclusive;

const INTEGER: u8 = 0x02;
const SEQUENCE: u8 = 0x30;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The optional version in front of the serial number.
const VERSION: u8 = 0xa0;

/// First and last second of validity, in Unix time.
pub(super) fn validity(certificate: &[u8]) -> Option<RangeInclusive<u64>> {
    let (_, rest) = issuer(certificate)?;
    let (validity, _) = element(rest, SEQUENCE)?;
    let (from, rest) = time(validity)?;
    let (to, _) = time(rest)?;
    Some(from..=to)
}

/// Whether subject and issuer are the same.
pub(super) fn is_self_issued(certificate: &[u8]) -> bool {
    let subject = |rest| element(element(rest, SEQUENCE)?.1, SEQUENCE);
    issuer(certificate).and_then(|(issuer, rest)| Some(subject(rest)?.0 == issuer)).unwrap_or(false)
}

/// The issuer's name, and what follows it: validity, subject and more.
fn issuer(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (fields, _) = element(certificate, SEQUENCE)?;
    let serial_number = match fields.first()? {
        &VERSION => element(fields, VERSION)?.1,
        _ => fields,
    };
    let (_, algorithm) = element(serial_number, INTEGER)?;
    let (_, issuer) = element(algorithm, SEQUENCE)?;
    element(issuer, SEQUENCE)
}

/// The contents of the element with `tag` at the beginning of `der`, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match usize::from(first) {
        short @ 0..0x80 => (short, rest),
        long => {
            let (bytes, rest) = rest.split_at_checked(long - 0x80)?;
            let shifted =
                |length: usize, &byte: &u8| length.checked_mul(256)?.checked_add(usize::from(byte));
            (bytes.iter().try_fold(0, shifted)?, rest)
        }
    };
    (found == tag).then(|| rest.split_at_checked(length)).flatten()
}

/// `YYMMDDhhmmssZ` or `YYYYMMDDhhmmssZ`, and what follows it.
fn time(der: &[u8]) -> Option<(u64, &[u8])> {
    if let Some((text, rest)) = element(der, UTC_TIME) {
        let year = pair(text, 0)?;
        let century = if year < 50 { 2000 } else { 1900 };
        return Some((seconds(century + year, text.get(2..)?)?, rest));
    }
    let (text, rest) = element(der, GENERALIZED_TIME)?;
    let year = pair(text, 0)? * 100 + pair(text, 2)?;
    Some((seconds(year, text.get(4..)?)?, rest))
}

/// Unix time of `MMDDhhmmss` in `year`.
fn seconds(year: u64, text: &[u8]) -> Option<u64> {
    let days = days_since_1970(year, pair(text, 0)?, pair(text, 2)?)?;
    Some(((days * 24 + pair(text, 4)?) * 60 + pair(text, 6)?) * 60 + pair(text, 8)?)
}

/// The two digits at `at`.
fn pair(text: &[u8], at: usize) -> Option<u64> {
    let digits = std::str::from_utf8(text.get(at..at + 2)?).ok()?;
    digits.parse().ok()
}

/// None before 1970, which no certificate is.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const DAYS_BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap_days_before = |year: u64| (year - 1) / 4 - (year - 1) / 100 + (year - 1) / 400;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let before = DAYS_BEFORE.get(usize::try_from(month.checked_sub(1)?).ok()?)?;
    let leap_day = u64::from(is_leap && month > 2);
    let years = year.checked_sub(1970)? * 365 + leap_days_before(year) - leap_days_before(1970);
    Some(years + before + leap_day + day.checked_sub(1)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::test_server::{Authority, Key};

    #[test]
    fn days_are_counted_as_the_calendar_has_them() {
        let table = [
            ((1970, 1, 1), 0),
            ((1970, 12, 31), 364),
            // `date -ud 2000-03-01 +%s` divided by 86400, and so on.
            ((2000, 2, 29), 11_016),
            ((2000, 3, 1), 11_017),
            ((2026, 11, 21), 20_778),
            ((2100, 3, 1), 47_541),
        ];
        for ((year, month, day), days) in table {
            assert_eq!(days_since_1970(year, month, day), Some(days), "{year}-{month}-{day}");
        }
        assert_eq!(days_since_1970(2026, 13, 1), None);
    }

    #[test]
    fn both_notations_of_time_are_read() {
        let utc = [&[UTC_TIME, 13][..], b"261121101530Z", b"rest"].concat();
        assert_eq!(time(&utc), Some((1_795_256_130, &b"rest"[..])));
        let general = [&[GENERALIZED_TIME, 15][..], b"20261121101530Z"].concat();
        assert_eq!(time(&general), Some((1_795_256_130, &b""[..])));
    }

    #[test]
    fn only_the_authority_is_its_own_issuer() {
        let authority = Authority::new();
        authority.issue("leaf", Key::EcPkcs8, "DNS:h", 2);
        assert!(is_self_issued(&authority.der("ca")));
        assert!(!is_self_issued(&authority.der("leaf")));
        assert!(!is_self_issued(b""));
    }

    #[test]
    fn cut_certificates_have_no_validity() {
        let authority = Authority::new();
        let der = authority.der("ca");
        assert!(validity(&der).is_some());
        for end in 0..120 {
            assert_eq!(validity(&der[..end]), None, "{end}");
        }
    }
}
