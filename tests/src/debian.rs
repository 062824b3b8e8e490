//! Minimal Debians, made once for all test runs by what this machine's apt is set up with.

use std::fs::{self, File};
use std::path::PathBuf;

use nix::fcntl::{Flock, FlockArg};

use crate::tool;

/// A tar of Debian's (or Ubuntu's) essential packages, in this machine's release.
pub fn essential_debian() -> PathBuf {
    made("debian-essential", "make")
}

/// The same with Python and pip, Node and npm. npm is its registry's, since Debian's has 300 packages; and who
/// is trusted is as on this machine.
pub fn debian_with_languages() -> PathBuf {
    let script = r#"
        work=$(mktemp -d)
        trap 'rm -r "$work"' EXIT
        (cd "$work" && npm pack --silent npm@10 >/dev/null && tar -xzf npm-*.tgz)
        cat >"$work/add" <<ADD
#!/bin/sh -e
mkdir -p "\$1/usr/lib/node_modules" "\$1/usr/etc" "\$1/etc/ssl/certs"
cp -r "$work/package" "\$1/usr/lib/node_modules/npm"
ln -s ../lib/node_modules/npm/bin/npm-cli.js "\$1/usr/bin/npm"
cp /etc/ssl/certs/ca-certificates.crt "\$1/etc/ssl/certs/"
echo cafile=/etc/ssl/certs/ca-certificates.crt >"\$1/usr/etc/npmrc"
ADD
        chmod +x "$work/add"
        make --include=python3-pip,nodejs --customize-hook="$work/add""#;
    made("debian-languages", script)
}

/// `script` calls `make` with what more mmdebstrap is to be told.
fn made(name: &str, script: &str) -> PathBuf {
    let directory = std::env::current_exe().unwrap().parent().unwrap().with_file_name("images");
    fs::create_dir_all(&directory).unwrap();
    let tar = directory.join(name).with_extension("tar");
    let lock = File::create(directory.join(name).with_extension("lock")).unwrap();
    let _held = Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, errno)| errno).unwrap();
    if !tar.exists() {
        let make = r#"set -e; . /etc/os-release
            for file in /etc/apt/sources.list.d/debian.sources /etc/apt/sources.list.d/ubuntu.sources /etc/apt/sources.list; do
              [ -f $file ] && break
            done
            make() {
              mmdebstrap --quiet --variant=essential --dpkgopt=force-unsafe-io "$@" $VERSION_CODENAME "$tar.part.tar" $file
            }
            tar=$0"#;
        let whole = format!("{make}\n{script}\nmv \"$tar.part.tar\" \"$tar\"");
        tool("bash", ["-c", &whole, tar.to_str().unwrap()]);
    }
    tar
}
