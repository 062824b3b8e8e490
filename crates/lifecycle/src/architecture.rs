//! Machine architectures: the one this program was built for, and the one an ELF file wants.
//!
//! Neither the Cloud Controller nor Diego knows about architectures (platform contract, section 12),
//! so a mix-up shows only as `exec format error`; with this the programs can say it in words.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::libc;

/// A machine architecture; its text is what `uname -m` prints on one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Architecture(String);

impl Architecture {
    /// The architecture this program was built for. Not the kernel's: a 32-bit root on a 64-bit
    /// kernel runs 32-bit programs.
    pub fn own() -> Self {
        Self(
            match std::env::consts::ARCH {
                "arm" => "armv7l",
                "x86" => "i686",
                other => other,
            }
            .to_owned(),
        )
    }

    /// The architecture called `name` by `uname -m`.
    pub fn named(name: &str) -> Self {
        Self(name.to_owned())
    }

    /// The name as `uname -m` prints it: `x86_64`, `aarch64`, `armv7l`.
    pub fn name(&self) -> &str {
        &self.0
    }

    /// The architecture of the ELF file at `path`; `None` when it is no ELF file.
    pub fn of_file(path: &Path) -> io::Result<Option<Self>> {
        // e_machine ends at byte 20.
        let mut header = [0; 20];
        // Without waiting: the name may be a pipe's.
        let mut file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
        match file.read_exact(&mut header) {
            Ok(()) => Ok(Self::of_header(&header)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether a machine of this architecture runs programs for `other`, without an emulator.
    pub fn runs(&self, other: &Self) -> bool {
        self == other
            || matches!(
                (self.name(), other.name()),
                ("x86_64", "i686") | ("aarch64" | "armv8l", "armv7l") | ("armv7l", "armv8l")
            )
    }

    /// The architecture of an ELF file that begins with these bytes.
    pub fn of_header(header: &[u8; 20]) -> Option<Self> {
        if !header.starts_with(b"\x7fELF") {
            return None;
        }
        // e_ident[5]: 2 is big-endian.
        let machine = match header[5] {
            2 => u16::from_be_bytes([header[18], header[19]]),
            _ => u16::from_le_bytes([header[18], header[19]]),
        };
        let name = match machine {
            3 => "i686",
            8 => "mips",
            20 => "ppc",
            21 => "ppc64le",
            22 => "s390x",
            40 => "armv7l",
            62 => "x86_64",
            183 => "aarch64",
            243 => "riscv64",
            258 => "loongarch64",
            other => return Some(Self(format!("ELF machine {other}"))),
        };
        Some(Self::named(name))
    }
}

impl std::fmt::Display for Architecture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The name people use; `uname -m`'s underscore is for scripts.
        f.write_str(if self.0 == "x86_64" { "x86-64" } else { &self.0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(endian: u8, machine: [u8; 2]) -> [u8; 20] {
        let mut header = [0; 20];
        header[..4].copy_from_slice(b"\x7fELF");
        header[5] = endian;
        header[18..].copy_from_slice(&machine);
        header
    }

    #[test]
    fn machines_are_read_from_elf_headers() {
        for (endian, machine, name) in [
            (1, [62, 0], "x86_64"),
            (1, [183, 0], "aarch64"),
            (1, [40, 0], "armv7l"),
            (2, [0, 22], "s390x"),
            (1, [0xff, 0], "ELF machine 255"),
        ] {
            let architecture = Architecture::of_header(&header(endian, machine));
            assert_eq!(architecture, Some(Architecture::named(name)));
        }
    }

    #[test]
    fn scripts_and_short_files_are_no_elf_files() {
        let dir = tempfile::tempdir().unwrap();
        for text in ["", "#!/bin/sh\n", "#!/bin/sh\necho much longer than a header\n"] {
            let path = dir.path().join("script");
            std::fs::write(&path, text).unwrap();
            assert_eq!(Architecture::of_file(&path).unwrap(), None);
        }
    }

    #[test]
    fn the_test_itself_is_for_this_machine() {
        let own = std::env::current_exe().unwrap();
        assert_eq!(Architecture::of_file(&own).unwrap(), Some(Architecture::own()));
    }

    #[test]
    fn wider_machines_run_narrower_programs() {
        let named = Architecture::named;
        assert!(named("x86_64").runs(&named("i686")));
        assert!(named("aarch64").runs(&named("armv7l")));
        assert!(!named("armv7l").runs(&named("aarch64")));
        assert!(!named("aarch64").runs(&named("x86_64")));
    }
}
