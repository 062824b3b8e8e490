//! `VCAP_PLATFORM_OPTIONS`: what the platform tells the lifecycle itself (contract, section 7).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use crate::json::{self, JsonError};

/// The environment variable.
pub const VCAP_PLATFORM_OPTIONS: &str = "VCAP_PLATFORM_OPTIONS";

/// The options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlatformOptions {
    /// Where CredHub is asked, if references are to be interpolated.
    pub credhub_uri: Option<String>,
}

/// The variable's value is not the JSON it should be.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct PlatformOptionsError(#[from] JsonError);

/// Reads the variable's value; unset and empty mean no options.
pub fn parse(value: Option<&OsStr>) -> Result<PlatformOptions, PlatformOptionsError> {
    let Some(text) = value.filter(|text| !text.is_empty()) else {
        return Ok(PlatformOptions::default());
    };
    let value = json::parse(text.as_bytes())?;
    if !matches!(value, Value::Object(_) | Value::Null) {
        let place = "Go value of type platformoptions.PlatformOptions";
        return Err(JsonError::wrong_type(&value, place).into());
    }
    let credhub_uri = match json::field(&value, "credhub-uri") {
        None | Some(Value::Null) => None,
        Some(Value::String(uri)) => Some(uri.clone()).filter(|uri| !uri.is_empty()),
        Some(other) => {
            let place = "Go struct field PlatformOptions.credhub-uri of type string";
            return Err(JsonError::wrong_type(other, place).into());
        }
    };
    Ok(PlatformOptions { credhub_uri })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credhub_is_named_or_not() {
        let table = [
            ("", None),
            ("null", None),
            ("{}", None),
            (r#"{"credhub-uri":""}"#, None),
            (r#"{"credhub-uri":null}"#, None),
            (r#"{"credhub-uri":"https://c"}"#, Some("https://c")),
            (r#" {"CREDHUB-Uri":"https://c","other":[1]} "#, Some("https://c")),
        ];
        for (text, uri) in table {
            let options = parse(Some(OsStr::new(text))).unwrap();
            assert_eq!(options.credhub_uri.as_deref(), uri, "{text}");
        }
        assert_eq!(parse(None), Ok(PlatformOptions::default()));
    }

    #[test]
    fn bad_options_are_refused_in_gos_words() {
        let table = [
            (" ", "unexpected end of JSON input"),
            ("x", "invalid character 'x' looking for beginning of value"),
            ("{}x", "invalid character 'x' after top-level value"),
            (
                "[]",
                "json: cannot unmarshal array into Go value of type platformoptions.PlatformOptions",
            ),
            (
                r#"{"credhub-uri":5}"#,
                "json: cannot unmarshal number into Go struct field PlatformOptions.credhub-uri of type string",
            ),
        ];
        for (text, sentence) in table {
            assert_eq!(parse(Some(OsStr::new(text))).unwrap_err().to_string(), sentence, "{text}");
        }
    }
}
