//! Archives: droplets and caches out, buildpack zips and all that a cell downloads in.
//!
//! Packing, in the order of the data: [`tree`] finds, `stream` makes a tar (`tar`: its headers),
//! `blocks` carries it to `gzip` and on to the file, [`pack`] ties them together.

mod blocks;
pub mod error;
mod gzip;
pub mod pack;
mod stream;
mod tar;
pub mod tree;
#[cfg(feature = "download")]
pub mod unpack;
pub mod unzip;
