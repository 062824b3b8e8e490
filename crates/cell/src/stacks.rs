//! `stacks.yml`: what a stack is on this machine: a root file system, an architecture, and buildpacks in order.
//!
//! The schema is kubecf's, with `rootfs` and `architecture` beside it. Lists of buildpacks hold short names
//! (`ruby`); `releases` tells where each is found.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lifecycle::architecture::Architecture;
use lifecycle::yaml::{self, Decoder, Node, YamlError};
use serde_json::Value;

use crate::fields::{Document, FieldError, Fields};
use crate::state::{NAMES, is_name};

/// The stack that is always there: the machine's own files.
pub(crate) const HOST: &str = "host";

/// The entry of `releases` that fills in what others leave open.
const DEFAULTS: &str = "$defaults";
/// What kubecf knows of a release beside: passed over, and said.
const ELSEWHERE: [&str; 6] = ["condition", "file", "sha1", "stemcell", "url", "version"];

/// Why a `stacks.yml` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StacksError {
    /// It is not YAML.
    #[error(transparent)]
    Yaml(#[from] YamlError),
    /// A value does not fit.
    #[error(transparent)]
    Field(#[from] FieldError),
}

/// A stack.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stack {
    /// Its name: `cflinuxfs4`.
    pub(crate) name: String,
    /// For people.
    pub(crate) description: String,
    /// A directory or a tar archive (gzip or plain); `None` is the machine's own files.
    pub(crate) rootfs: Option<PathBuf>,
    /// What machine its programs are for.
    pub(crate) architecture: Architecture,
    /// Its buildpacks, in the order they are asked in.
    pub(crate) buildpacks: Vec<Buildpack>,
}

/// A buildpack of a stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Buildpack {
    /// `ruby`.
    pub(crate) short_name: String,
    /// What an app's manifest calls it: `ruby_buildpack`.
    pub(crate) name: String,
    /// Where it is: a zip, a directory that holds exactly one, or an unpacked buildpack.
    pub(crate) location: PathBuf,
    /// Whether `releases` says so, for it or for all.
    pub(crate) is_given: bool,
}

/// `stacks`, and what was passed over in the file.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Stacks {
    /// In the file's order of names.
    pub(crate) stacks: Vec<Stack>,
    /// One sentence for each key without effect.
    pub(crate) warnings: Vec<String>,
}

/// Reads a `stacks.yml` that stands in `directory`, to which its paths are relative.
pub(crate) fn read(text: &[u8], directory: &Path) -> Result<Stacks, StacksError> {
    let Some(document) = yaml::parse(text)? else { return Ok(Stacks::default()) };
    let mut decoder = Decoder::default();
    let value = decoder.json(&document).unwrap_or_default();
    decoder.finish()?;
    let mut read = Stacks::default();
    let mut top = Fields::new(Document { name: "stacks.yml", ..Document::default() }, value)?;
    let entries = top.take::<serde_json::Map<String, Value>>("stacks")?.unwrap_or_default();
    for (name, entry) in entries {
        if !is_name(&name) {
            let problem = format!("{name:?} can't be a stack's name: {NAMES}");
            return Err(top.misfit("stacks", &problem).into());
        }
        let mut fields = top.within(&format!("stacks.{name}"), entry)?;
        read.stacks.push(stack(name, &mut fields, directory, &mut read.warnings)?);
        read.warnings.extend(fields.warnings(&[]));
    }
    read.warnings.extend(top.warnings(&[]));
    let order = names(&document);
    read.stacks.sort_by_key(|stack| order.iter().position(|name| *name == stack.name));
    Ok(read)
}

/// The names of the stacks as they stand in the file, for as a value they are sorted.
fn names(document: &Node) -> Vec<String> {
    let mut decoder = Decoder::default();
    let top = decoder.entries(document).unwrap_or_default();
    let stacks = top.into_iter().rfind(|(name, _)| name == "stacks");
    let entries = stacks.and_then(|(_, node)| decoder.entries(node)).unwrap_or_default();
    entries.into_iter().map(|(name, _)| name).collect()
}

fn stack(
    name: String,
    fields: &mut Fields,
    directory: &Path,
    warnings: &mut Vec<String>,
) -> Result<Stack, FieldError> {
    let architecture = fields.text("architecture")?;
    let rootfs = fields.text("rootfs")?.map(PathBuf::from);
    let releases = Releases::take(fields, &name, directory, warnings)?;
    let mut order: Vec<String> = Vec::new();
    for list in ["install_buildpacks_prepend", "install_buildpacks", "install_buildpacks_append"] {
        for short_name in fields.texts(list)?.unwrap_or_default() {
            if !order.contains(&short_name) {
                order.push(short_name);
            }
        }
    }
    let of_none = releases.of_none(&order).map(|it| {
        let place = fields.below(&format!("releases.{it}"));
        format!("stacks.yml: {place} is of no buildpack of the stack; it is passed over")
    });
    warnings.extend(of_none);
    Ok(Stack {
        description: fields.text("description")?.unwrap_or_default(),
        rootfs: rootfs.filter(|path| path.as_os_str() != HOST).map(|path| directory.join(path)),
        architecture: architecture
            .map_or_else(Architecture::own, |name| Architecture::named(&name)),
        buildpacks: order.iter().map(|short_name| releases.buildpack(short_name)).collect(),
        name,
    })
}

/// Where a stack's buildpacks are.
struct Releases<'a> {
    stack: String,
    directory: &'a Path,
    /// `suse-`; before the short name in a release's name.
    prefix: String,
    /// `-buildpack` unless the file says otherwise; behind it.
    suffix: String,
    /// `releases.*.directory`: by short name or the release's; [`DEFAULTS`] for the rest.
    locations: BTreeMap<String, Option<PathBuf>>,
}

impl<'a> Releases<'a> {
    fn take(
        fields: &mut Fields,
        stack: &str,
        directory: &'a Path,
        warnings: &mut Vec<String>,
    ) -> Result<Self, FieldError> {
        let mut locations = BTreeMap::new();
        let entries =
            fields.take::<serde_json::Map<String, Value>>("releases")?.unwrap_or_default();
        for (name, entry) in entries {
            let mut release = fields.within(&format!("releases.{name}"), entry)?;
            locations.insert(name, release.text("directory")?.map(PathBuf::from));
            warnings.extend(release.warnings(&ELSEWHERE));
        }
        Ok(Self {
            stack: stack.to_owned(),
            directory,
            prefix: fields.text("release_prefix")?.unwrap_or_default(),
            suffix: fields.text("release_suffix")?.unwrap_or_else(|| "-buildpack".to_owned()),
            locations,
        })
    }

    fn location(&self, release: &str) -> Option<PathBuf> {
        self.locations.get(release).cloned().flatten()
    }

    /// What a buildpack's release may be called.
    fn names(&self, short_name: &str) -> [String; 2] {
        [short_name.to_owned(), format!("{}{short_name}{}", self.prefix, self.suffix)]
    }

    /// Those of which no buildpack is in `order`.
    fn of_none(&self, order: &[String]) -> impl Iterator<Item = &String> {
        let is_of_one = |name: &String| order.iter().any(|it| self.names(it).contains(name));
        self.locations.keys().filter(move |name| *name != DEFAULTS && !is_of_one(name))
    }

    /// A release of its own location, or `SHORTNAME-buildpack-STACK` in the default directory.
    fn buildpack(&self, short_name: &str) -> Buildpack {
        let own = self.names(short_name).iter().find_map(|name| self.location(name));
        let defaults = self.location(DEFAULTS);
        let is_given = own.is_some() || defaults.is_some();
        let location = own.unwrap_or_else(|| {
            defaults.unwrap_or_default().join(format!("{short_name}-buildpack-{}", self.stack))
        });
        Buildpack {
            short_name: short_name.to_owned(),
            name: format!("{}_buildpack", short_name.replace('-', "_")),
            location: self.directory.join(location),
            is_given,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stacks_are_read_as_kubecf_writes_them() {
        let text = "stacks:
  sle15:
    description: SUSE Linux Enterprise 15
    rootfs: roots/sle15.tar.gz
    architecture: aarch64
    install_buildpacks: [ruby, static-file]
    install_buildpacks_prepend: [java, ruby]
    install_buildpacks_append: [binary]
    release_prefix: suse-
    releases:
      $defaults: {directory: releases}
      java: {directory: /opt/java}
      suse-binary-buildpack: {directory: binary, version: 1.0}
      rubi: {directroy: ruby}
  host:
    rootfs: host
    colour: red
";
        let read = read(text.as_bytes(), Path::new("/etc/cell")).unwrap();
        assert_eq!(
            read.warnings,
            [
                "stacks.yml: stacks.host.colour is not known; it is passed over",
                // Nothing below `releases` was told.
                "stacks.yml: stacks.sle15.releases.rubi.directroy is not known; it is passed over",
                "stacks.yml: stacks.sle15.releases.suse-binary-buildpack.version has no effect on one machine",
                "stacks.yml: stacks.sle15.releases.rubi is of no buildpack of the stack; it is passed over",
            ]
        );
        // They were sorted by name, and the first of them is the one that apps get.
        let [sle15, host] = read.stacks.as_slice() else { panic!("{:?}", read.stacks) };
        assert_eq!((host.name.as_str(), &host.rootfs, host.buildpacks.len()), ("host", &None, 0));
        assert_eq!(host.architecture, Architecture::own());
        assert_eq!(sle15.rootfs, Some("/etc/cell/roots/sle15.tar.gz".into()));
        assert_eq!(sle15.architecture, Architecture::named("aarch64"));
        let found: Vec<_> = sle15
            .buildpacks
            .iter()
            .map(|it| (it.name.as_str(), it.location.to_str().unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                ("java_buildpack", "/opt/java"),
                // The prefix stood in the directory's name, too.
                ("ruby_buildpack", "/etc/cell/releases/ruby-buildpack-sle15"),
                ("static_file_buildpack", "/etc/cell/releases/static-file-buildpack-sle15"),
                ("binary_buildpack", "/etc/cell/binary"),
            ]
        );
    }

    #[test]
    fn values_that_do_not_fit_are_named_with_their_place() {
        let error = read(b"stacks: {a: {install_buildpacks: ruby}}", Path::new("/")).unwrap_err();
        assert!(
            error.to_string().starts_with("stacks.a.install_buildpacks: invalid type: string"),
            "{error}"
        );
        // A file of its cache could not be written.
        let error = read(b"stacks: {a/b: {}}", Path::new("/")).unwrap_err().to_string();
        assert!(
            error.starts_with("stacks: \"a/b\" can't be a stack's name: use letters"),
            "{error}"
        );
    }
}
