//! Whether this kernel runs programs of another architecture, by an emulator it was told of.

use std::fs;
use std::path::{Path, PathBuf};

use lifecycle::architecture::Architecture;

/// Where the kernel lists the emulators it knows.
const KNOWN: &str = "/proc/sys/fs/binfmt_misc";

/// Why another machine's programs can't be run in a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EmulatorError {
    /// There is none.
    #[error(
        "it is for {0}, and this machine has no emulator for that; on Debian, install qemu-user-static and binfmt-support"
    )]
    Missing(Architecture),
    /// There is one that containers don't see.
    #[error(
        "it is for {architecture}, and {} is registered without the flag F, so that containers don't find it", emulator.display()
    )]
    Outside {
        /// Wanted.
        architecture: Architecture,
        /// The emulator.
        emulator: PathBuf,
    },
}

/// The emulator for `architecture`.
pub(crate) fn of(architecture: &Architecture) -> Result<PathBuf, EmulatorError> {
    let entries = fs::read_dir(KNOWN).into_iter().flatten().filter_map(Result::ok);
    let texts = entries.filter_map(|entry| fs::read_to_string(entry.path()).ok());
    find(architecture, texts)
}

fn find(
    architecture: &Architecture,
    entries: impl Iterator<Item = String>,
) -> Result<PathBuf, EmulatorError> {
    let mut outcome = Err(EmulatorError::Missing(architecture.clone()));
    for text in entries {
        let field = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
        let Some(emulator) = field("interpreter ").map(Path::new) else { continue };
        if !text.starts_with("enabled") || !is_for(emulator, architecture) {
            continue;
        }
        if field("flags: ").is_some_and(|flags| flags.contains('F')) {
            return Ok(emulator.to_owned());
        }
        let (architecture, emulator) = (architecture.clone(), emulator.to_owned());
        outcome = Err(EmulatorError::Outside { architecture, emulator });
    }
    outcome
}

/// Whether it is qemu's for that machine: `qemu-arm-static`, `qemu-aarch64`.
fn is_for(emulator: &Path, architecture: &Architecture) -> bool {
    let machine = match architecture.name() {
        "armv7l" | "armv8l" => "arm",
        "i686" => "i386",
        other => other,
    };
    let name = emulator.file_name().unwrap_or_default().to_string_lossy();
    name.strip_prefix("qemu-")
        .is_some_and(|name| name.split_once('-').map_or(name, |(name, _)| name) == machine)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emulators_are_found_by_what_the_kernel_was_told() {
        let text = |state: &str, name: &str, flags: &str| {
            format!("{state}\ninterpreter /usr/bin/{name}\nflags: {flags}\noffset 0\nmagic 7f\n")
        };
        let arm = Architecture::named("armv7l");
        let all = |entries: &[String]| find(&arm, entries.iter().cloned());
        let other = text("enabled", "qemu-aarch64-static", "F");
        let fine = text("enabled", "qemu-arm-static", "OCF");
        assert_eq!(all(&[other.clone(), fine]), Ok("/usr/bin/qemu-arm-static".into()));
        let plain = text("enabled", "qemu-arm", "");
        assert!(matches!(all(&[plain]), Err(EmulatorError::Outside { .. })));
        for entry in [other, text("disabled", "qemu-arm", "F"), "enabled\n".to_owned()] {
            assert_eq!(all(&[entry]), Err(EmulatorError::Missing(arm.clone())));
        }
    }
}
