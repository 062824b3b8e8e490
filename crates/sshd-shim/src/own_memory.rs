//! The memory of this process, keys included, is a file of `/proc`. Root may open it here even in a container where
//! root may not look into other processes: what serves files in this process refuses it.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;

use rustix::fs::{PROC_SUPER_MAGIC, fstatfs};

/// `file`, unless it is a process's memory.
pub(crate) fn refuse(file: File) -> io::Result<File> {
    if fstatfs(&file).is_ok_and(|system| system.f_type == PROC_SUPER_MAGIC) {
        let path = fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd()))?;
        if path.file_name().is_none_or(|name| name == "mem") {
            return Err(ErrorKind::PermissionDenied.into());
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_refused_by_whatever_name_and_nothing_else_is() {
        let thread = format!("/proc/self/task/{}/mem", std::process::id());
        for path in ["/proc/self/mem", "/proc/self/../thread-self/mem", &thread] {
            let file = File::open(path).unwrap();
            assert_eq!(refuse(file).unwrap_err().kind(), ErrorKind::PermissionDenied, "{path}");
        }
        for path in ["/proc/self/status", "/proc/meminfo", "/proc", "/dev/null", "/etc"] {
            assert!(refuse(File::open(path).unwrap()).is_ok(), "{path}");
        }
        let other = tempfile::tempdir().unwrap();
        fs::write(other.path().join("mem"), "").unwrap();
        assert!(refuse(File::open(other.path().join("mem")).unwrap()).is_ok());
    }
}
