//! `config.yml` in a deps directory: what a buildpack says about itself (contract, section 3.14).
//! Every error is ignored; what could be read stays.

use std::path::Path;

use lifecycle::file;
use lifecycle::staging_info::Config;
use lifecycle::staging_result::BuildpackMetadata;
use lifecycle::yaml::{self, Decoder};

/// The metadata of the buildpack `key`, with what the `config.yml` in `deps` says.
pub(crate) fn read(key: &str, deps: &Path) -> BuildpackMetadata {
    let mut metadata = BuildpackMetadata { key: key.to_owned(), ..BuildpackMetadata::default() };
    if let Ok(Some(text)) = file::read(&deps.join("config.yml")) {
        amend(&mut metadata, &text);
    }
    metadata
}

/// Decodes the text of a `config.yml` onto `metadata`; it may override even the key.
pub(crate) fn amend(metadata: &mut BuildpackMetadata, text: &[u8]) {
    let Ok(Some(document)) = yaml::parse(text) else { return };
    let mut decoder = Decoder::default();
    for (key, value) in decoder.entries(&document).unwrap_or_default() {
        match key.as_str() {
            "key" => decoder.text_into(value, &mut metadata.key),
            "name" => decoder.text_into(value, &mut metadata.name),
            "version" => decoder.text_into(value, &mut metadata.version),
            "config" => Config::decode_into(&mut metadata.config, &mut decoder, value),
            "output_metadata" if value.is_null() => metadata.output_metadata.clear(),
            "output_metadata" => {
                for (key, value) in decoder.entries(value).unwrap_or_default() {
                    metadata.output_metadata.extend(decoder.json(value).map(|value| (key, value)));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle::json;
    use std::fs;

    /// The metadata of buildpack K with that `config.yml`, as in result.json.
    fn with(text: &str) -> String {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("config.yml"), text).unwrap();
        json::to_string(&read("K", dir.path())).unwrap()
    }

    #[test]
    fn fields_are_decoded_onto_the_key() {
        let rows = [
            ("", r#"{"key":"K","name":""}"#),
            ("name: N\nversion: 1.10\n", r#"{"key":"K","name":"N","version":"1.10"}"#),
            ("key: other\nunknown: [x]\n", r#"{"key":"other","name":""}"#),
            ("name: ~\nversion: ~\nkey: ~\n", r#"{"key":"","name":""}"#),
            (
                "config: {entrypoint_prefix: p q}\n",
                r#"{"key":"K","name":"","config":{"entrypoint_prefix":"p q"}}"#,
            ),
            ("config:\n", r#"{"key":"K","name":""}"#),
            ("config: ~\n", r#"{"key":"K","name":""}"#),
            ("config: {}\n", r#"{"key":"K","name":"","config":{}}"#),
            ("config: x\n", r#"{"key":"K","name":"","config":{}}"#),
            ("config: {entrypoint_prefix: [x]}\n", r#"{"key":"K","name":"","config":{}}"#),
            ("output_metadata: {}\n", r#"{"key":"K","name":""}"#),
            ("output_metadata: ~\n", r#"{"key":"K","name":""}"#),
        ];
        for (text, expected) in rows {
            assert_eq!(with(text), expected, "{text:?}");
        }
    }

    #[test]
    fn errors_are_ignored_and_what_could_be_read_stays() {
        let rows = [
            ("name: [x]\nversion: 2\n", r#"{"key":"K","name":"","version":"2"}"#),
            ("name: N\noutput_metadata: [x]\n", r#"{"key":"K","name":"N"}"#),
            ("- a\n", r#"{"key":"K","name":""}"#),
            // No YAML: nothing at all is read.
            ("name: N\nversion: [\n", r#"{"key":"K","name":""}"#),
            ("name: N\nversion: \"\u{7f}\"\n", r#"{"key":"K","name":""}"#),
        ];
        for (text, expected) in rows {
            assert_eq!(with(text), expected, "{text:?}");
        }
    }

    #[test]
    fn output_metadata_holds_any_value() {
        let rows = [
            ("5", "5"),
            ("1.50", "1.5"),
            ("1.0", "1"),
            ("1e-7", "1e-7"),
            ("yes", "true"),
            ("Off", "false"),
            ("~", "null"),
            ("text", "\"text\""),
            ("'5'", "\"5\""),
            ("2020-01-01", "\"2020-01-01\""),
            ("2001-12-14t21:59:43.10-05:00", "\"2001-12-14t21:59:43.10-05:00\""),
            ("0x10", "16"),
            ("017", "15"),
            ("0o7", "7"),
            ("0b1", "1"),
            ("1_000", "1000"),
            ("1:30", "\"1:30\""),
            ("36893488147419103232", "36893488147419103000"),
            ("[a, [1, ~]]", "[\"a\",[1,null]]"),
            // JSON has no infinity; the predecessor's staging failed on it.
            (".inf", "\".inf\""),
            (".nan", "\".nan\""),
            // Nor could it write nested mappings: keys are text now, and sorted.
            (
                "{b: 1, a: {5: x, ~: w, true: z}}",
                "{\"a\":{\"\":\"w\",\"5\":\"x\",\"true\":\"z\"},\"b\":1}",
            ),
            ("[{k: v}]", "[{\"k\":\"v\"}]"),
        ];
        for (text, expected) in rows {
            let expected =
                format!("{{\"key\":\"K\",\"name\":\"\",\"output_metadata\":{{\"v\":{expected}}}}}");
            assert_eq!(with(&format!("output_metadata:\n  v: {text}\n")), expected, "{text}");
        }
    }

    #[test]
    fn output_metadata_given_twice_merges_and_is_sorted() {
        let text = "output_metadata: {b: 1, a: 1}\noutput_metadata: {c: 2, a: 2}\n";
        assert!(with(text).ends_with(r#""output_metadata":{"a":2,"b":1,"c":2}}"#));
    }

    #[test]
    fn without_a_readable_config_yml_only_the_key_is_known() {
        let dir = tempfile::tempdir().unwrap();
        let bare = BuildpackMetadata { key: "K".to_owned(), ..Default::default() };
        assert_eq!(read("K", &dir.path().join("missing")), bare);
        fs::create_dir(dir.path().join("config.yml")).unwrap();
        assert_eq!(read("K", dir.path()), bare);
    }
}
