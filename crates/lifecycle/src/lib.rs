//! The contract of Cloud Foundry's app lifecycle, and what every program of it shares.

pub mod architecture;
#[cfg(feature = "archive")]
pub mod archive;
#[cfg(feature = "environment")]
pub mod credhub;
pub mod environment;
pub mod exec;
pub mod file;
pub mod flags;
#[cfg(feature = "environment")]
pub mod http;
pub mod json;
pub mod launch;
pub mod paths;
pub mod platform_options;
pub mod process;
pub mod report;
#[cfg(feature = "environment")]
pub mod services;
pub mod size;
pub mod staging_info;
pub mod staging_report;
pub mod staging_result;
pub mod url;
pub mod vcap_application;
pub mod yaml;
