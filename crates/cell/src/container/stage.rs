//! Where the runtime finds a container's root file system: on a directory that every machine has, in a mount namespace of
//! the runtime's and the container's own. The way to the stack's own directory may be closed to the container's root; and
//! whatever is killed, no mount is left on the machine.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::spec::Bind;

/// The first of them that hides nothing is taken.
const STAGES: [&str; 4] = ["/mnt", "/media", "/srv", "/opt"];

/// A root file system and its stage.
#[derive(Debug)]
pub(super) struct Stage<'a> {
    /// The stack's, which all its containers share.
    pub(super) root: &'a Path,
    /// What a container changes of it.
    pub(super) changes: PathBuf,
    /// The kernel's, in the file system of `changes`.
    pub(super) work: PathBuf,
    /// Where the runtime finds both together.
    pub(super) place: &'static Path,
}

/// A place that hides nothing of what is shown.
pub(super) fn find(binds: &[Bind]) -> io::Result<&'static Path> {
    let is_free =
        |place: &&Path| place.is_dir() && !binds.iter().any(|bind| bind.source.starts_with(place));
    STAGES.iter().map(Path::new).find(is_free).ok_or_else(|| {
        io::Error::other(format!("none of {} is a directory to mount on", STAGES.join(", ")))
    })
}

impl Stage<'_> {
    /// Calls `run` where the root is on stage, for it and what it starts alone. It is told whether the root may be
    /// written to: with an overlay, what is changed is the container's own; where there can be none, nothing may change.
    pub(super) fn play<T: Send>(
        &self,
        run: impl FnOnce(bool) -> io::Result<T> + Send,
    ) -> io::Result<T> {
        let nothing = None::<&str>;
        let play = || {
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(nothing, "/", nothing, MsFlags::MS_REC | MsFlags::MS_SLAVE, nothing)?;
            let is_overlaid = self.overlay();
            if !is_overlaid {
                mount(Some(self.root), self.place, nothing, MsFlags::MS_BIND, nothing)?;
            }
            run(is_overlaid)
        };
        // In a thread of its own, since namespaces are a thread's.
        thread::scope(|scope| scope.spawn(play).join())
            .unwrap_or_else(|_| Err(io::Error::other("the thread panicked")))
    }

    /// Whether that worked: not every file system can be changed so, and root of a namespace may not everywhere.
    fn overlay(&self) -> bool {
        let mut layers = OsString::from("userxattr");
        for (name, path) in
            [("lowerdir", self.root), ("upperdir", &self.changes), ("workdir", &self.work)]
        {
            // The kernel has its own meaning for these.
            if path.to_string_lossy().contains([',', ':', '\\']) {
                return false;
            }
            layers.push(format!(",{name}="));
            layers.push(path);
        }
        let kind = Some("overlay");
        mount(kind, self.place, kind, MsFlags::empty(), Some(layers.as_os_str())).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    #[test]
    fn the_root_is_staged_where_it_hides_nothing() {
        let shown = |source: &str| Bind {
            source: source.into(),
            inside: "/x".to_owned(),
            is_writable: false,
        };
        assert_eq!(find(&[shown("/root/x")]).unwrap(), Path::new("/mnt"));
        assert_ne!(find(&[shown("/mnt/disk/x")]).unwrap(), Path::new("/mnt"));
    }

    #[test]
    fn root_changes_are_the_containers_own_and_no_mount_is_left() {
        // The second has a name that layers can't have.
        for (name, is_overlaid) in [("root", true), ("ro,ot", false)] {
            let directory = TempDir::new().unwrap();
            let made = |name: &str| {
                let path = directory.path().join(name);
                fs::create_dir(&path).unwrap();
                path
            };
            let root = made(name);
            fs::write(root.join("file"), "of the stack").unwrap();
            let (changes, work) = (made("changes"), made("work"));
            let stage = Stage { root: &root, changes, work, place: Path::new("/mnt") };
            let said = stage.play(|may_change| {
                let text = fs::read_to_string("/mnt/file")?;
                if may_change {
                    fs::write("/mnt/file", "changed")?;
                }
                Ok((may_change, text))
            });
            assert_eq!(said.unwrap(), (is_overlaid, "of the stack".to_owned()));
            assert_eq!(fs::read_to_string(root.join("file")).unwrap(), "of the stack");
            let kept = fs::read_to_string(directory.path().join("changes/file")).ok();
            assert_eq!(kept, is_overlaid.then(|| "changed".to_owned()));
            assert!(!Path::new("/mnt/file").exists());
        }
    }
}
