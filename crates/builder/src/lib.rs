//! `builder`: stages an app. App bits and buildpacks go in; a droplet, the build artifacts cache and
//! `result.json` come out.
//!
//! Layout, in the order in which a staging passes through: `config` (flags), `buildpack` (keys and
//! where buildpacks live), `layout` (directories), `fetch` (buildpacks by URL), `cache`, then
//! `detect` or `supply`, `finalize`, `outcome` (the launch plan of
//! `launch_yml`, `release` and `procfile`, and the result), `droplet` (packing).
//! Beside the way: `script` runs the buildpacks' scripts, `cleanup` answers signals, `account` and
//! `circumstances` explain.

mod account;
mod buildpack;
mod buildpack_metadata;
mod cache;
mod circumstances;
mod cleanup;
mod config;
mod descendants;
mod detect;
mod droplet;
pub mod error;
mod fetch;
mod finalize;
mod launch_plan;
mod launch_yml;
mod layout;
mod outcome;
mod output;
mod procfile;
mod release;
mod script;
mod staging;
mod supply;

use std::cell::OnceCell;
use std::ffi::OsString;

use lifecycle::environment::Environment;
use lifecycle::services;

use crate::account::Account;
use crate::buildpack::Order;
use crate::circumstances::Memory;
use crate::cleanup::Cleanup;
use crate::config::Config;
use crate::error::{StagingError, StagingFailure};
use crate::fetch::{Download, FetchError, FetchOptions};
use crate::layout::Layout;
use crate::staging::Staging;

/// Stages the app that the arguments name, the program's name first.
///
/// # Errors
/// Every way staging can fail, with the exit status the platform reads.
pub fn run(arguments: impl Iterator<Item = OsString>) -> Result<(), StagingFailure> {
    let config = Config::from_arguments(arguments)?;
    let cleanup = Cleanup::watch_signals().map_err(StagingError::Signals)?;
    let outcome = prepare_and_stage(&config, &cleanup);
    cleanup.yield_to_signal();
    outcome
}

fn prepare_and_stage(config: &Config, cleanup: &Cleanup) -> Result<(), StagingFailure> {
    let environment = services::bind(Environment::inherited(), &config.credhub)?;
    let (account, memory) = (Account::open(), Memory::read());
    let order = Order::parse(config)?;
    let layout = Layout::create(config, &order, &environment, cleanup)?;
    let staging = Staging {
        config,
        environment: &environment,
        order: &order,
        layout: &layout,
        cleanup,
        account: &account,
        outputs: OnceCell::new(),
    };
    stage(&staging).map_err(|error| {
        cleanup::end_processes();
        let circumstances = circumstances::look(&staging, &error, memory);
        StagingFailure::new(error, circumstances)
    })
}

/// The story of one staging.
fn stage(staging: &Staging<'_>) -> Result<(), StagingError> {
    fetch(staging)?;
    cache::prune(staging.config, staging.order);
    let selected = if staging.config.skip_detect {
        supply::supply(staging)?
    } else {
        detect::detect(staging)?
    };
    let finalized = finalize::finalize(staging, &selected).map_err(StagingError::Compile);
    outcome::record(staging, &selected, finalized)?;
    droplet::deliver(staging, &selected)
}

/// Brings the buildpacks that are given by URL.
fn fetch(staging: &Staging<'_>) -> Result<(), FetchError> {
    let downloads: Vec<Download> = staging.order.downloads(staging.config);
    let options = FetchOptions {
        skip_cert_verify: staging.config.skip_cert_verify,
        environment: staging.environment,
        cleanup: staging.cleanup,
    };
    for fetched in fetch::all(&downloads, &options)? {
        staging.account.fetched(&fetched.url.masked(), fetched.elapsed, fetched.bytes);
    }
    Ok(())
}
