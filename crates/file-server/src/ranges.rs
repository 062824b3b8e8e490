//! `Range: bytes=…`: RFC 9110, section 14. One range is sent as such; of several the whole file is,
//! as the section allows, since no client of the platform asks for them.

use std::ops::Range;

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Selection {
    /// Everything: 200.
    Whole,
    /// These bytes: 206.
    Part(Range<u64>),
    /// Nothing that is there was asked for: 416.
    Unsatisfiable,
}

/// Reads a `Range` header for a file of `length` bytes. One that makes no sense counts as missing.
pub(crate) fn select(header: Option<&str>, length: u64) -> Selection {
    let Some((unit, set)) = header.and_then(|header| header.split_once('=')) else {
        return Selection::Whole;
    };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return Selection::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return Selection::Whole };
    let range = match (number(first), number(last)) {
        (Some(first), Some(last)) if first <= last => first..last.saturating_add(1).min(length),
        (Some(first), None) if last.is_empty() => first..length,
        (None, Some(count)) if first.is_empty() => {
            // A suffix of an empty file is nothing, too.
            if count == 0 { length..length } else { length.saturating_sub(count)..length }
        }
        _ => return Selection::Whole,
    };
    if range.is_empty() { Selection::Unsatisfiable } else { Selection::Part(range) }
}

/// Digits; a number too large for 64 bits is beyond any file.
fn number(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_ranges_are_cut_to_the_file_and_the_rest_is_whole_or_refused() {
        use Selection::{Part, Unsatisfiable, Whole};
        for (header, selection) in [
            ("bytes=0-0", Part(0..1)),
            ("bytes=2-4", Part(2..5)),
            ("bytes=9-", Part(9..10)),
            ("bytes=5-99", Part(5..10)),
            ("bytes=5-99999999999999999999", Part(5..10)),
            ("bytes=-3", Part(7..10)),
            ("bytes=-99", Part(0..10)),
            ("Bytes = 0-", Part(0..10)),
            ("bytes=10-", Unsatisfiable),
            ("bytes=10-20", Unsatisfiable),
            ("bytes=99999999999999999999-", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=0-1,3-4", Whole),
            ("bytes=4-2", Whole),
            ("bytes=-", Whole),
            ("bytes=a-b", Whole),
            ("bytes=+1-2", Whole),
            ("bytes=1", Whole),
            ("lines=1-2", Whole),
            ("", Whole),
        ] {
            assert_eq!(select(Some(header), 10), selection, "{header}");
        }
        assert_eq!(select(None, 10), Whole);
        // Positions beyond 4 GiB, on 32-bit machines too.
        let large = 5 << 30;
        assert_eq!(select(Some("bytes=5368709110-"), large), Part(large - 10..large));
        assert_eq!(select(Some("bytes=0-"), 0), Unsatisfiable);
        assert_eq!(select(Some("bytes=-1"), 0), Unsatisfiable);
    }
}
