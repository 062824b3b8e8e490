//! Where a redirect leads: a `Location` resolved against the URL that was asked (RFC 3986, 5.2).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::escape::{Part, unescape};
use super::{Url, UrlError, mask_url};

impl Url {
    /// Resolves `reference`. User and password stay only where the reference names no host.
    pub fn join(&self, reference: &str) -> Result<Self, UrlError> {
        let mut target = Self::parse(reference)?;
        if !target.scheme.is_empty() {
            return Ok(target);
        }
        target.scheme.clone_from(&self.scheme);
        target.omits_host = false;
        if !target.host.is_empty() {
            return Ok(target);
        }
        target.host.clone_from(&self.host);
        target.user.clone_from(&self.user);
        if target.raw_path.is_empty() {
            target.query = target.query.or_else(|| self.query.clone());
            target.raw_path.clone_from(&self.raw_path);
            target.path.clone_from(&self.path);
            return Ok(target);
        }
        if !target.raw_path.starts_with('/') {
            let folder = self.raw_path.rfind('/').map_or("/", |slash| &self.raw_path[..=slash]);
            target.raw_path.insert_str(0, folder);
        }
        target.raw_path = without_dots(&target.raw_path);
        let path = unescape(&target.raw_path, Part::Path);
        let path = path.map_err(|reason| UrlError { text: mask_url(reference), reason })?;
        target.path = OsString::from_vec(path);
        Ok(target)
    }
}

/// The path without `.` and `..`, which never leave the root.
fn without_dots(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            "." => {}
            ".." => {
                kept.pop();
            }
            _ => {
                kept.push(segment);
                continue;
            }
        }
        if last {
            kept.push("");
        }
    }
    format!("/{}", kept.join("/"))
}
