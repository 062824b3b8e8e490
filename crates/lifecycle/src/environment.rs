//! The environment a program hands to its children: a computed value, never the process's own.

use std::env;
use std::ffi::{OsStr, OsString};

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

    /// The value of `name`, empty ones included.
    pub fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_os_str())
    }

    /// Sets `name`, in its place if it is there.
    pub fn set(&mut self, name: &str, value: impl Into<OsString>) {
        match self.variables.iter_mut().find(|(key, _)| key == name) {
            Some((_, old)) => *old = value.into(),
            None => self.variables.push((name.into(), value.into())),
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
