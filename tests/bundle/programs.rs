//! The programs as ELF files: what binutils and the platform's packaging see in them.

use std::path::Path;
use std::process::Command;

use suite::{tool, workspace};

use crate::{Bundle, PROGRAMS};

fn readelf(what: &str, program: &Path) -> String {
    tool("readelf", ["-W".as_ref(), what.as_ref(), program.as_os_str()])
}

/// The words of the one line that has `start`.
fn line(text: &str, start: &str) -> String {
    let line = text.lines().find(|line| line.trim_start().starts_with(start));
    line.unwrap_or_else(|| panic!("no line {start} in\n{text}")).trim().to_owned()
}

fn each(check: impl Fn(&Bundle, &Path)) {
    for bundle in Bundle::all() {
        for name in PROGRAMS {
            check(&bundle, &bundle.program(name));
        }
    }
}

#[test]
fn programs_are_of_their_targets_machine() {
    each(|bundle, program| {
        let machine = match bundle.target.split('-').next().unwrap() {
            "x86_64" => "Advanced Micro Devices X86-64",
            "aarch64" => "AArch64",
            "armv7" => "ARM",
            other => panic!("no machine known for {other}"),
        };
        assert!(line(&readelf("-h", program), "Machine:").ends_with(machine), "{}", bundle.target);
    });
}

#[test]
fn static_programs_have_no_interpreter_and_a_fixed_place_so_that_ldd_refuses_them() {
    each(|bundle, program| {
        let segments = readelf("-l", program);
        assert_eq!(segments.contains("INTERP"), !bundle.is_static(), "{segments}");
        assert_eq!(segments.contains("DYNAMIC"), !bundle.is_static(), "{segments}");
        if bundle.is_static() {
            assert!(line(&readelf("-h", program), "Type:").contains("EXEC"));
            // Release packaging takes the success of ldd for a program that is not static.
            let ldd = Command::new("ldd").arg(program).output().unwrap();
            assert!(!ldd.status.success(), "{}: {ldd:?}", program.display());
        }
    });
}

#[test]
fn dynamic_programs_need_glibc_2_28_and_nothing_else() {
    each(|bundle, program| {
        if bundle.is_static() {
            return;
        }
        let dynamic = readelf("-d", program);
        let needed = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
        for library in needed {
            let name = library.split(['[', ']']).nth(1).unwrap();
            let of_glibc =
                ["libc.so.", "libm.so.", "libdl.so.", "libpthread.so.", "librt.so.", "ld-linux"];
            assert!(of_glibc.iter().any(|start| name.starts_with(start)), "{name}");
        }
        for version in readelf("-V", program).split("GLIBC_").skip(1) {
            let number = version.split(|c: char| !c.is_ascii_digit() && c != '.').next().unwrap();
            let parts: Vec<u32> = number.split('.').map(|part| part.parse().unwrap()).collect();
            assert!(parts.as_slice() <= [2, 28].as_slice(), "{}: {number}", program.display());
        }
    });
}

#[test]
fn no_stack_is_executable_and_no_segment_writable_and_executable() {
    each(|_, program| {
        let segments = readelf("-l", program);
        let flags = |line: &str| line.split_whitespace().rev().nth(1).unwrap().to_owned();
        let stack = line(&segments, "GNU_STACK");
        assert!(
            !stack.split_whitespace().any(|word| word.contains('E') && word.len() <= 3),
            "{stack}"
        );
        for load in segments.lines().filter(|line| line.trim_start().starts_with("LOAD")) {
            assert!(!(load.contains(" RWE ") || flags(load) == "RWE"), "{load}");
        }
    });
}

#[test]
fn nothing_of_the_building_machine_is_in_them() {
    let cargo_home = std::env::var("CARGO_HOME")
        .unwrap_or_else(|_| format!("{}/.cargo", std::env::var("HOME").unwrap()));
    each(|_, program| {
        let sections = readelf("-S", program);
        for section in [".symtab", ".debug_", ".note.gnu.build-id"] {
            assert!(!sections.contains(section), "{}: {section}", program.display());
        }
        let bytes = std::fs::read(program).unwrap();
        for path in [workspace().to_str().unwrap(), &cargo_home, "/usr/lib/rustlib"] {
            let found = bytes.windows(path.len()).any(|window| window == path.as_bytes());
            assert!(!found, "{} has {path} in it", program.display());
        }
    });
}
