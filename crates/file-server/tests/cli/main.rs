//! Black-box tests of the file server and of downloads from it.
