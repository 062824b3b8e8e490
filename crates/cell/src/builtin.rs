//! The buildpacks of `buildpacks-fixtures` that really work, which are in this program and laid out in its state when
//! they are used, and the stack `host` as it is without a `stacks.yml`: this machine's own files, with all of them.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use lifecycle::architecture::Architecture;
use lifecycle::file::{self, FileError};
use twox_hash::XxHash64;

use crate::stacks::{Buildpack, HOST, Stack};
use crate::state::{State, StateError};

/// The files of a buildpack: below its directory, and what is in them.
type Files = &'static [(&'static str, &'static [u8])];

macro_rules! files {
    ($name:literal: $($file:literal)*) => {
        ($name, &[$((
            $file,
            include_bytes!(concat!("../../../buildpacks-fixtures/", $name, "/", $file)),
        )),*])
    };
}

/// In the order they are asked in: `procfile` takes what has a Procfile and no other language, and a language's
/// buildpack respects a Procfile, too.
const BUILDPACKS: [(&str, Files); 4] = [
    files!("python": "bin/detect" "bin/supply" "bin/finalize" "bin/release"),
    files!("node": "bin/detect" "bin/supply" "bin/finalize" "bin/release"),
    files!("procfile": "bin/detect" "bin/supply" "bin/finalize" "bin/release"),
    files!("static": "bin/detect" "bin/supply" "bin/finalize" "bin/release" "lib/serve-static"),
];

/// The stack `host`.
pub(crate) fn stack(state: &State) -> Result<Stack, StateError> {
    Ok(Stack {
        name: HOST.to_owned(),
        description: "this machine's own files".to_owned(),
        rootfs: None,
        architecture: Architecture::own(),
        buildpacks: buildpacks(state)?,
    })
}

/// Gives a stack those of its buildpacks that are in this program, where its file does not say where they are and they
/// are not beside it.
pub(crate) fn complete(stack: &mut Stack, state: &State) -> Result<(), StateError> {
    let is_missing = |it: &&mut Buildpack| !it.is_given && !it.location.exists();
    let missing: Vec<_> = stack.buildpacks.iter_mut().filter(is_missing).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let own = buildpacks(state)?;
    for buildpack in missing {
        if let Some(own) = own.iter().find(|it| it.short_name == buildpack.short_name) {
            *buildpack = own.clone();
        }
    }
    Ok(())
}

/// Lays them out. Another release of this program has a directory of its own for its buildpacks.
fn buildpacks(state: &State) -> Result<Vec<Buildpack>, StateError> {
    let directory = state.place("buildpacks").join(format!("{:016x}", digest()));
    let mut buildpacks = Vec::new();
    for (name, files) in BUILDPACKS {
        let location = directory.join(name);
        for (file, bytes) in files {
            let path = location.join(file);
            lay_out(&path, bytes).map_err(FileError::on("write", path))?;
        }
        buildpacks.push(Buildpack {
            short_name: name.to_owned(),
            name: format!("{name}_buildpack"),
            location,
            is_given: true,
        });
    }
    Ok(buildpacks)
}

fn digest() -> u64 {
    let bytes: Vec<u8> = BUILDPACKS
        .iter()
        .flat_map(|(name, files)| files.iter().map(move |(file, bytes)| (name, file, bytes)))
        .flat_map(|(name, file, bytes)| [name.as_bytes(), b"/", file.as_bytes(), b"\0", bytes])
        .flatten()
        .copied()
        .collect();
    XxHash64::oneshot(0, &bytes)
}

/// Makes the file, whole or not at all, unless it is there. Two cells may do so at once. Whatever user a container has
/// reads it: the state around it is private.
fn lay_out(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    let directory = path.parent().map_or_else(PathBuf::new, Path::to_owned);
    DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
    let (target, partial) = file::neighbour(path);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&partial)?;
    let written = file.write_all(bytes).and_then(|()| fs::rename(&partial, target));
    if written.is_err() {
        let _gone_anyway = fs::remove_file(&partial);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use walkdir::WalkDir;

    #[test]
    fn the_buildpacks_in_the_program_are_those_of_the_repository() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::at(directory.path().join("state")).unwrap();
        let names: Vec<_> =
            stack(&state).unwrap().buildpacks.into_iter().map(|it| it.short_name).collect();
        assert_eq!(names, ["python", "node", "procfile", "static"]);
        // A file that was cut short is made good.
        let stack = stack(&state).unwrap();
        fs::write(stack.buildpacks[0].location.join("bin/detect"), "").unwrap();
        let stack = super::stack(&state).unwrap();
        let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../buildpacks-fixtures");
        for buildpack in &stack.buildpacks {
            let original = fixtures.join(&buildpack.short_name);
            let files = |root: &Path| -> Vec<PathBuf> {
                WalkDir::new(root)
                    .sort_by_file_name()
                    .into_iter()
                    .map(|entry| entry.unwrap().path().strip_prefix(root).unwrap().to_owned())
                    .collect()
            };
            assert_eq!(files(&buildpack.location), files(&original));
            for file in files(&original).iter().filter(|file| original.join(file).is_file()) {
                let laid_out = buildpack.location.join(file);
                assert_eq!(fs::read(&laid_out).unwrap(), fs::read(original.join(file)).unwrap());
                let mode = fs::metadata(laid_out).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o755);
            }
        }
    }
}
