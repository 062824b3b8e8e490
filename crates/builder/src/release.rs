//! What `bin/release` prints: YAML with `default_process_types`.

use lifecycle::process::Process;
use lifecycle::yaml::{self, Decoder, YamlError};

/// The release script printed something else.
#[derive(Debug, thiserror::Error)]
#[error("buildpack's release output invalid")]
pub struct ReleaseOutputError(#[source] YamlError);

impl ReleaseOutputError {
    /// What is wrong where, one line each.
    pub(crate) fn explanation(&self) -> Vec<String> {
        self.0.explanation().iter().map(|line| format!("bin/release's output, {line}")).collect()
    }
}

/// The processes in `stdout` of a release script, in its order.
pub(crate) fn process_types(stdout: &[u8]) -> Result<Vec<Process>, ReleaseOutputError> {
    parse(stdout).map_err(ReleaseOutputError)
}

fn parse(stdout: &[u8]) -> Result<Vec<Process>, YamlError> {
    let Some(document) = yaml::parse(stdout)? else { return Ok(Vec::new()) };
    let mut decoder = Decoder::default();
    let mut types = Vec::new();
    for (key, value) in decoder.entries(&document).unwrap_or_default() {
        if key != "default_process_types" {
            continue;
        }
        // Given twice, the mappings merge; nothing takes the first one back.
        if value.is_null() {
            types.clear();
        }
        for (kind, command) in decoder.entries(value).unwrap_or_default() {
            types.extend(decoder.text(command).map(|command| (kind, command)));
        }
    }
    decoder.finish()?;
    Ok(Process::from_types(types))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle::report::chain;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let processes = process_types(text.as_bytes()).unwrap_or_else(|error| panic!("{error}"));
        processes.into_iter().map(|process| (process.kind, process.command)).collect()
    }

    #[test]
    fn default_process_types_are_processes() {
        let rows: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("--- {}\n", &[]),
            ("~\n", &[]),
            ("addons: [x]\nconfig_vars: {a: [b]}\n", &[]),
            ("default_process_types:\n", &[]),
            (
                "---\ndefault_process_types:\n  worker: w\n  web: bundle exec x\n",
                &[("worker", "w"), ("web", "bundle exec x")],
            ),
            ("default_process_types: {web: 1_000}\n", &[("web", "1_000")]),
            (
                "default_process_types: {web: a}\ndefault_process_types: {worker: b, web: c}\n",
                &[("web", "c"), ("worker", "b")],
            ),
            // What a Ruby buildpack writes for a path in a field nobody reads.
            (
                "x: !ruby/object:Pathname {path: /}\ndefault_process_types: {web: a}\n",
                &[("web", "a")],
            ),
        ];
        for (text, expected) in rows {
            let expected: Vec<_> =
                expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            assert_eq!(pairs(text), expected, "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_invalid_with_the_reason() {
        let rows = [
            ("- a\n", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into map"),
            ("text\n", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `text` into map"),
            (
                "default_process_types: web\n",
                "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `web` into map",
            ),
            (
                "default_process_types:\n  web: [a]\n",
                "yaml: unmarshal errors:\n  line 2: cannot unmarshal !!seq into string",
            ),
            // Noise on stdout before the document.
            (
                "-----> Releasing\n---\ndefault_process_types: {web: a}\n",
                "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `-----> ...` into map",
            ),
            (
                "a: &ruby/object:Pathname {x: y}\n",
                "yaml: line 1: did not find expected alphabetic or numeric character",
            ),
        ];
        for (text, reason) in rows {
            let error = process_types(text.as_bytes()).unwrap_err();
            assert_eq!(chain(&error), format!("buildpack's release output invalid: {reason}"));
        }
        let error = process_types(b"a: b: c").unwrap_err();
        assert_eq!(
            error.explanation(),
            [
                "bin/release's output, line 1, column 5: mapping values are not allowed in this context"
            ]
        );
    }
}
