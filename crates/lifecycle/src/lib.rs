//! The contract of Cloud Foundry's app lifecycle, and what every program of it shares.

pub mod architecture;
pub mod environment;
pub mod flags;
pub mod report;
pub mod staging_report;
pub mod url;
