//! A minimal Debian, made once for all test runs by what this machine's apt is set up with.

use std::fs::{self, File};
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};

use crate::tool;

/// A tar of Debian's (or Ubuntu's) essential packages, in this machine's release.
pub fn essential_debian() -> PathBuf {
    let directory = std::env::current_exe().unwrap().parent().unwrap().with_file_name("images");
    fs::create_dir_all(&directory).unwrap();
    let tar = directory.join("debian-essential.tar");
    let lock = File::create(directory.join("lock")).unwrap();
    let _held = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno).unwrap();
    if !tar.exists() {
        let sources = "set -e; . /etc/os-release
            for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources /etc/apt/sources.list; do
              [ -f $file ] && break
            done
            mmdebstrap --quiet --variant=essential $VERSION_CODENAME \"$0.part.tar\" $file
            mv \"$0.part.tar\" \"$0\"";
        tool("sh", ["-c", sources, tar.to_str().unwrap()]);
    }
    tar
}
