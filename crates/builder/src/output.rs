//! The files staging hands out: written beside their destination, and moved there when whole.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use lifecycle::file::{self, FileError};
use nix::errno::Errno;

use crate::cleanup::{Cleanup, Guard};

/// A file that is being written.
#[derive(Debug)]
pub(crate) struct OutputFile {
    /// To be written to.
    pub(crate) file: File,
    destination: PathBuf,
    /// `None` where the destination is a device or a pipe, which is written to as it is.
    partial: Option<Guard>,
}

impl OutputFile {
    /// Opens a file that will be `destination`. Symbolic links are followed, as by `open(2)`.
    pub(crate) fn create(destination: &Path, cleanup: &Cleanup) -> Result<Self, FileError> {
        Self::try_create(destination, cleanup).map_err(FileError::on("open", destination))
    }

    fn try_create(destination: &Path, cleanup: &Cleanup) -> io::Result<Self> {
        let kind = fs::metadata(destination).map(|metadata| metadata.file_type());
        if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            return Err(Errno::EISDIR.into());
        }
        if kind.as_ref().is_ok_and(|kind| !kind.is_file()) {
            let file = OpenOptions::new().write(true).open(destination)?;
            return Ok(Self { file, destination: destination.to_owned(), partial: None });
        }
        let (destination, partial) = file::neighbour(destination);
        let (partial, file) =
            cleanup.make(|| File::create(&partial).map(|file| (partial, file)))?;
        Ok(Self { file, destination, partial: Some(partial) })
    }

    /// Moves all files to their destinations, all or none; then staging has succeeded.
    pub(crate) fn publish(outputs: &[&Self], cleanup: &Cleanup) -> Result<(), FileError> {
        let moves: Vec<(&Guard, &Path)> = outputs
            .iter()
            .filter_map(|output| Some((output.partial.as_ref()?, output.destination.as_path())))
            .collect();
        cleanup.publish(&moves).map_err(|(path, cause)| FileError::on("rename", path)(cause))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_is_seen_before_the_file_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let destination = dir.path().join("droplet");
        let cleanup = Cleanup::default();
        let mut output = OutputFile::create(&destination, &cleanup).unwrap();
        output.file.write_all(b"whole").unwrap();
        assert!(!destination.exists());
        OutputFile::publish(&[&output], &cleanup).unwrap();
        drop(output);
        assert_eq!(fs::read(&destination).unwrap(), b"whole");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn an_unfinished_file_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let destination = dir.path().join("droplet");
        fs::write(&destination, "old").unwrap();
        drop(OutputFile::create(&destination, &Cleanup::default()).unwrap());
        assert_eq!(fs::read(&destination).unwrap(), b"old");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn links_are_followed_and_devices_written_to() {
        let dir = tempfile::tempdir().unwrap();
        let (link, file) = (dir.path().join("link"), dir.path().join("file"));
        fs::write(&file, "old").unwrap();
        symlink(&file, &link).unwrap();
        let cleanup = Cleanup::default();
        let output = OutputFile::create(&link, &cleanup).unwrap();
        OutputFile::publish(&[&output], &cleanup).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&file).unwrap(), b"");

        let null = OutputFile::create(Path::new("/dev/null"), &cleanup).unwrap();
        assert!(null.partial.is_none());
    }

    #[test]
    fn a_directory_is_no_place_for_a_file() {
        let dir = tempfile::tempdir().unwrap();
        let error = OutputFile::create(dir.path(), &Cleanup::default()).unwrap_err();
        assert_eq!(error.to_string(), format!("open {}: is a directory", dir.path().display()));
    }
}
