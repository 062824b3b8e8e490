//! Python and Node in a Debian that has them, by the buildpacks in `cell`.

use suite::{debian_with_languages, workspace};

use super::{machine_of, nothing_is_left};
use crate::machine::get;

#[test]
fn root_python_and_node_apps_have_their_packages_in_containers() {
    let machine = machine_of(&debian_with_languages(), &["python", "node"]);
    for (name, words) in [("python", "Temperatures, by bottle"), ("node", "s\n")] {
        let app = workspace().join("tests/apps").join(name);
        let url = machine.push(&app);
        let answer = get(&url);
        assert!(answer.contains("200") && answer.contains(words), "{name}: {answer}");
        let inside = machine.cell(&["ssh", name, "--", "cat /etc/debian_version; ls deps/0 app"]);
        assert!(inside.succeeds().out().contains(if name == "node" {
            "node_modules"
        } else {
            "python"
        }));
        let said = machine.cell(&["push", app.to_str().unwrap(), "--detach"]).succeeds().out();
        let cached = "the packages kept from the last staging";
        assert!(
            said.contains("with the cache of the last staging") && said.contains(cached),
            "{said}"
        );
        machine.cell(&["stop", name]).succeeds();
    }
    nothing_is_left(&machine);
}
