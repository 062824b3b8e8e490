//! One staging: what every step of it is given.

use std::cell::OnceCell;
use std::path::PathBuf;

use lifecycle::environment::Environment;

use crate::account::Account;
use crate::buildpack::{Buildpack, Order};
use crate::cleanup::Cleanup;
use crate::config::Config;
use crate::layout::Layout;
use crate::output::OutputFile;

/// What every step is given.
#[derive(Debug)]
pub(crate) struct Staging<'a> {
    /// What the builder was asked to do.
    pub(crate) config: &'a Config,
    /// What the scripts see as their environment.
    pub(crate) environment: &'a Environment,
    /// The buildpacks in order.
    pub(crate) order: &'a Order,
    /// Where the scripts put things.
    pub(crate) layout: &'a Layout,
    /// What must not outlive the builder.
    pub(crate) cleanup: &'a Cleanup,
    /// What the steps cost.
    pub(crate) account: &'a Account,
    /// Droplet and cache while they are packed. They stay until staging is over, so that what they
    /// fill a disk with can be looked at.
    pub(crate) outputs: OnceCell<(OutputFile, OutputFile)>,
}

impl Staging<'_> {
    /// The deps directory of the buildpack at `position` in the order. None where another one was
    /// selected by detection: that one alone has one.
    pub(crate) fn deps(&self, position: usize, selected: &Selected) -> Option<PathBuf> {
        if self.config.skip_detect {
            Some(self.layout.deps(position))
        } else {
            (position == selected.position).then(|| self.layout.deps(self.layout.last_position()))
        }
    }
}

/// The buildpack that finalizes: the one that detected the app, or the last of the order.
#[derive(Debug)]
pub(crate) struct Selected {
    /// Its position in the order.
    pub(crate) position: usize,
    /// Where it is.
    pub(crate) buildpack: Buildpack,
    /// What its detect script said; `None` where detection was skipped.
    pub(crate) detect_output: Option<String>,
}
