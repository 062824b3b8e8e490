//! `VCAP_APPLICATION`: what the platform says about the app, to which the container adds where it runs
//! (contract, section 8.7). Keys, their order and the text of numbers stay.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use serde_json::Value;

use crate::environment::Environment;
use crate::json;

/// The variable's name.
pub const VCAP_APPLICATION: &str = "VCAP_APPLICATION";

/// The variable with `host`, `instance_id`, `port` and `instance_index` of this container.
/// `None`, so untouched, if it is not a JSON object.
pub fn amended(environment: &Environment) -> Option<String> {
    let text = environment.get(VCAP_APPLICATION)?;
    let Value::Object(mut application) = json::parse(text.as_bytes()).ok()? else { return None };
    let instance_id = environment.get("INSTANCE_GUID").unwrap_or_default();
    application.insert("host".into(), "0.0.0.0".into());
    application.insert("instance_id".into(), instance_id.to_string_lossy().into());
    for (key, variable) in [("port", "PORT"), ("instance_index", "INSTANCE_INDEX")] {
        if let Some(number) = environment.get(variable).and_then(integer) {
            application.insert(key.into(), number.into());
        }
    }
    json::to_string(&application).ok()
}

/// A sign and leading zeros are fine.
fn integer(text: &OsStr) -> Option<i64> {
    text.to_str()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amend(variables: &[(&str, &str)]) -> Option<String> {
        let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
        amended(&variables.collect())
    }

    #[test]
    fn the_containers_address_is_added() {
        let amended = amend(&[
            (VCAP_APPLICATION, r#"{"name":"a"}"#),
            ("INSTANCE_GUID", "id"),
            ("PORT", "+08080"),
            ("INSTANCE_INDEX", "-1"),
        ]);
        assert_eq!(
            amended.unwrap(),
            r#"{"name":"a","host":"0.0.0.0","instance_id":"id","port":8080,"instance_index":-1}"#
        );
    }

    #[test]
    fn keys_their_order_and_numbers_are_kept() {
        let text = r#"{"z":12345678901234567890,"port":1,"a":{"y":1.50,"b":1e+400},"host":"x"}"#;
        assert_eq!(
            amend(&[(VCAP_APPLICATION, text)]).unwrap(),
            r#"{"z":12345678901234567890,"port":1,"a":{"y":1.50,"b":1e+400},"host":"0.0.0.0","instance_id":""}"#
        );
    }

    #[test]
    fn what_is_no_number_changes_nothing() {
        for port in ["", "8080x", " 8080", "8_080", "0x10", "9223372036854775808"] {
            let amended = amend(&[(VCAP_APPLICATION, r#"{"port":1}"#), ("PORT", port)]).unwrap();
            assert_eq!(amended, r#"{"port":1,"host":"0.0.0.0","instance_id":""}"#, "{port}");
        }
    }

    #[test]
    fn what_is_no_object_is_left_alone() {
        // The predecessor crashed on null.
        for text in ["", "null", "[]", "5", "{", "{} x", "{'a':1}"] {
            assert_eq!(amend(&[(VCAP_APPLICATION, text)]), None, "{text}");
        }
        assert_eq!(amend(&[]), None);
    }
}
