//! `Procfile` in the app: process types and their commands.

use std::path::Path;

use lifecycle::file::{self, FileError};
use lifecycle::process::Process;
use lifecycle::yaml::{self, Decoder, YamlError};

/// Why the Procfile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProcfileError {
    /// It is there but cannot be read.
    #[error("Failed to read command from Procfile")]
    File(#[source] FileError),
    /// It is not `type: command` per line. The platform's sentence hides the reason, which is in
    /// [`ProcfileError::explanation`].
    #[error("Failed to read command from Procfile: invalid YAML")]
    Yaml(YamlError),
}

impl ProcfileError {
    /// What is wrong where, one line each.
    pub(crate) fn explanation(&self) -> Vec<String> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Yaml(error) => {
                error.explanation().iter().map(|line| format!("Procfile, {line}")).collect()
            }
        }
    }
}

/// Reads the Procfile in `build_dir`; nothing if there is none.
pub(crate) fn read(build_dir: &Path) -> Result<Vec<Process>, ProcfileError> {
    let text = file::read(&build_dir.join("Procfile")).map_err(ProcfileError::File)?;
    parse(&text.unwrap_or_default()).map_err(ProcfileError::Yaml)
}

/// The processes a Procfile's text names, in its order.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Process>, YamlError> {
    let Some(document) = yaml::parse(text)? else { return Ok(Vec::new()) };
    let mut decoder = Decoder::default();
    let entries = decoder.entries(&document).unwrap_or_default();
    let types: Vec<_> = entries
        .into_iter()
        .filter_map(|(kind, command)| Some((kind, decoder.text(command)?)))
        .collect();
    decoder.finish()?;
    Ok(Process::from_types(types))
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle::report::chain;
    use std::fs;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let processes = parse(text.as_bytes()).unwrap_or_else(|error| panic!("{text:?}: {error}"));
        processes.into_iter().map(|process| (process.kind, process.command)).collect()
    }

    #[test]
    fn lines_are_processes_in_their_order() {
        let rows: &[(&str, &[(&str, &str)])] = &[
            ("", &[]),
            ("# nothing\n", &[]),
            ("---\n", &[]),
            ("worker: w\nweb: a b -p $PORT\n", &[("worker", "w"), ("web", "a b -p $PORT")]),
            // No command is an empty one.
            ("web:\n", &[("web", "")]),
            ("web: ~\r\nworker: x\r\n", &[("web", ""), ("worker", "x")]),
            // Source text, not values.
            ("web: 5.0\nyes: 0x1F\n", &[("web", "5.0"), ("yes", "0x1F")]),
            ("web: a\nworker: b\nweb: c\n", &[("web", "c"), ("worker", "b")]),
            ("web: bin/x -- \"$A\" 'b'\n", &[("web", "bin/x -- \"$A\" 'b'")]),
        ];
        for (text, expected) in rows {
            let expected: Vec<_> =
                expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
            assert_eq!(pairs(text), expected, "{text:?}");
        }
    }

    #[test]
    fn what_is_no_procfile_is_refused_and_explained() {
        let dir = tempfile::tempdir().unwrap();
        let rows = [
            (
                "- web\n",
                "Procfile, line 1, column 1: a list stands where a mapping (`key: value`, with a blank after the colon) is expected",
            ),
            (
                "web:a\n",
                "Procfile, line 1, column 1: `web:a` stands where a mapping (`key: value`, with a blank after the colon) is expected",
            ),
            (
                "just text",
                "Procfile, line 1, column 1: `just text` stands where a mapping (`key: value`, with a blank after the colon) is expected",
            ),
            (
                "ok: x\nweb:\n  a: b\n",
                "Procfile, line 3, column 3: a mapping stands where text is expected",
            ),
            ("web: [a]\n", "Procfile, line 1, column 6: a list stands where text is expected"),
            (
                "web: a: b\n",
                "Procfile, line 1, column 7: mapping values are not allowed in this context",
            ),
            ("web: @x\n", "Procfile, line 1, column 6: unexpected character: `@'"),
        ];
        for (text, explanation) in rows {
            fs::write(dir.path().join("Procfile"), text).unwrap();
            let error = read(dir.path()).unwrap_err();
            assert_eq!(chain(&error), "Failed to read command from Procfile: invalid YAML");
            assert_eq!(error.explanation(), [explanation]);
        }
    }

    #[test]
    fn no_procfile_is_no_process_and_a_directory_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
        let path = dir.path().join("Procfile");
        std::os::unix::fs::symlink("nowhere", &path).unwrap();
        assert_eq!(read(dir.path()).unwrap(), []);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = read(dir.path()).unwrap_err();
        let expected = format!(
            "Failed to read command from Procfile: read {}: is a directory",
            path.display()
        );
        assert_eq!(chain(&error), expected);
    }
}
