//! `staging_info.yml` in the droplet's root: what staging tells the launcher. Written as one line
//! of JSON (contract, section 3.15), read as YAML (sections 4 and 8.3).

use std::path::Path;

use serde::Serialize;

use crate::file::{self, FileError};
use crate::json;
use crate::yaml::{self, Decoder, Node, YamlError};

/// Its name, in the droplet's root and in the launcher's working directory.
pub const STAGING_INFO: &str = "staging_info.yml";

/// What staging found out; all empty when there is no file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StagingInfo {
    /// The last buildpack's name, or what its detect script said.
    pub detected_buildpack: String,
    /// The command of the `web` process, or nothing.
    pub start_command: String,
    /// The last buildpack's `config`, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<Config>,
}

/// `config` in `config.yml`, `staging_info.yml` and `result.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Config {
    /// What stands before the start command in place of `bash -c`, in words of the shell.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub entrypoint_prefix: String,
}

/// Why `staging_info.yml` cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StagingInfoError {
    /// It is there but cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what it should be.
    #[error("failed to unmarshal {STAGING_INFO}")]
    Yaml(#[source] YamlError),
}

impl StagingInfoError {
    /// Line, column and reason of what is wrong in the text, one line each.
    pub fn explanation(&self) -> Vec<String> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Yaml(error) => error.explanation(),
        }
    }
}

/// Reads the file in `directory`. Missing is fine; a wrong type is not.
pub fn read(directory: &Path) -> Result<StagingInfo, StagingInfoError> {
    match file::read(&directory.join(STAGING_INFO))? {
        Some(bytes) => from_yaml(&bytes).map_err(StagingInfoError::Yaml),
        None => Ok(StagingInfo::default()),
    }
}

fn from_yaml(bytes: &[u8]) -> Result<StagingInfo, YamlError> {
    let mut info = StagingInfo::default();
    let mut decoder = Decoder::default();
    if let Some(document) = yaml::parse(bytes)? {
        for (key, value) in decoder.entries(&document).unwrap_or_default() {
            match key.as_str() {
                "detected_buildpack" => decoder.text_into(value, &mut info.detected_buildpack),
                "start_command" => decoder.text_into(value, &mut info.start_command),
                "config" => Config::decode_into(&mut info.config, &mut decoder, value),
                _ => {}
            }
        }
    }
    decoder.finish()?;
    Ok(info)
}

impl StagingInfo {
    /// The content of the file.
    pub fn to_line(&self) -> Result<String, json::JsonError> {
        json::to_string(self).map(|text| text + "\n")
    }

    /// The config's entrypoint prefix, if there is one.
    pub fn entrypoint_prefix(&self) -> Option<&str> {
        let prefix = self.config.as_ref()?.entrypoint_prefix.as_str();
        (!prefix.is_empty()).then_some(prefix)
    }
}

impl Config {
    /// Decodes `node` onto `config`: null takes it away, anything else makes one, even where the
    /// type is wrong.
    pub fn decode_into(config: &mut Option<Self>, decoder: &mut Decoder, node: &Node) {
        if node.is_null() {
            *config = None;
            return;
        }
        let config = config.get_or_insert_default();
        for (key, value) in decoder.entries(node).unwrap_or_default() {
            if key == "entrypoint_prefix" {
                decoder.text_into(value, &mut config.entrypoint_prefix);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::chain;
    use std::fs;

    fn info(detected: &str, command: &str, prefix: Option<&str>) -> StagingInfo {
        StagingInfo {
            detected_buildpack: detected.to_owned(),
            start_command: command.to_owned(),
            config: prefix.map(|prefix| Config { entrypoint_prefix: prefix.to_owned() }),
        }
    }

    #[test]
    fn it_is_one_line_of_json() {
        let rows = [
            (
                info("NC", "run", Some("pfx")),
                r#"{"detected_buildpack":"NC","start_command":"run","config":{"entrypoint_prefix":"pfx"}}"#,
            ),
            (
                info("NC", "run", Some("")),
                r#"{"detected_buildpack":"NC","start_command":"run","config":{}}"#,
            ),
            (
                info("", "a && b <\"c\">\u{2028}", None),
                r#"{"detected_buildpack":"","start_command":"a \u0026\u0026 b \u003c\"c\"\u003e\u2028"}"#,
            ),
        ];
        for (info, line) in rows {
            assert_eq!(info.to_line().unwrap(), format!("{line}\n"));
            assert_eq!(from_yaml(line.as_bytes()).unwrap(), info);
        }
    }

    #[test]
    fn long_commands_are_read_back() {
        let command = "x 'y' \u{e9}\n\t".repeat(20_000);
        let info = info("NC", &command, None);
        assert_eq!(from_yaml(info.to_line().unwrap().as_bytes()).unwrap(), info);
    }

    #[test]
    fn any_yaml_is_read() {
        let rows = [
            ("", info("", "", None)),
            ("unknown: [x]\nstart_command: 5.0\n", info("", "5.0", None)),
            ("start_command: |\n  a\n  b\nconfig: ~\n", info("", "a\nb\n", None)),
            ("config:\n  entrypoint_prefix: true\n", info("", "", Some("true"))),
            ("config: {}\nstart_command: ~\n", info("", "", Some(""))),
            ("config: {entrypoint_prefix: a}\nconfig: {other: b}\n", info("", "", Some("a"))),
        ];
        for (text, expected) in rows {
            assert_eq!(from_yaml(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
        assert_eq!(info("", "", Some("")).entrypoint_prefix(), None);
        assert_eq!(info("", "", Some("a b")).entrypoint_prefix(), Some("a b"));
    }

    #[test]
    fn errors_are_the_launchers() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), StagingInfo::default());
        let path = dir.path().join(STAGING_INFO);
        let rows = [
            (
                "start_command: [x]\n",
                "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into string",
                "line 1, column 16: a list stands where text is expected",
            ),
            (
                "config: x\n",
                "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `x` into map",
                "line 1, column 9: `x` stands where a mapping (`key: value`, with a blank after the colon) is expected",
            ),
            (
                "a: 1\nb: {",
                "yaml: line 2: did not find expected node content",
                "line 2, column 4: unclosed bracket '{'",
            ),
        ];
        for (text, reason, explanation) in rows {
            fs::write(&path, text).unwrap();
            let error = read(dir.path()).unwrap_err();
            assert_eq!(chain(&error), format!("failed to unmarshal staging_info.yml: {reason}"));
            assert_eq!(error.explanation(), [explanation]);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = chain(&read(dir.path()).unwrap_err());
        assert_eq!(error, format!("read {}: is a directory", path.display()));
    }
}
