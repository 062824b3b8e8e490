//! The bundles as a cell gets them: from a file server, verified, unpacked and kept (platform, 1.4 and 2).

use std::fs;
use std::os::unix::fs::PermissionsExt;

use file_server::FileServer;
use lifecycle::download::{Asset, Cache, Checksum, PLATFORM_LIMIT};
use lifecycle::environment::Environment;
use lifecycle::http::{Client, transfer::TIMEOUTS};
use lifecycle::url::Url;
use suite::tool;
use tempfile::TempDir;

use crate::{Bundle, PROGRAMS, dist};

#[test]
fn a_cell_fetches_verifies_and_unpacks_every_bundle_and_keeps_it() {
    let server = FileServer::bind(([127, 0, 0, 1], 0).into(), &dist()).unwrap().start().unwrap();
    let directory = TempDir::with_prefix("cell-").unwrap();
    let client = Client::new(&Environment::default(), TIMEOUTS);
    let cache = Cache::open(directory.path(), PLATFORM_LIMIT, client).unwrap();
    for bundle in Bundle::all() {
        let [name, sum] =
            ["name", "sha256"].map(|key| bundle.entry["bundle"][key].as_str().unwrap());
        let url = Url::parse(&format!("{}{name}", server.url())).unwrap();
        let asset = Asset { url, checksum: Some(Checksum::new("sha256", sum).unwrap()) };
        let fetched = cache.directory(&asset).unwrap();
        assert!(!fetched.was_cached());
        // GNU tar, which unpacked the other, and ours agree on names, links and bytes.
        tool("diff", ["-r".as_ref(), "--no-dereference".as_ref(), bundle.root(), fetched.path()]);
        for name in PROGRAMS {
            let mode = fs::metadata(fetched.path().join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o7777, 0o755, "{}: {name}", bundle.target);
        }
        let again = cache.directory(&asset).unwrap();
        assert!(again.was_cached() && again.path() == fetched.path(), "{}", bundle.target);
    }
}
