//! The environment a program hands to its children: a computed value, never the process's own.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;

use crate::paths::clean;
use crate::vcap_application::{VCAP_APPLICATION, amended};

/// Variables in order; names and values are any bytes. Of duplicates the first counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Environment {
    variables: Vec<(OsString, OsString)>,
}

impl Environment {
    /// The environment this process was started with.
    pub fn inherited() -> Self {
        env::vars_os().collect()
    }

    /// What apps find in the container: `HOME` is the app directory, `TMPDIR` and `DEPS_DIR` are beside
    /// it, and `VCAP_APPLICATION` says where the instance runs (contract, sections 8.6 and 8.7). A
    /// relative `app_dir` (the working directory is gone) has nothing beside it.
    #[must_use]
    pub fn for_container(mut self, app_dir: &Path) -> Self {
        self.set("HOME", app_dir);
        if app_dir.is_absolute() {
            self.set("TMPDIR", clean(&app_dir.join("../tmp")));
            self.set("DEPS_DIR", clean(&app_dir.join("../deps")));
        }
        if let Some(application) = amended(&self) {
            self.set(VCAP_APPLICATION, application);
        }
        self
    }

    /// The value of `name`, empty ones included.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// Where temporary files go: `$TMPDIR`, or `/tmp`.
    pub fn temporary_directory(&self) -> &Path {
        let directory = self.get("TMPDIR").filter(|directory| !directory.is_empty());
        Path::new(directory.unwrap_or_else(|| OsStr::new("/tmp")))
    }

    /// Sets `name`, in its place if it is there.
    pub fn set(&mut self, name: impl AsRef<OsStr>, value: impl Into<OsString>) {
        let name = name.as_ref();
        match self.variables.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value.into(),
            None => self.variables.push((name.to_owned(), value.into())),
        }
    }

    /// Takes `name` out.
    pub fn remove(&mut self, name: &str) {
        self.variables.retain(|(key, _)| key != name);
    }

    /// The variables in order.
    pub fn iter(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.variables.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }
}

impl FromIterator<(OsString, OsString)> for Environment {
    /// Keeps the first of duplicate names.
    fn from_iter<I: IntoIterator<Item = (OsString, OsString)>>(variables: I) -> Self {
        let mut environment = Self::default();
        for (name, value) in variables {
            if !environment.variables.iter().any(|(key, _)| *key == name) {
                environment.variables.push((name, value));
            }
        }
        environment
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        variables.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    #[test]
    fn of_duplicates_the_first_counts() {
        let environment = environment(&[("A", "1"), ("B", "2"), ("A", "3")]);
        assert_eq!(environment.get("A"), Some(OsStr::new("1")));
        assert_eq!(environment.iter().count(), 2);
    }

    #[test]
    fn values_may_be_any_bytes() {
        let value = OsString::from_vec(vec![0xff, b'=', 0xfe]);
        let environment = Environment::from_iter([("A".into(), value.clone())]);
        assert_eq!(environment.get("A"), Some(value.as_os_str()));
    }

    #[test]
    fn directories_of_the_container_lie_beside_the_app() {
        for (app_dir, tmp, deps) in
            [("/home/vcap/app", "/home/vcap/tmp", "/home/vcap/deps"), ("/", "/tmp", "/deps")]
        {
            let environment = environment(&[("HOME", "/root")]).for_container(Path::new(app_dir));
            assert_eq!(environment.get("HOME"), Some(OsStr::new(app_dir)));
            assert_eq!(environment.get("TMPDIR"), Some(OsStr::new(tmp)));
            assert_eq!(environment.get("DEPS_DIR"), Some(OsStr::new(deps)));
        }
    }

    #[test]
    fn beside_a_relative_app_directory_there_is_nothing() {
        let environment = environment(&[("TMPDIR", "/t")]).for_container(Path::new("app"));
        assert_eq!(environment.get("HOME"), Some(OsStr::new("app")));
        assert_eq!(environment.get("TMPDIR"), Some(OsStr::new("/t")));
        assert_eq!(environment.get("DEPS_DIR"), None);
    }
}
