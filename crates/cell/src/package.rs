//! The app bits: what of an app's directory or archive is staged, `.cfignore` respected, and their copy into a container.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use lifecycle::archive::unpack::{UnpackError, unpack};
use lifecycle::file::{self, FileError};
use nix::errno::Errno;
use walkdir::{DirEntry, WalkDir};

/// What `cf push` never uploads, in `.cfignore`'s notation.
const NEVER: [&str; 9] = [
    ".cfignore",
    "_darcs",
    ".DS_Store",
    ".git",
    ".gitignore",
    ".hg",
    "/manifest.yml",
    ".svn",
    "/.cell",
];

/// Why app bits can't be had.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// `.cfignore` has a pattern that is none.
    #[error("{} has a pattern that is none", path.display())]
    Pattern {
        /// The `.cfignore`.
        path: PathBuf,
        /// The pattern and what is wrong with it.
        source: ignore::Error,
    },
    /// A file can't be read, or its copy not written.
    #[error(transparent)]
    File(#[from] FileError),
    /// An archive can't be unpacked.
    #[error("{}: the app's archive cannot be unpacked", path.display())]
    Archive {
        /// Which.
        path: PathBuf,
        /// Why.
        source: UnpackError,
    },
    /// Nothing is left to stage.
    #[error("{}: there is nothing to stage; give the app's directory or archive, or see what its .cfignore leaves", .0.display())]
    Empty(PathBuf),
}

/// An app's directory, or an archive of it, as it is staged.
#[derive(Debug)]
pub(crate) struct Package {
    root: PathBuf,
    ignored: Gitignore,
    /// What this machine keeps, where that is below the app: its copy would hold the copy.
    state: Option<PathBuf>,
}

/// What was copied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    /// Regular files and symbolic links.
    pub(crate) files: u64,
    /// Their content.
    pub(crate) bytes: u64,
}

impl Package {
    /// The app in `root`, a directory or an archive, without `state` if that is in it.
    pub(crate) fn new(root: &Path, state: &Path) -> Result<Self, PackageError> {
        let mut builder = GitignoreBuilder::new(root);
        let path = root.join(".cfignore");
        for pattern in NEVER {
            builder
                .add_line(None, pattern)
                .map_err(|source| PackageError::Pattern { path: path.clone(), source })?;
        }
        if path.exists()
            && let Some(source) = builder.add(&path)
        {
            return Err(PackageError::Pattern { path, source });
        }
        let ignored = builder.build().map_err(|source| PackageError::Pattern { path, source })?;
        let whole = |path: &Path| fs::canonicalize(path).ok();
        let state = whole(state)
            .zip(whole(root))
            .and_then(|(state, whole_root)| Some(root.join(state.strip_prefix(whole_root).ok()?)));
        Ok(Self { root: root.to_owned(), ignored, state })
    }

    /// Copies the app into the directory `destination`, which is there: files with their modes, links as links.
    /// Sockets, pipes and devices are passed over.
    pub(crate) fn copy(&self, destination: &Path) -> Result<Copied, PackageError> {
        let copied = if self.root.is_file() {
            unpack(&self.root, destination)
                .map_err(|source| PackageError::Archive { path: self.root.clone(), source })?;
            Self::new(destination, Path::new(""))?.prune()?
        } else {
            self.copy_tree(destination)?
        };
        if copied.files == 0 { Err(PackageError::Empty(self.root.clone())) } else { Ok(copied) }
    }

    fn copy_tree(&self, destination: &Path) -> Result<Copied, FileError> {
        let mut copied = Copied::default();
        let wanted = |entry: &DirEntry| !self.is_ignored(entry);
        let tree = WalkDir::new(&self.root).min_depth(1).sort_by_file_name();
        for entry in tree.into_iter().filter_entry(wanted) {
            let entry = entry.map_err(|error| unread(error, &self.root))?;
            let Ok(relative) = entry.path().strip_prefix(&self.root) else { continue };
            copy_entry(&entry, &destination.join(relative), &mut copied)?;
        }
        Ok(copied)
    }

    /// Removes what is to be left out of the app, which is a copy already; what is left.
    fn prune(&self) -> Result<Copied, FileError> {
        let mut left = Copied::default();
        let mut entries = WalkDir::new(&self.root).min_depth(1).into_iter();
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|error| unread(error, &self.root))?;
            let (path, is_directory) = (entry.path(), entry.file_type().is_dir());
            if !self.is_ignored(&entry) {
                left.files += u64::from(!is_directory);
                if entry.file_type().is_file() {
                    left.bytes += entry.metadata().map_or(0, |found| found.len());
                }
                continue;
            }
            make_parent_writable(path)?;
            if is_directory {
                file::remove_tree(path).map_err(FileError::on("remove", path))?;
                entries.skip_current_dir();
            } else {
                fs::remove_file(path).map_err(FileError::on("remove", path))?;
            }
        }
        Ok(left)
    }

    fn is_ignored(&self, entry: &DirEntry) -> bool {
        let is_state = || self.state.as_deref() == Some(entry.path());
        entry.depth() > 0
            && (is_state()
                || self.ignored.matched(entry.path(), entry.file_type().is_dir()).is_ignore())
    }
}

/// What could not be read in the tree `root`, in which no link is followed.
pub(crate) fn unread(error: walkdir::Error, root: &Path) -> FileError {
    let path = error.path().unwrap_or(root).to_owned();
    FileError::on("read", path)(error.into_io_error().unwrap_or_else(|| Errno::ELOOP.into()))
}

/// A read-only directory of an archive keeps what is in it, from all users but root.
fn make_parent_writable(path: &Path) -> Result<(), FileError> {
    let Some(parent) = path.parent() else { return Ok(()) };
    let mode = fs::metadata(parent).map_err(FileError::on("stat", parent))?.permissions().mode();
    if mode & 0o200 == 0 {
        fs::set_permissions(parent, Permissions::from_mode(mode & 0o7777 | 0o200))
            .map_err(FileError::on("chmod", parent))?;
    }
    Ok(())
}

fn copy_entry(entry: &DirEntry, target: &Path, copied: &mut Copied) -> Result<(), FileError> {
    let path = entry.path();
    let kind = entry.file_type();
    if kind.is_dir() {
        fs::create_dir_all(target).map_err(FileError::on("mkdir", target))?;
        // Written into below, whatever its mode is to be.
        let mode = entry.metadata().map_or(0o755, |it| it.permissions().mode()) & 0o777 | 0o700;
        fs::set_permissions(target, Permissions::from_mode(mode))
            .map_err(FileError::on("chmod", target))?;
    } else if kind.is_symlink() {
        let to = fs::read_link(path).map_err(FileError::on("readlink", path))?;
        symlink(to, target).map_err(FileError::on("symlink", target))?;
        copied.files += 1;
    } else if kind.is_file() {
        copied.bytes += fs::copy(path, target).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull => FileError::on("write", target)(error),
            _ => FileError::on("copy", path)(error),
        })?;
        copied.files += 1;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn app(files: &[(&str, &str)]) -> TempDir {
        let directory = TempDir::new().unwrap();
        for (name, content) in files {
            let path = directory.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        directory
    }

    fn copied_names(app: &Path) -> Vec<String> {
        let target = TempDir::new().unwrap();
        Package::new(app, Path::new("/nowhere")).unwrap().copy(target.path()).unwrap();
        let entries = WalkDir::new(target.path()).min_depth(1).sort_by_file_name();
        let name = |entry: DirEntry| {
            entry.path().strip_prefix(target.path()).unwrap().display().to_string()
        };
        entries.into_iter().map(|entry| name(entry.unwrap())).collect()
    }

    #[test]
    fn cfignore_says_what_is_left_out() {
        let app = app(&[
            (".cfignore", "*.log\n/top\n!keep.log\nnode_modules/\n"),
            (".git/HEAD", ""),
            ("manifest.yml", ""),
            ("sub/manifest.yml", ""),
            ("a.log", ""),
            ("keep.log", ""),
            ("top", ""),
            ("sub/top", ""),
            ("node_modules/x/y", ""),
            ("index.html", "hello"),
        ]);
        assert_eq!(
            copied_names(app.path()),
            ["index.html", "keep.log", "sub", "sub/manifest.yml", "sub/top"]
        );
    }

    /// What cell keeps was copied into itself until names became too long.
    #[test]
    fn what_cell_keeps_is_no_part_of_the_app() {
        let app = app(&[("index.html", "hello"), ("var/state/apps/x", ""), ("var/page", "")]);
        let state = app.path().join("var/state");
        let target = state.join("copy");
        fs::create_dir(&target).unwrap();
        let copied = Package::new(app.path(), &state).unwrap().copy(&target).unwrap();
        assert_eq!(copied.files, 2);
        assert!(target.join("var/page").exists() && !target.join("var/state").exists());
    }

    #[test]
    fn modes_links_and_empty_directories_are_kept_and_pipes_passed_over() {
        let app = app(&[("bin/run", "#!/bin/sh\n")]);
        let root = app.path();
        fs::set_permissions(root.join("bin/run"), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(root.join("empty")).unwrap();
        symlink("missing", root.join("link")).unwrap();
        nix::unistd::mkfifo(&root.join("pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let target = TempDir::new().unwrap();
        let copied =
            Package::new(root, Path::new("/nowhere")).unwrap().copy(target.path()).unwrap();
        assert_eq!(copied, Copied { files: 2, bytes: 10 });
        let mode = fs::metadata(target.path().join("bin/run")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
        assert_eq!(fs::read_link(target.path().join("link")).unwrap(), Path::new("missing"));
        assert!(target.path().join("empty").is_dir());
        assert!(!target.path().join("pipe").exists());
    }

    /// What a tar archive of `files` leaves in the app's directory.
    fn unpacked(files: &[(&str, &str)]) -> (TempDir, Result<Copied, PackageError>) {
        unpacked_with("--mode=+", files)
    }

    /// The same with modes.
    fn unpacked_with(
        mode: &str,
        files: &[(&str, &str)],
    ) -> (TempDir, Result<Copied, PackageError>) {
        let (packed, place) = (app(files), TempDir::new().unwrap());
        let archive = place.path().join("shop.tgz");
        let mut tar = std::process::Command::new("tar");
        tar.arg(mode).arg("-C").arg(packed.path()).arg("-czf").arg(&archive).arg(".");
        assert!(tar.status().unwrap().success());
        let package = Package::new(&archive, Path::new("/nowhere")).unwrap();
        let copied = package.copy(&place.path().join("app"));
        (place, copied)
    }

    /// `path: shop.jar` was no directory, and then all of it was staged, though the CLI looks into its `.cfignore`.
    #[test]
    fn an_archive_is_an_app_of_which_its_cfignore_says_what_is_left_out() {
        let (place, copied) = unpacked(&[
            (".cfignore", "*.log\n/sub/\n"),
            (".git/HEAD", ""),
            ("a.log", ""),
            ("bin/run", "#!/bin/sh\n"),
            ("bin/sub/x", "x"),
            ("manifest.yml", ""),
            ("sub/deep/x", "x"),
        ]);
        assert_eq!(copied.unwrap(), Copied { files: 2, bytes: 11 });
        let app = place.path().join("app");
        assert_eq!(copied_names(&app), ["bin", "bin/run", "bin/sub", "bin/sub/x"]);
        assert!(!app.join(".git").exists() && !app.join(".cfignore").exists());
    }

    /// Nobody but root could stage it.
    #[test]
    fn what_an_archive_has_in_read_only_directories_is_left_out_as_well() {
        let as_another_user = || {
            // Of this thread alone; another user than root stays what it is.
            nix::unistd::setfsuid(nix::unistd::Uid::from_raw(65534));
            let files = [
                (".cfignore", "*.log\n/sub/deep/\n"),
                ("sub/a.log", ""),
                ("sub/deep/x/y", ""),
                ("sub/kept", "x"),
            ];
            let (place, copied) = unpacked_with("--mode=a-w", &files);
            assert_eq!(copied.unwrap(), Copied { files: 1, bytes: 1 });
            assert_eq!(copied_names(&place.path().join("app")), ["sub", "sub/kept"]);
        };
        std::thread::spawn(as_another_user).join().unwrap();
    }

    #[test]
    fn archives_that_are_empty_or_none_are_named() {
        // The buildpacks were asked about nothing.
        for files in [&[][..], &[("sub/.cfignore", ""), (".cfignore", "x"), ("x", "")]] {
            let error = unpacked(files).1.unwrap_err().to_string();
            assert!(error.ends_with("shop.tgz: there is nothing to stage; give the app's directory or archive, or see what its .cfignore leaves"), "{error}");
        }
        let place = TempDir::new().unwrap();
        let archive = place.path().join("shop.tgz");
        fs::write(&archive, "no archive").unwrap();
        let package = Package::new(&archive, Path::new("/nowhere")).unwrap();
        let error = lifecycle::report::chain(&package.copy(place.path()).unwrap_err());
        let words = "shop.tgz: the app's archive cannot be unpacked: unknown archive format";
        assert!(error.contains(words), "{error}");
    }

    #[test]
    fn nothing_to_stage_and_bad_patterns_are_errors() {
        let empty = app(&[(".cfignore", "*\n"), ("a", "")]);
        let target = TempDir::new().unwrap();
        let error = Package::new(empty.path(), Path::new("/nowhere"))
            .unwrap()
            .copy(target.path())
            .unwrap_err();
        assert!(error.to_string().contains("there is nothing to stage"), "{error}");
        let bad = app(&[(".cfignore", "{a\n"), ("a", "")]);
        let error = Package::new(bad.path(), Path::new("/nowhere")).unwrap_err();
        let error = lifecycle::report::chain(&error);
        assert!(error.contains(".cfignore") && error.contains("{a"), "{error}");
    }
}
