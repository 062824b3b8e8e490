//! Who is who inside and outside of a container: its root is nobody outside, its user is not root.

use std::fs;

use nix::unistd::{Gid, Uid, User};

/// The platform's user `vcap` and its group, inside.
pub const VCAP: u32 = 2000;
/// Up to here, at least, users of an image are known inside.
const ENOUGH: u32 = 65_536;

/// Why this user can't have containers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdsError {
    /// Too few users are known here.
    #[error("this process knows too few users to give a container its own: {0}")]
    Few(String),
    /// A user has no users of its own.
    #[error(
        "{file} gives '{user}' no {ENOUGH} ids for containers: as root, usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user}"
    )]
    NoSubordinates {
        /// `/etc/subuid`.
        file: &'static str,
        /// Who.
        user: String,
    },
}

/// So many ids from `inside` on are those from `outside` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// The first one inside.
    pub inside: u32,
    /// The first one outside.
    pub outside: u32,
    /// How many.
    pub count: u32,
}

/// Who is who.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ids {
    /// Users.
    pub users: Vec<Range>,
    /// Groups.
    pub groups: Vec<Range>,
}

impl Ids {
    /// As they are for containers of this process's user.
    pub fn own() -> Result<Self, IdsError> {
        if Uid::effective().is_root() {
            let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
            return Ok(Self {
                users: of_root(&read("/proc/self/uid_map"))?,
                groups: of_root(&read("/proc/self/gid_map"))?,
            });
        }
        let uid = Uid::effective();
        let name = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |it| it.name);
        let of = |file, own| {
            let text = fs::read_to_string(file).unwrap_or_default();
            let lacking = || IdsError::NoSubordinates { file, user: name.clone() };
            of_user(&text, &[&name, &uid.to_string()], own).ok_or_else(lacking)
        };
        Ok(Self {
            users: of("/etc/subuid", uid.as_raw())?,
            groups: of("/etc/subgid", Gid::effective().as_raw())?,
        })
    }
}

/// Container 0 is the highest id but one that this process knows, all others are the same inside and outside
/// (platform contract, 14). `map` is `/proc/self/uid_map`.
fn of_root(map: &str) -> Result<Vec<Range>, IdsError> {
    let fields = map.lines().find_map(|line| {
        let mut words = line.split_whitespace().filter_map(|word| word.parse::<u32>().ok());
        (words.next() == Some(0)).then(|| words.nth(1)).flatten()
    });
    match fields {
        Some(count) if count >= ENOUGH => {
            let root = count - 2;
            Ok(vec![
                Range { inside: 0, outside: root, count: 1 },
                Range { inside: 1, outside: 1, count: root - 1 },
            ])
        }
        _ => Err(IdsError::Few(map.trim().to_owned())),
    }
}

/// `vcap` is the user itself, all others are its subordinates, which `text` (`/etc/subuid`) lists.
fn of_user(text: &str, names: &[&str], own: u32) -> Option<Vec<Range>> {
    let (first, count) = text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let is_ours = fields.next().is_some_and(|name| names.contains(&name));
        let numbers: Vec<u32> = fields.filter_map(|field| field.trim().parse().ok()).collect();
        match numbers[..] {
            [first, count] if is_ours && count >= ENOUGH => Some((first, count)),
            _ => None,
        }
    })?;
    Some(vec![
        Range { inside: 0, outside: first, count: VCAP },
        Range { inside: VCAP, outside: own, count: 1 },
        Range { inside: VCAP + 1, outside: first + VCAP, count: count - VCAP },
    ])
}

/// Who `vcap` is outside; `None` where it is this process's user.
pub fn user_outside() -> Option<(u32, u32)> {
    Uid::effective().is_root().then_some((VCAP, VCAP))
}

/// Who a container's root is outside, if this process is root: nobody else.
pub fn root_outside() -> Result<Option<u32>, IdsError> {
    if !Uid::effective().is_root() {
        return Ok(None);
    }
    Ok(Ids::own()?.users.first().map(|range| range.outside))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(inside: u32, outside: u32, count: u32) -> Range {
        Range { inside, outside, count }
    }

    #[test]
    fn the_containers_root_is_nobody_outside() {
        let all = of_root("         0          0 4294967295\n").unwrap();
        assert_eq!(all, [range(0, 4_294_967_293, 1), range(1, 1, 4_294_967_292)]);
        let some = of_root("         0     100000      65536\n").unwrap();
        assert_eq!(some, [range(0, 65_534, 1), range(1, 1, 65_533)]);
        assert!(of_root("         0       1000          1\n").is_err());
        assert!(of_root("").is_err());
    }

    #[test]
    fn a_user_is_vcap_and_its_subordinates_are_the_others() {
        let text = "# comment\nother:1:65536\nme:100000:65536\n";
        let expected =
            vec![range(0, 100_000, 2000), range(2000, 1001, 1), range(2001, 102_000, 63_536)];
        assert_eq!(of_user(text, &["me", "1001"], 1001), Some(expected));
        assert_eq!(of_user("me:100000:10\n", &["me"], 1001), None);
        assert_eq!(of_user("", &["me"], 1001), None);
    }
}
