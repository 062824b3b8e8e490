//! Keeping secrets out of the log (`-redactSecrets`, `-redactPatterns`).

use regex_lite::Regex;

use super::Value;

/// What stands in the place of a secret.
const REDACTED: &str = "*REDACTED*";

/// Keys whose values are secrets.
const KEYS: &[&str] = &["[Pp]wd", "[Pp]ass"];

/// Values that are secrets: access keys of a cloud, hashed passwords, private keys.
const VALUES: &[&str] = &[
    "AKIA[A-Z0-9]{16}",
    "(?i)KEY[\"']?\\s*(?::|=>|=)\\s*[\"']?[A-Z0-9/+=]{40}[\"']?",
    "(?i)\\$1\\$[A-Z0-9./]{1,16}\\$[A-Z0-9./]{22}",
    "(?i)\\$5\\$[A-Z0-9./]{1,16}\\$[A-Z0-9./]{43}",
    "(?i)\\$6\\$[A-Z0-9./]{1,16}\\$[A-Z0-9./]{86}",
    "-----BEGIN.*PRIVATE KEY-----",
];

/// What in a line's data counts as secret.
#[derive(Debug)]
pub struct Redaction {
    keys: Vec<Regex>,
    values: Vec<Regex>,
}

/// A pattern that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{pattern:?} is not a regular expression: {reason}")]
pub struct RedactionError {
    pattern: String,
    reason: String,
}

impl Redaction {
    /// Looks for `patterns` in values, or for well-known secrets if there are none.
    pub fn new(patterns: &[String]) -> Result<Self, RedactionError> {
        let given: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let values = if given.is_empty() { compile(VALUES) } else { compile(&given) };
        Ok(Self { keys: compile(KEYS)?, values: values? })
    }

    /// Replaces `value` if it, or its `key`, looks like a secret.
    pub(super) fn apply(&self, key: &str, value: &mut Value<'_>) {
        let Value::Text(text) = value else { return };
        let matches = |patterns: &[Regex], text: &str| patterns.iter().any(|p| p.is_match(text));
        if matches(&self.keys, key) || matches(&self.values, text) {
            *value = Value::from(REDACTED);
        }
    }
}

fn compile(patterns: &[&str]) -> Result<Vec<Regex>, RedactionError> {
    let one = |pattern: &&str| {
        Regex::new(pattern).map_err(|error| RedactionError {
            pattern: (*pattern).to_owned(),
            reason: error.to_string(),
        })
    };
    patterns.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted<'v>(patterns: &[&str], key: &str, value: &'v str) -> Value<'v> {
        let patterns: Vec<String> = patterns.iter().map(ToString::to_string).collect();
        let mut value = Value::from(value);
        Redaction::new(&patterns).unwrap().apply(key, &mut value);
        value
    }

    #[test]
    fn what_looks_like_a_secret_is_replaced_whole() {
        let hash = format!("$6$salt${}", "a".repeat(86));
        for (key, value) in [
            ("password", "x"),
            ("dbPwd", "x"),
            ("Command", "AKIAABCDEFGHIJKLMNOP"),
            ("Command", "aws_key=abcdefghijklmnopqrstuvwxyzabcdefghij/+12"),
            ("Command", hash.as_str()),
            ("Command", "echo -----BEGIN RSA PRIVATE KEY-----"),
        ] {
            assert_eq!(redacted(&[], key, value), Value::from(REDACTED), "{key} {value}");
        }
        assert_eq!(redacted(&[], "Command", "scp -t /app"), Value::from("scp -t /app"));
    }

    #[test]
    fn own_patterns_replace_the_well_known_ones() {
        assert_eq!(redacted(&["s3cret"], "Command", "echo s3cret"), Value::from(REDACTED));
        let key = "AKIAABCDEFGHIJKLMNOP";
        assert_eq!(redacted(&["s3cret"], "Command", key), Value::from(key));
    }

    #[test]
    fn a_pattern_that_is_none_is_named() {
        let error = Redaction::new(&["a(".to_owned()]).unwrap_err();
        assert!(error.to_string().starts_with("\"a(\" is not a regular expression: "), "{error}");
    }
}
