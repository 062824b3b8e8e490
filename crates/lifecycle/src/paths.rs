//! Paths as the predecessor writes them: cleaned by their text alone, no symbolic link resolved,
//! and a working directory named by `$PWD` where that is right (contract, section 8.2).

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// `path` without `//`, `.`, a trailing `/`, and `name/..`; the empty path is `.`.
pub fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for component in path.components() {
        match component {
            Component::CurDir => {}
            Component::ParentDir => match cleaned.components().next_back() {
                Some(Component::Normal(_)) => {
                    cleaned.pop();
                }
                // The root is its own parent.
                Some(Component::RootDir) => {}
                _ => cleaned.push(".."),
            },
            other => cleaned.push(other),
        }
    }
    if cleaned.as_os_str().is_empty() { PathBuf::from(".") } else { cleaned }
}

/// `path` made absolute and cleaned. A relative path stays as it is when the working directory is
/// gone.
pub fn absolute(path: &Path, pwd: Option<&OsStr>) -> PathBuf {
    if path.is_absolute() {
        return clean(path);
    }
    match working_directory(pwd) {
        Some(base) => clean(&Path::new(&base).join(path)),
        None => path.to_owned(),
    }
}

/// The working directory as `pwd` (the value of `$PWD`) names it, if it names the same directory, else
/// the kernel's name for it. `None` when it was removed.
pub fn working_directory(pwd: Option<&OsStr>) -> Option<OsString> {
    let named = pwd.filter(|pwd| Path::new(pwd).is_absolute() && is_here(pwd));
    match named {
        Some(pwd) => Some(pwd.to_owned()),
        None => env::current_dir().ok().map(PathBuf::into_os_string),
    }
}

fn is_here(directory: &OsStr) -> bool {
    let identity = |path: &OsStr| fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    identity(directory).is_some_and(|there| identity(OsStr::new(".")) == Some(there))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_by_their_text() {
        for (path, cleaned) in [
            ("", "."),
            (".", "."),
            ("app", "app"),
            ("./app/", "app"),
            ("/home//vcap/./app", "/home/vcap/app"),
            ("/home/vcap/app/../tmp", "/home/vcap/tmp"),
            ("/..", "/"),
            ("/../../deps", "/deps"),
            ("../a/../../b", "../../b"),
            ("a/..", "."),
        ] {
            assert_eq!(clean(Path::new(path)), Path::new(cleaned), "{path}");
        }
    }

    #[test]
    fn a_working_directory_that_is_misnamed_by_pwd_is_named_by_the_kernel() {
        let real = env::current_dir().unwrap().into_os_string();
        for pwd in [None, Some("/"), Some("relative"), Some(""), Some("/no/such/directory")] {
            assert_eq!(working_directory(pwd.map(OsStr::new)).as_ref(), Some(&real));
        }
    }

    #[test]
    fn pwd_may_name_the_working_directory_in_its_own_way() {
        let other_name = env::current_dir()
            .unwrap()
            .join("..")
            .join(env::current_dir().unwrap().file_name().unwrap());
        let named = working_directory(Some(other_name.as_os_str()));
        assert_eq!(named.as_deref(), Some(other_name.as_os_str()));
    }
}
