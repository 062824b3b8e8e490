//! `cell inspect`: what is in a droplet, read without unpacking it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Component, Path, PathBuf};

use flate2::bufread::MultiGzDecoder;
use lifecycle::architecture::Architecture;
use lifecycle::report::say;
use lifecycle::size::Size;
use lifecycle::yaml::{self, Decoder};
use serde::{Serialize, Serializer};
use serde_json::Value;
use tar::{Archive, EntryType};

use crate::command_line::Inspect;
use crate::droplet;
use crate::error::CellError;
use crate::push::Context;

/// How many of the largest files are shown.
const LARGEST: usize = 10;
/// How deep the tree is shown.
const DEPTH: usize = 2;
/// The small files of a droplet that are read are no longer, in bytes.
const LONGEST_TEXT: u64 = 1 << 20;

/// A droplet's content.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(crate) struct Content {
    /// Bytes of the files in it.
    pub(crate) bytes: u64,
    /// Files and links.
    pub(crate) files: u64,
    /// `staging_info.yml`: the buildpack's name and the start command, one line each.
    pub(crate) staging_info: Option<String>,
    /// `staging_report.json`: where it was staged.
    pub(crate) staging_report: Option<Value>,
    /// What the buildpacks call themselves, in their order: `deps/N/config.yml`.
    pub(crate) buildpacks: BTreeMap<u64, String>,
    /// Commands by process type: all of them of an app's droplet, of a file what is started by default.
    pub(crate) process_types: BTreeMap<String, String>,
    /// Machines that programs in it are for, and how many programs.
    pub(crate) architectures: BTreeMap<String, u64>,
    /// Bytes below each directory, up to two levels deep.
    #[serde(serialize_with = "as_texts")]
    pub(crate) directories: BTreeMap<PathBuf, u64>,
    /// The largest files, largest first.
    #[serde(serialize_with = "as_pairs")]
    pub(crate) largest: Vec<(PathBuf, u64)>,
}

/// JSON has texts only: what of a name is none becomes U+FFFD.
fn as_texts<S: Serializer>(sizes: &BTreeMap<PathBuf, u64>, to: S) -> Result<S::Ok, S::Error> {
    to.collect_map(sizes.iter().map(|(path, bytes)| (path.to_string_lossy(), bytes)))
}

fn as_pairs<S: Serializer>(sizes: &[(PathBuf, u64)], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(sizes.iter().map(|(path, bytes)| (path.to_string_lossy(), bytes)))
}

/// Shows a droplet: a file, or that of an app.
pub(crate) fn inspect(flags: &Inspect, here: &Context) -> Result<(), CellError> {
    let mut path = PathBuf::from(&flags.droplet);
    let mut process_types = BTreeMap::new();
    // A directory of that name is the source of an app, most likely of this one.
    if !path.is_file() {
        let directory = droplet::app(&flags.droplet, here)?;
        let app = directory.read()?.ok_or_else(|| CellError::NotStaged(directory.name.clone()))?;
        path = directory.droplet(&app);
        // What the droplet itself does not tell.
        process_types = app.staged_commands;
    }
    let mut content = read(&path)?;
    if process_types.is_empty() {
        process_types =
            content.start_command().map(|it| ("web".to_owned(), it)).into_iter().collect();
    }
    content.process_types = process_types;
    if here.screen.is_json() {
        say(&serde_json::to_string(&content).unwrap_or_default());
    } else {
        show(&path, &content);
    }
    Ok(())
}

/// Reads a droplet's content.
pub(crate) fn read(path: &Path) -> Result<Content, CellError> {
    let content = read_archive(path);
    content.map_err(|source| CellError::Droplet { path: path.to_owned(), source })
}

fn read_archive(path: &Path) -> io::Result<Content> {
    let file = BufReader::with_capacity(128 << 10, File::open(path)?);
    let mut content = Content::default();
    let mut archive = Archive::new(MultiGzDecoder::new(file));
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        let path: PathBuf =
            entry.path()?.components().filter(|part| *part != Component::CurDir).collect();
        let size = if kind == EntryType::Regular { entry.size() } else { 0 };
        content.add(path.clone(), size);
        match path.to_str() {
            Some("staging_info.yml") => content.staging_info = Some(text(&mut entry)?),
            Some("staging_report.json") => {
                content.staging_report = serde_json::from_str(&text(&mut entry)?).ok();
            }
            Some(name) if buildpack_index(name).is_some() => {
                let found = buildpack(text(&mut entry)?.as_bytes());
                content.buildpacks.extend(buildpack_index(name).zip(found));
            }
            _ if kind == EntryType::Regular => content.add_program(&mut entry)?,
            _ => {}
        }
    }
    content.largest.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
    content.largest.truncate(LARGEST);
    Ok(content)
}

fn text(entry: &mut impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    entry.take(LONGEST_TEXT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
}

impl Content {
    /// What staging info says the web process is started by.
    fn start_command(&self) -> Option<String> {
        let info: Value = serde_json::from_str(self.staging_info.as_ref()?).ok()?;
        info["start_command"].as_str().filter(|it| !it.is_empty()).map(str::to_owned)
    }

    fn add(&mut self, path: PathBuf, size: u64) {
        self.files += 1;
        self.bytes += size;
        for directory in path.ancestors().skip(1).filter(|it| it.components().count() <= DEPTH) {
            *self.directories.entry(directory.to_owned()).or_default() += size;
        }
        self.largest.push((path, size));
        // So that a million files take no million names.
        if self.largest.len() > 100 * LARGEST {
            self.largest.sort_by(|a, b| (b.1, &a.0).cmp(&(a.1, &b.0)));
            self.largest.truncate(LARGEST);
        }
    }

    fn add_program(&mut self, entry: &mut impl Read) -> io::Result<()> {
        let mut header = [0; 20];
        match entry.read_exact(&mut header) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            read => read?,
        }
        if let Some(architecture) = Architecture::of_header(&header) {
            *self.architectures.entry(architecture.name().to_owned()).or_default() += 1;
        }
        Ok(())
    }
}

/// The N of `deps/N/config.yml`.
fn buildpack_index(name: &str) -> Option<u64> {
    name.strip_prefix("deps/")?.strip_suffix("/config.yml")?.parse().ok()
}

/// Name and version in a buildpack's `config.yml`.
fn buildpack(config: &[u8]) -> Option<String> {
    let document = yaml::parse(config).ok()??;
    let mut decoder = Decoder::default();
    let fields: BTreeMap<_, _> = decoder.entries(&document)?.into_iter().collect();
    // As it is written: 1.10 is no number here.
    let mut text = |key| fields.get(key).and_then(|node| decoder.text(node));
    let name = text("name")?;
    Some(text("version").map_or_else(|| name.clone(), |version| format!("{name} {version}")))
}

fn show(path: &Path, content: &Content) {
    let packed = fs::metadata(path).map_or(0, |it| it.len());
    let (files, bytes) = (content.files, Size(content.bytes));
    say(&format!("{}: {}, {bytes} in {files} files", path.display(), Size(packed)));
    let origin = content.staging_report.as_ref();
    let of_origin = |key: &str| origin.and_then(|it| it[key].as_str()).unwrap_or("unknown");
    say(&format!("Stack: {}, {}", of_origin("stack"), of_origin("architecture")));
    for (index, buildpack) in &content.buildpacks {
        say(&format!("Buildpack {index}: {buildpack}"));
    }
    for (kind, command) in &content.process_types {
        say(&format!("Process {kind}: {command}"));
    }
    for (architecture, programs) in &content.architectures {
        say(&format!("Programs for {architecture}: {programs}"));
    }
    say("Directories:");
    for (directory, bytes) in &content.directories {
        let depth = directory.components().count();
        let name = directory.file_name().map_or_else(|| ".".into(), |name| name.to_string_lossy());
        say(&format!("{:>8}  {}{name}/", Size(*bytes).to_string(), "  ".repeat(depth)));
    }
    say("Largest files:");
    for (path, bytes) in &content.largest {
        say(&format!("{:>8}  {}", Size(*bytes).to_string(), path.display()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;

    /// An empty line was printed.
    #[test]
    fn names_that_are_no_texts_are_shown_to_programs_too() {
        let mut content = Content::default();
        content.add(Path::new(OsStr::from_bytes(b"app/\xFF/x")).to_owned(), 1);
        let shown = serde_json::to_value(&content).unwrap();
        assert_eq!(shown["largest"], json!([["app/\u{FFFD}/x", 1]]));
        assert_eq!(shown["directories"], json!({"": 1, "app": 1, "app/\u{FFFD}": 1}));
    }

    #[test]
    fn a_buildpacks_version_is_shown_as_it_is_written() {
        for (config, shown) in [
            ("name: ruby\nversion: 1.10\n", Some("ruby 1.10")),
            ("{name: go, version: \"1.2.3\", config: {}}", Some("go 1.2.3")),
            ("name: static\n", Some("static")),
            ("version: 1\n", None),
            ("[", None),
        ] {
            assert_eq!(buildpack(config.as_bytes()).as_deref(), shown, "{config}");
        }
    }
}
