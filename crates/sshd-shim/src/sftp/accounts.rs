//! The names behind user and group ids, from `/etc/passwd` and `/etc/group`: read once, by their text
//! alone, so that a static program finds what a shell in the container would.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use lifecycle::file;

/// Longer names, in bytes, are taken for none: they have to fit a listing.
const LONGEST_NAME: usize = 32;

/// Who there is.
#[derive(Debug, Default)]
pub(super) struct Accounts {
    users: BTreeMap<u32, Vec<u8>>,
    groups: BTreeMap<u32, Vec<u8>>,
    homes: BTreeMap<Vec<u8>, PathBuf>,
}

impl Accounts {
    /// Those of this machine. A file that cannot be read has nobody.
    pub(super) fn read() -> Self {
        let content = |path| file::read(Path::new(path)).ok().flatten().unwrap_or_default();
        Self::parse(&content("/etc/passwd"), &content("/etc/group"))
    }

    /// Those of the two files. The first line of an id or name counts.
    pub(super) fn parse(passwd: &[u8], group: &[u8]) -> Self {
        let mut accounts = Self::default();
        for fields in lines(passwd) {
            if let [name, _, id, _, _, home, ..] = fields[..] {
                name_id(&mut accounts.users, id, name);
                let home = || PathBuf::from(OsStr::from_bytes(home));
                accounts.homes.entry(name.to_vec()).or_insert_with(home);
            }
        }
        for fields in lines(group) {
            if let [name, _, id, ..] = fields[..] {
                name_id(&mut accounts.groups, id, name);
            }
        }
        accounts
    }

    /// The name of a user, if the id has one.
    pub(super) fn user(&self, id: u32) -> Option<&[u8]> {
        self.users.get(&id).map(Vec::as_slice)
    }

    /// The name of a group, if the id has one.
    pub(super) fn group(&self, id: u32) -> Option<&[u8]> {
        self.groups.get(&id).map(Vec::as_slice)
    }

    /// Where the user of that id lives.
    pub(super) fn home_of(&self, id: u32) -> Option<&Path> {
        self.home(self.user(id)?)
    }

    /// Where the user of that name lives.
    pub(super) fn home(&self, user: &[u8]) -> Option<&Path> {
        self.homes.get(user).map(PathBuf::as_path)
    }
}

fn lines(content: &[u8]) -> impl Iterator<Item = Vec<&[u8]>> {
    content.split(|byte| *byte == b'\n').map(|line| line.split(|byte| *byte == b':').collect())
}

fn name_id(names: &mut BTreeMap<u32, Vec<u8>>, id: &[u8], name: &[u8]) {
    let id = str::from_utf8(id).ok().and_then(|id| id.parse().ok());
    if let Some(id) = id
        && (1..=LONGEST_NAME).contains(&name.len())
    {
        names.entry(id).or_insert_with(|| name.to_vec());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_an_id_counts_and_broken_lines_do_not() {
        let passwd = b"root:x:0:0:root:/root:/bin/bash\nadmin:x:0:0::/:\n\nvcap:x:2000:2000\n\xff:x:7:7::/home/\xfe:\n+::::::";
        let accounts = Accounts::parse(passwd, b"staff:x:50:root,vcap\nodd:x:-1:\n:x:9:");
        assert_eq!(accounts.user(0), Some(&b"root"[..]));
        assert_eq!(accounts.user(7), Some(&b"\xff"[..]));
        assert_eq!(accounts.user(2000), None);
        assert_eq!(accounts.home(b"admin"), Some(Path::new("/")));
        assert_eq!(accounts.home(b"vcap"), None);
        assert_eq!(accounts.group(50), Some(&b"staff"[..]));
        assert_eq!(accounts.group(9), None);
    }

    #[test]
    fn names_too_long_for_a_listing_are_none() {
        let passwd = format!("{}:x:1:1::/:\n", "n".repeat(33));
        assert_eq!(Accounts::parse(passwd.as_bytes(), b"").user(1), None);
    }
}
