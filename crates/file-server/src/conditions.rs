//! Conditional requests: RFC 9110, section 13, in the order of its section 13.2.2.

use std::time::{Duration, SystemTime};

use hyper::header::{
    HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

/// What a file is compared by.
#[derive(Clone, Debug)]
pub(crate) struct Validators {
    /// Strong, quoted.
    pub(crate) tag: String,
    /// In whole seconds, as HTTP has it.
    pub(crate) modified: SystemTime,
}

/// What the conditions come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send the file.
    Proceed,
    /// The client has it: 304.
    NotModified,
    /// It is not the one the client wants: 412.
    Failed,
}

impl Validators {
    pub(crate) fn new(tag: String, modified: SystemTime) -> Self {
        let seconds = modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        Self { tag, modified: SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) }
    }

    /// What the headers of a GET or HEAD ask for.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Verdict {
        let is_kept = match lists(headers, &IF_MATCH, |tag| tag == self.tag) {
            Some(listed) => listed,
            None => date(headers, &IF_UNMODIFIED_SINCE).is_none_or(|date| self.modified <= date),
        };
        if !is_kept {
            return Verdict::Failed;
        }
        // Weak comparison: the marker does not count.
        let weakly = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag) == self.tag;
        let is_known = match lists(headers, &IF_NONE_MATCH, weakly) {
            Some(listed) => listed,
            None => date(headers, &IF_MODIFIED_SINCE).is_some_and(|date| self.modified <= date),
        };
        if is_known { Verdict::NotModified } else { Verdict::Proceed }
    }

    /// Whether a range may be sent, going by `If-Range`: a date must be the file's own and older than
    /// the second in which it could have been changed again.
    pub(crate) fn allows_range(&self, headers: &HeaderMap, now: SystemTime) -> bool {
        let Some(wanted) = headers.get(IF_RANGE) else { return true };
        if wanted.as_bytes() == self.tag.as_bytes() {
            return true;
        }
        let date = wanted.to_str().ok().and_then(|text| httpdate::parse_http_date(text).ok());
        let is_settled =
            now.duration_since(self.modified).is_ok_and(|age| age > Duration::from_secs(1));
        date == Some(self.modified) && is_settled
    }
}

/// Whether the header lists a tag that `matches`, or is `*`; `None` without such a header. Our tags
/// have no comma, so those that have one may fall apart.
fn lists(headers: &HeaderMap, name: &HeaderName, matches: impl Fn(&str) -> bool) -> Option<bool> {
    headers.contains_key(name).then(|| {
        let mut lines = headers.get_all(name).iter().filter_map(|line| line.to_str().ok());
        lines.any(|line| line.trim() == "*" || line.split(',').map(str::trim).any(&matches))
    })
}

/// A date that is none counts as missing.
fn date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sat, 21 Nov 2026 14:00:00 GMT";
    const EARLIER: &str = "Sat, 21 Nov 2026 13:59:59 GMT";

    fn validators() -> Validators {
        let modified = httpdate::parse_http_date(DATE).unwrap() + Duration::from_millis(900);
        Validators::new("\"t\"".to_owned(), modified)
    }

    fn headers(lines: &[(HeaderName, &str)]) -> HeaderMap {
        lines.iter().map(|(name, value)| (name.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn conditions_are_judged_in_the_order_of_the_rfc() {
        use Verdict::{Failed, NotModified, Proceed};
        for (lines, verdict) in [
            (vec![], Proceed),
            (vec![(IF_NONE_MATCH, "\"t\"")], NotModified),
            (vec![(IF_NONE_MATCH, "\"x\", W/\"t\"")], NotModified),
            (vec![(IF_NONE_MATCH, "*")], NotModified),
            (vec![(IF_NONE_MATCH, "\"x\"")], Proceed),
            (vec![(IF_NONE_MATCH, "t")], Proceed),
            // A tag with commas around an asterisk was taken for the asterisk.
            (vec![(IF_NONE_MATCH, "\"a,*,b\"")], Proceed),
            // The tag decides, the date is not looked at.
            (vec![(IF_NONE_MATCH, "\"x\""), (IF_MODIFIED_SINCE, DATE)], Proceed),
            (vec![(IF_MODIFIED_SINCE, DATE)], NotModified),
            (vec![(IF_MODIFIED_SINCE, EARLIER)], Proceed),
            (vec![(IF_MODIFIED_SINCE, "yesterday")], Proceed),
            (vec![(IF_MATCH, "\"t\"")], Proceed),
            (vec![(IF_MATCH, "*")], Proceed),
            (vec![(IF_MATCH, "\"x\"")], Failed),
            // Strong comparison.
            (vec![(IF_MATCH, "W/\"t\"")], Failed),
            (vec![(IF_MATCH, "\"t\""), (IF_UNMODIFIED_SINCE, EARLIER)], Proceed),
            (vec![(IF_UNMODIFIED_SINCE, DATE)], Proceed),
            (vec![(IF_UNMODIFIED_SINCE, EARLIER)], Failed),
            (vec![(IF_MATCH, "\"x\""), (IF_NONE_MATCH, "\"t\"")], Failed),
            (vec![(IF_MATCH, "\"t\""), (IF_NONE_MATCH, "\"t\"")], NotModified),
        ] {
            assert_eq!(validators().judge(&headers(&lines)), verdict, "{lines:?}");
        }
    }

    #[test]
    fn ranges_are_sent_of_the_same_file_only() {
        let validators = validators();
        let later = validators.modified + Duration::from_secs(2);
        for (lines, allowed) in [
            (vec![], true),
            (vec![(IF_RANGE, "\"t\"")], true),
            (vec![(IF_RANGE, "\"x\"")], false),
            (vec![(IF_RANGE, "W/\"t\"")], false),
            (vec![(IF_RANGE, DATE)], true),
            (vec![(IF_RANGE, EARLIER)], false),
            (vec![(IF_RANGE, "nonsense")], false),
        ] {
            assert_eq!(validators.allows_range(&headers(&lines), later), allowed, "{lines:?}");
        }
        let fresh = validators.allows_range(&headers(&[(IF_RANGE, DATE)]), validators.modified);
        assert!(!fresh, "the file may change again within this second");
    }
}
