//! From app and buildpacks to result.json and `staging_info.yml` (contract, section 3).

mod cache;
mod container;
mod detecting;
mod documents;
mod failing;
mod fixtures;
mod lookup;
mod processes;
mod results;
mod scripts;

use suite::Stage;

/// A buildpack `A` whose detect says `D` and whose release starts `run`: the contract's example.
pub(crate) fn example() -> Stage {
    detecting_buildpack().script("A", "release", release("web: run").as_str())
}

/// The same without release.
fn detecting_buildpack() -> Stage {
    Stage::empty().script("A", "detect", "echo D").script("A", "finalize", "")
}

/// A release script that prints these default process types.
fn release(types: &str) -> String {
    format!("printf '%s\\n' 'default_process_types: {{ {types} }}'")
}

/// A line of a script that writes its standard input, up to `END`, to the deps directory's `name`.
/// In supply and finalize scripts `$3/$4` is the deps directory of the buildpack.
fn writes(name: &str, contents: &str) -> String {
    format!("cat > \"$3/$4/{name}\" <<'END'\n{contents}\nEND")
}
