//! A start command without any shell: its words, split at blanks, quotes and backslashes obeyed.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use super::{DEFAULT_PATH, Launch, enter};
use crate::environment::Environment;
use crate::exec::{ExecError, Program, become_program, find};
use crate::paths::working_directory;
use crate::report::warn;

/// Becomes the program that the first word of the command names.
pub(super) fn launch(launch: &Launch, environment: &Environment) -> ExecError {
    let words = match launch.prefix() {
        Some(prefix) => {
            let mut words = Words::split(prefix.as_bytes());
            words.list.push(launch.command.clone());
            words
        }
        None => Words::split(launch.command.as_bytes()),
    };
    if !words.shell_only.is_empty() {
        let characters = String::from_utf8_lossy(&words.shell_only);
        warn(&format!(
            "WARNING: these have no meaning without a shell, they are passed on as they stand: {characters}"
        ));
    }
    let mut left = environment.clone();
    let old = working_directory(environment.get("PWD"));
    if enter(launch).is_none() {
        warn(&format!("WARNING: the app directory {} cannot be entered", launch.app_dir.display()));
    } else if let Some(old) = old {
        left.set("OLDPWD", old);
        left.set("PWD", &launch.app_dir);
    }
    become_program(&program(words.list, environment), &left)
}

/// The program called by the first word, with the others as its arguments.
fn program(words: Vec<OsString>, environment: &Environment) -> Program {
    // `exec app` is how one avoids a second process; here there is none.
    let mut words = words.into_iter().skip_while(|word| word == "exec");
    let name = words.next().unwrap_or_default();
    let path = environment.get("PATH").unwrap_or_else(|| OsStr::new(DEFAULT_PATH));
    let found = name.to_str().filter(|name| !name.contains('/')).and_then(|name| find(name, path));
    Program {
        file: found.unwrap_or_else(|| PathBuf::from(&name)),
        name,
        arguments: words.collect(),
    }
}

/// A command line taken apart.
#[derive(Default)]
struct Words {
    list: Vec<OsString>,
    /// Unquoted characters that a shell would have acted on, each once.
    shell_only: Vec<u8>,
}

impl Words {
    fn split(text: &[u8]) -> Self {
        let mut words = Self::default();
        let mut word: Option<Vec<u8>> = None;
        let mut quote = None;
        let mut bytes = text.iter().copied();
        while let Some(byte) = bytes.next() {
            match (quote, byte) {
                (Some(open), _) if byte == open => quote = None,
                (None, b'\'' | b'"') => {
                    quote = Some(byte);
                    word.get_or_insert_default();
                }
                (None, b' ' | b'\t' | b'\n') => {
                    words.list.extend(word.take().map(OsString::from_vec));
                }
                (None | Some(b'"'), b'\\') => {
                    word.get_or_insert_default().extend(bytes.next());
                }
                _ => {
                    words.note(quote, byte);
                    word.get_or_insert_default().push(byte);
                }
            }
        }
        words.list.extend(word.map(OsString::from_vec));
        words
    }

    fn note(&mut self, quote: Option<u8>, byte: u8) {
        let acted_on: &[u8] = match quote {
            None => b"$`|&;<>(){}*?[]~#",
            Some(b'"') => b"$`",
            Some(_) => b"",
        };
        if acted_on.contains(&byte) && !self.shell_only.contains(&byte) {
            self.shell_only.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_at_blanks_and_quotes_are_obeyed() {
        for (text, words) in [
            ("", &[][..]),
            ("  ./app  --port\t8080 \n", &["./app", "--port", "8080"]),
            ("a 'b c' \"d e\"f", &["a", "b c", "d ef"]),
            (r#"a\ b "c\"d" 'e\f' ''"#, &["a b", "c\"d", r"e\f", ""]),
            ("a 'open", &["a", "open"]),
        ] {
            let split = Words::split(text.as_bytes());
            assert_eq!(split.list, words, "{text}");
            assert_eq!(split.shell_only, b"", "{text}");
        }
    }

    #[test]
    fn what_only_a_shell_can_do_is_named() {
        let words = Words::split(b"a $PORT | b '$x;' \"$y;\" > $f");
        assert_eq!(words.shell_only, b"$|>");
    }

    #[test]
    fn a_leading_exec_is_skipped() {
        let program =
            program(vec!["exec".into(), "sh".into(), "-c".into()], &Environment::default());
        assert_eq!(program.name, "sh");
        assert_ne!(program.file, PathBuf::from("sh"));
        assert_eq!(program.arguments, ["-c"]);
    }
}
