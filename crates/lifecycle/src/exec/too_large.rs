//! What the kernel's `argument list too long` means: which variable or argument, how large, and what
//! the limit is.

use std::ffi::OsStr;
use std::fmt;

use nix::sys::resource::{Resource, getrlimit};
use nix::unistd::{SysconfVar, sysconf};

use super::Program;
use crate::environment::Environment;

/// Longest single string the kernel passes, the final NUL included, in pages.
const STRING_LIMIT_PAGES: u64 = 32;

/// Most the kernel passes in all: three quarters of its default stack limit of 8 MiB.
const TOTAL_LIMIT: u64 = 6 * 1024 * 1024;

/// Least the kernel passes in all, however small the stack limit.
const TOTAL_FLOOR: u64 = 128 * 1024;

/// Environment and arguments that are larger than the kernel passes to a program. Sizes in bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct TooLarge {
    strings: Vec<(String, u64)>,
    total: u64,
    limits: Limits,
}

/// What the kernel passes at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Limits {
    string: u64,
    total: u64,
}

impl TooLarge {
    /// What is too large about them.
    pub fn explain(program: &Program, environment: &Environment) -> Self {
        Self::new(strings(program, environment), Limits::here())
    }

    fn new(mut strings: Vec<(String, u64)>, limits: Limits) -> Self {
        // The kernel counts a pointer for each string too.
        let total = strings.iter().map(|(_, bytes)| bytes + size_of::<usize>() as u64).sum();
        strings.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        Self { strings, total, limits }
    }
}

impl Limits {
    #[allow(clippy::useless_conversion, reason = "32 bits wide on armv7 glibc")]
    fn here() -> Self {
        let stack =
            getrlimit(Resource::RLIMIT_STACK).map_or(TOTAL_LIMIT * 4, |(soft, _)| u64::from(soft));
        let page = sysconf(SysconfVar::PAGE_SIZE).ok().flatten();
        let page = page.and_then(|bytes| u64::try_from(bytes).ok()).unwrap_or(4096);
        Self {
            string: STRING_LIMIT_PAGES * page,
            total: (stack / 4).clamp(TOTAL_FLOOR, TOTAL_LIMIT),
        }
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Limits { string, total } = self.limits;
        if let Some((name, bytes)) = self.strings.first().filter(|(_, bytes)| *bytes > string) {
            return write!(
                f,
                "{name} is too large for the kernel: {bytes} bytes, at most {string} are possible"
            );
        }
        let largest: Vec<String> =
            self.strings.iter().take(3).map(|(name, bytes)| format!("{name} ({bytes})")).collect();
        write!(
            f,
            "environment and arguments are too large for the kernel: {} bytes, at most {total} are possible; \
             the largest are {}",
            self.total,
            largest.join(", ")
        )
    }
}

/// What each string of the environment and the arguments is called, and its size with the final NUL.
fn strings(program: &Program, environment: &Environment) -> Vec<(String, u64)> {
    let size = |text: &OsStr| text.len() as u64 + 1;
    let variables = environment.iter().map(|(name, value)| {
        (format!("the variable {}", name.display()), size(name) + size(value))
    });
    let arguments = program.arguments.iter().enumerate().map(|(index, argument)| {
        let last = index + 1 == program.arguments.len();
        let name = if last { "the command".into() } else { format!("argument {}", index + 1) };
        (name, size(argument))
    });
    variables.chain(arguments).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { string: 131_072, total: 300_000 };

    #[test]
    fn one_string_over_its_limit_is_named_with_its_size() {
        let strings =
            vec![("the variable A".to_owned(), 10), ("the variable B".to_owned(), 131_073)];
        assert_eq!(
            TooLarge::new(strings, LIMITS).to_string(),
            "the variable B is too large for the kernel: 131073 bytes, at most 131072 are possible"
        );
    }

    #[test]
    fn many_strings_over_the_total_are_named_largest_first() {
        let strings =
            ["A", "B", "C", "D"].map(|name| (name.to_owned(), 131_000 + name.len() as u64));
        let mut strings = Vec::from(strings);
        strings[2].1 += 5;
        let text = TooLarge::new(strings, LIMITS).to_string();
        assert!(
            text.ends_with(
                "at most 300000 are possible; the largest are C (131006), A (131001), B (131001)"
            ),
            "{text}"
        );
    }

    #[test]
    fn names_and_sizes_are_those_of_the_strings_passed() {
        let program = Program {
            file: "/bin/bash".into(),
            name: "bash".into(),
            arguments: vec!["-c".into(), "true".into()],
        };
        let environment = Environment::from_iter([("A".into(), "12".into())]);
        assert_eq!(
            strings(&program, &environment),
            [("the variable A".into(), 5), ("argument 1".into(), 3), ("the command".into(), 5)]
        );
    }
}
