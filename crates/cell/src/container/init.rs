//! The first process of a container: this program, which brings its own libraries, since a root file system may have
//! none, or others.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::spec::Bind;

/// Where it is, as the platform's is.
pub(super) const INIT: &str = "/tmp/garden-init";
/// Where its libraries are, unless it is static.
const LIBRARIES: &str = "/tmp/garden-init.libraries";

/// What a container must have for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Init {
    /// This program, and its libraries.
    pub(super) files: Vec<Bind>,
    /// What starts it.
    pub(super) words: Vec<String>,
}

impl Init {
    /// Of this process.
    pub(super) fn own() -> io::Result<Self> {
        Ok(Self::of(&env::current_exe()?, &fs::read_to_string("/proc/self/maps")?))
    }

    /// `maps` is `/proc/self/maps` of a process that runs `program`.
    fn of(program: &Path, maps: &str) -> Self {
        let shown = |source: &Path, inside: String| Bind {
            source: source.to_owned(),
            inside,
            is_writable: false,
        };
        let name =
            |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut files = vec![shown(program, INIT.to_owned())];
        let mut words = vec![INIT.to_owned(), "pause".to_owned()];
        for library in libraries(maps) {
            let inside = format!("{LIBRARIES}/{}", name(&library));
            // The loader is told where the others are: those that the program knows of may be missing.
            if name(&library).starts_with("ld-") {
                words.splice(..0, [&inside, "--library-path", LIBRARIES].map(str::to_owned));
            }
            files.push(shown(&library, inside));
        }
        Self { files, words }
    }
}

fn libraries(maps: &str) -> Vec<PathBuf> {
    let path = |line: &str| Some(PathBuf::from(&line[line.find('/')?..]));
    let is_library = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().contains(".so"))
    };
    let mut found: Vec<PathBuf> = maps.lines().filter_map(path).filter(is_library).collect();
    found.sort();
    found.dedup();
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libraries_come_with_it_and_its_loader_finds_them() {
        let maps = "55f0-55f1 r--p 00000000 fe:00 1 /opt/cell\n\
            7f00-7f01 r--p 00000000 fe:00 2 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
            7f01-7f02 r-xp 00001000 fe:00 2 /usr/lib/x86_64-linux-gnu/libc.so.6\n\
            7f02-7f03 rw-p 00000000 00:00 0 \n\
            7f03-7f04 r--p 00000000 fe:00 3 /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2\n\
            7ffd-7ffe rw-p 00000000 00:00 0 [stack]\n";
        let init = Init::of(Path::new("/opt/cell"), maps);
        let loader = "/tmp/garden-init.libraries/ld-linux-x86-64.so.2";
        let library_path = ["--library-path", "/tmp/garden-init.libraries"];
        assert_eq!(init.words[..1], [loader]);
        assert_eq!(init.words[1..3], library_path);
        assert_eq!(init.words[3..], ["/tmp/garden-init", "pause"]);
        let inside: Vec<_> = init.files.iter().map(|bind| bind.inside.as_str()).collect();
        assert_eq!(inside, ["/tmp/garden-init", loader, "/tmp/garden-init.libraries/libc.so.6"]);
    }

    #[test]
    fn a_static_one_comes_alone() {
        let init = Init::of(Path::new("/cell"), "1-2 r-xp 00000000 fe:00 1 /cell\n");
        assert_eq!(
            (init.files.len(), &init.words[..]),
            (1, &["/tmp/garden-init", "pause"].map(str::to_owned)[..])
        );
    }
}
