//! The contract of Cloud Foundry's app lifecycle, and what every program of it shares.

pub mod architecture;
#[cfg(feature = "archive")]
pub mod archive;
pub mod environment;
pub mod flags;
#[cfg(feature = "environment")]
pub mod http;
pub mod report;
pub mod size;
pub mod staging_report;
pub mod url;
