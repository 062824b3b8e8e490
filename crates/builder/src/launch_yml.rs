//! `launch.yml` in a deps directory: processes and sidecars a buildpack provides.

use std::path::Path;
use std::rc::Rc;

use lifecycle::file::{self, FileError};
use lifecycle::process::Process;
use lifecycle::yaml::{self, Decoder, Node, YamlError};

/// Why a `launch.yml` cannot be used. The platform's sentences name no file: see
/// [`LaunchYmlError::explanation`].
#[derive(Debug, thiserror::Error)]
pub enum LaunchYmlError {
    /// It is there but cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It is not what it should be.
    #[error(transparent)]
    Yaml(#[from] YamlError),
}

impl LaunchYmlError {
    /// What is wrong where, one line each.
    pub(crate) fn explanation(&self) -> Vec<String> {
        match self {
            Self::File(_) => Vec::new(),
            Self::Yaml(error) => {
                error.explanation().iter().map(|line| format!("launch.yml, {line}")).collect()
            }
        }
    }
}

/// Reads the `launch.yml` in `deps`; `None` if there is none. An empty one is one all the same: it
/// keeps the release script from being run.
pub(crate) fn read(deps: &Path) -> Result<Option<Vec<Process>>, LaunchYmlError> {
    match file::read(&deps.join("launch.yml"))? {
        Some(text) => Ok(Some(parse(&text)?)),
        None => Ok(None),
    }
}

/// The processes of a `launch.yml`, in its order.
pub(crate) fn parse(text: &[u8]) -> Result<Vec<Process>, YamlError> {
    let Some(document) = yaml::parse(text)? else { return Ok(Vec::new()) };
    let mut decoder = Decoder::default();
    let mut processes = Vec::new();
    for (key, value) in decoder.entries(&document).unwrap_or_default() {
        if key == "processes" {
            let entries: &[Rc<Node>] = decoder.list(value).unwrap_or_default();
            processes = entries.iter().map(|entry| process(entry, &mut decoder)).collect();
        }
    }
    decoder.finish()?;
    Ok(processes)
}

fn process(node: &Node, decoder: &mut Decoder) -> Process {
    let mut process = Process::default();
    for (key, value) in decoder.entries(node).unwrap_or_default() {
        match key.as_str() {
            "type" => decoder.text_into(value, &mut process.kind),
            "command" => decoder.text_into(value, &mut process.command),
            "platforms" => sidecar_targets(value, decoder, &mut process.sidecar_for),
            "limits" => memory(value, decoder, &mut process.memory),
            _ => {}
        }
    }
    process
}

/// `cloudfoundry.sidecar_for`, a list of process types.
fn sidecar_targets(platforms: &Node, decoder: &mut Decoder, targets: &mut Vec<String>) {
    for (key, platform) in decoder.entries(platforms).unwrap_or_default() {
        if key != "cloudfoundry" {
            continue;
        }
        for (key, value) in decoder.entries(platform).unwrap_or_default() {
            if key == "sidecar_for" {
                let entries: &[Rc<Node>] = decoder.list(value).unwrap_or_default();
                *targets = entries.iter().filter_map(|entry| decoder.text(entry)).collect();
            }
        }
    }
}

/// `memory` in MiB.
fn memory(limits: &Node, decoder: &mut Decoder, memory: &mut i64) {
    for (key, value) in decoder.entries(limits).unwrap_or_default() {
        if key == "memory" {
            *memory = decoder.integer(value).unwrap_or(*memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lifecycle::report::chain;
    use std::fs;

    fn process(kind: &str, command: &str, sidecar_for: &[&str], memory: i64) -> Process {
        Process {
            kind: kind.to_owned(),
            command: command.to_owned(),
            sidecar_for: sidecar_for.iter().map(|&target| target.to_owned()).collect(),
            memory,
        }
    }

    #[test]
    fn processes_are_read_in_their_order() {
        let rows: &[(&str, Vec<Process>)] = &[
            ("", vec![]),
            ("other: [x]\n", vec![]),
            ("processes:\n", vec![]),
            ("processes: []\n", vec![]),
            (
                "processes:\n- type: worker\n  command: w\n- type: web\n  command: a b\n",
                vec![process("worker", "w", &[], 0), process("web", "a b", &[], 0)],
            ),
            // A null entry is a process without type.
            (
                "processes: [~, {type: 5, command: true}]\n",
                vec![Process::default(), process("5", "true", &[], 0)],
            ),
            (
                "processes:\n- type: s\n  command: c\n  limits: {memory: 10}\n  platforms:\n    cloudfoundry:\n      sidecar_for: [web, 1.0]\n    other: x\n",
                vec![process("s", "c", &["web", "1.0"], 10)],
            ),
            (
                "processes: [{type: a, platforms: {cloudfoundry: {sidecar_for: []}}}]\n",
                vec![process("a", "", &[], 0)],
            ),
            ("processes: [{type: a, platforms: ~, limits: ~}]\n", vec![process("a", "", &[], 0)]),
            ("processes: [{type: a}]\nprocesses: [{type: b}]\n", vec![process("b", "", &[], 0)]),
        ];
        for (text, expected) in rows {
            assert_eq!(&parse(text.as_bytes()).unwrap(), expected, "{text:?}");
        }
    }

    #[test]
    fn memory_is_any_number() {
        let rows = [("1.5", 1), ("1e3", 1000), ("0x10", 16), ("10.0", 10), ("-5", -5), ("~", 0)];
        for (text, memory) in rows {
            let document = format!("processes: [{{limits: {{memory: {text}}}}}]");
            assert_eq!(parse(document.as_bytes()).unwrap()[0].memory, memory, "{text}");
        }
    }

    #[test]
    fn wrong_types_are_errors() {
        let rows = [
            (
                "processes: [{platforms: {cloudfoundry: {sidecar_for: web}}}]",
                "!!str `web` into list",
            ),
            ("processes: [{limits: {memory: '10'}}]", "!!str `10` into int"),
            ("processes: [{limits: {memory: 1M}}]", "!!str `1M` into int"),
            ("processes: [web]", "!!str `web` into map"),
            ("processes: {type: web}", "!!map into list"),
            ("processes: [{command: [a]}]", "!!seq into string"),
            ("- a", "!!seq into map"),
        ];
        for (text, problem) in rows {
            let error = parse(text.as_bytes()).unwrap_err().to_string();
            let expected = format!("yaml: unmarshal errors:\n  line 1: cannot unmarshal {problem}");
            assert_eq!(error, expected, "{text}");
        }
    }

    #[test]
    fn missing_empty_and_broken_files_differ() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("launch.yml");
        assert_eq!(read(dir.path()).unwrap(), None);
        fs::write(&path, "").unwrap();
        assert_eq!(read(dir.path()).unwrap(), Some(vec![]));
        fs::write(&path, "processes: [\n").unwrap();
        let error = read(dir.path()).unwrap_err();
        assert_eq!(chain(&error), "yaml: line 1: did not find expected node content");
        assert_eq!(error.explanation(), ["launch.yml, line 1, column 12: unclosed bracket '['"]);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = read(dir.path()).unwrap_err();
        assert_eq!(chain(&error), format!("read {}: is a directory", path.display()));
    }
}
