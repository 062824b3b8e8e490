//! Every fixture app in a Debian that has Python and Node, too.

use suite::debian_with_languages;

use super::{machine_of, nothing_is_left};
use crate::pushing::{APPS, runs};

#[test]
fn root_each_fixture_app_runs_in_containers_with_its_packages() {
    let machine = machine_of(&debian_with_languages(), &["python", "node", "procfile", "static"]);
    for it @ (name, _) in APPS {
        let app = runs(&machine, it);
        let inside = machine.cell(&["ssh", name, "--", "cat /etc/debian_version; ls deps/0 app"]);
        let inside = inside.succeeds().out();
        // What the buildpack installed for it, and keeps for the next time.
        let packages = match name {
            "python" => "python",
            "node" => "node_modules",
            _ => "",
        };
        assert!(inside.contains(packages), "{name}: {inside}");
        let said = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).succeeds().out();
        assert!(said.contains("with the cache of the last staging"), "{said}");
        let is_kept = said.contains("the packages kept from the last staging");
        assert_eq!(is_kept, !packages.is_empty(), "{said}");
        machine.cell(&["stop", name]).succeeds();
    }
    nothing_is_left(&machine);
}
