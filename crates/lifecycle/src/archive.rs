//! Archives: buildpack zips in.

pub mod unzip;
