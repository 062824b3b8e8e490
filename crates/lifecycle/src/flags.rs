//! Flags in the spelling of Go's `flag` package: `-name=value`, `-name value`, `-bool`,
//! one dash or two. Definitions, defaults and value checks are clap's; this file knows the
//! spelling, the sentences and the usage list. Errors exit with 2, `-h` with 0 (contract, section 2).

use std::any::TypeId;
use std::error::Error;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, Command, Parser};

use crate::report::Failure;

/// Why the flags could not be used. Each text ends with the usage list.
#[derive(Debug, thiserror::Error)]
pub enum FlagError {
    /// `-h`, `-help`: not an error, but the program ends here.
    #[error("{0}")]
    Help(String),
    /// Unknown flag, missing or bad value.
    #[error("{sentence}\n{usage}")]
    Bad {
        /// What is wrong, in the words of Go's `flag` package.
        sentence: String,
        /// The usage list.
        usage: String,
    },
}

impl Failure for FlagError {
    fn status(&self) -> u8 {
        match self {
            Self::Help(_) => 0,
            Self::Bad { .. } => 2,
        }
    }
}

/// Reads `arguments` (without the program's name) into the flags struct `T`.
///
/// Parsing stops at the first argument that is not a flag; what follows is ignored.
/// `T` declares its flags with `long = "name"` and, for the usage list, a `value_name` of `string`,
/// `int` or `duration`; booleans with `num_args = 0..=1, default_missing_value = "true"`,
/// `require_equals = true` and [`boolean`].
pub fn parse<T: Parser>(arguments: impl IntoIterator<Item = OsString>) -> Result<T, FlagError> {
    let Known { flags, unknown, .. } = read(arguments, Unknown::Ends)?;
    debug_assert!(unknown.is_empty(), "{unknown:?}");
    Ok(flags)
}

/// [`parse`] for a program that a newer platform may start: flags that `T` has not are passed over. One
/// without `=` takes a following word that is no flag with it, since that may be its value.
pub fn parse_known<T: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
) -> Result<Known<T>, FlagError> {
    read(arguments, Unknown::PassedOver)
}

/// What [`parse_known`] read.
#[derive(Debug)]
pub struct Known<T> {
    /// The flags.
    pub flags: T,
    /// The names of those passed over, in the order given.
    pub unknown: Vec<String>,
    /// The known ones that were given, spelled `--name=value`: another run with them reads the same.
    pub words: Vec<OsString>,
}

/// What becomes of flags that are not defined.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Ends,
    PassedOver,
}

fn read<T: Parser>(
    arguments: impl IntoIterator<Item = OsString>,
    unknown: Unknown,
) -> Result<Known<T>, FlagError> {
    let command = T::command().args_override_self(true).disable_help_flag(true);
    let mut walk = Walk { words: vec![command.get_name().into()], unknown: Vec::new() };
    let end = walk.along(&command, arguments, unknown);
    let matches = command.clone().try_get_matches_from(&walk.words);
    let parsed = matches.and_then(|matches| T::from_arg_matches(&matches));
    // Go reads flag by flag: a bad value before an unknown flag is what it reports.
    match (parsed, end) {
        (Err(error), _) => {
            let bytes = unreadable(&command, &walk.words, &error);
            Err(bad(&command, bytes.unwrap_or_else(|| value_sentence(&error))))
        }
        (Ok(_), Err(Stop::Help)) => Err(FlagError::Help(usage(&command))),
        (Ok(_), Err(Stop::Bad(sentence))) => Err(bad(&command, sentence)),
        (Ok(flags), Ok(())) => {
            let words = walk.words.split_off(1);
            Ok(Known { flags, unknown: walk.unknown, words })
        }
    }
}

/// [`parse`], but the defaults at once if `arguments` do not begin with a flag: setting clap up is a
/// tenth of a launch.
pub fn parse_any<T: Parser + Default>(arguments: Vec<OsString>) -> Result<T, FlagError> {
    if arguments.first().is_some_and(|first| is_flag(first.as_bytes())) {
        parse(arguments)
    } else {
        Ok(T::default())
    }
}

/// Why the walk over the arguments ended early.
enum Stop {
    Help,
    Bad(String),
}

/// The arguments as far as they were read.
struct Walk {
    /// In clap's spelling, behind the program's name.
    words: Vec<OsString>,
    unknown: Vec<String>,
}

impl Walk {
    /// Rewrites Go's spelling into clap's `--name=value`, up to the first problem.
    fn along(
        &mut self,
        command: &Command,
        arguments: impl IntoIterator<Item = OsString>,
        unknown: Unknown,
    ) -> Result<(), Stop> {
        let mut arguments = arguments.into_iter().peekable();
        while let Some(argument) = arguments.next_if(|argument| is_flag(argument.as_bytes())) {
            let bytes = argument.as_bytes();
            let body = bytes.strip_prefix(b"--").unwrap_or_else(|| &bytes[1..]);
            if body.is_empty() || body[0] == b'-' || body[0] == b'=' {
                return Err(Stop::Bad(format!("bad flag syntax: {}", argument.display())));
            }
            let (name, value) = split_once(body, b'=');
            let display = OsStr::from_bytes(name).display();
            let Some(flag) = find(command, name) else {
                if matches!(name, b"h" | b"help") {
                    return Err(Stop::Help);
                }
                if unknown == Unknown::Ends {
                    return Err(Stop::Bad(format!("flag provided but not defined: -{display}")));
                }
                self.unknown.push(display.to_string());
                if value.is_none() {
                    let _its_value = arguments.next_if(|next| !next.as_bytes().starts_with(b"-"));
                }
                continue;
            };
            let following = if value.is_none() && !is_boolean(flag) {
                let sentence = || Stop::Bad(format!("flag needs an argument: -{display}"));
                Some(arguments.next().ok_or_else(sentence)?)
            } else {
                None
            };
            let mut word = OsString::from("--");
            word.push(OsStr::from_bytes(name));
            if let Some(value) = value.map(OsStr::from_bytes).or(following.as_deref()) {
                word.push("=");
                word.push(value);
            }
            self.words.push(word);
        }
        Ok(())
    }
}

fn is_flag(argument: &[u8]) -> bool {
    argument.len() >= 2 && argument[0] == b'-' && argument != b"--"
}

fn split_once(bytes: &[u8], separator: u8) -> (&[u8], Option<&[u8]>) {
    match bytes.iter().position(|&byte| byte == separator) {
        Some(at) => (&bytes[..at], Some(&bytes[at + 1..])),
        None => (bytes, None),
    }
}

fn find<'a>(command: &'a Command, name: &[u8]) -> Option<&'a Arg> {
    command.get_arguments().find(|arg| arg.get_long().is_some_and(|long| long.as_bytes() == name))
}

fn is_boolean(flag: &Arg) -> bool {
    flag.get_num_args().is_some_and(|range| range.min_values() == 0)
}

fn bad(command: &Command, sentence: String) -> FlagError {
    FlagError::Bad { sentence, usage: usage(command) }
}

/// The sentence for a value that is not UTF-8 although its flag needs text: clap does not say which.
fn unreadable(command: &Command, words: &[OsString], error: &clap::Error) -> Option<String> {
    if error.kind() != ErrorKind::InvalidUtf8 {
        return None;
    }
    words.iter().skip(1).find_map(|word| {
        let (name, value) = split_once(word.as_bytes().strip_prefix(b"--")?, b'=');
        let value = OsStr::from_bytes(value?);
        let takes_bytes =
            find(command, name)?.get_value_parser().type_id() == TypeId::of::<OsString>();
        let name = OsStr::from_bytes(name).display();
        let sentence =
            || format!("invalid value \"{}\" for flag -{name}: parse error", value.display());
        (!takes_bytes && value.to_str().is_none()).then(sentence)
    })
}

/// Go's sentence for a value that clap refused.
fn value_sentence(error: &clap::Error) -> String {
    let context = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    // clap names the flag as `--name <type>` or `--name[=<type>]`.
    let flag = context(ContextKind::InvalidArg);
    let flag = flag.trim_start_matches('-').split(['=', ' ', '[']).next().unwrap_or_default();
    let value = context(ContextKind::InvalidValue);
    let reason = error.source().map_or_else(|| "parse error".to_owned(), ToString::to_string);
    if reason == NOT_A_BOOLEAN {
        format!("invalid boolean value {value:?} for -{flag}: parse error")
    } else {
        format!("invalid value {value:?} for flag -{flag}: {reason}")
    }
}

/// The usage list: the flags sorted by name, two lines each.
fn usage(command: &Command) -> String {
    let mut text = format!("Usage of {}:\n", command.get_name());
    let mut flags: Vec<&Arg> = command.get_arguments().collect();
    flags.sort_by_key(|flag| flag.get_long());
    for flag in flags {
        let name = flag.get_long().unwrap_or_default();
        let kind = if is_boolean(flag) { None } else { flag.get_value_names() };
        let kind = kind.map(|names| format!(" {}", names[0])).unwrap_or_default();
        let help = flag.get_help().map(ToString::to_string).unwrap_or_default();
        let note = default_note(flag, &kind);
        let _infallible = writeln!(text, "  -{name}{kind}\n    \t{help}{note}");
    }
    text
}

fn default_note(flag: &Arg, kind: &str) -> String {
    let default = flag.get_default_values().first().and_then(|value| value.to_str());
    match default {
        None | Some("" | "false" | "0s") => String::new(),
        Some(value) if kind == " string" => format!(" (default {value:?})"),
        Some(value) => format!(" (default {value})"),
    }
}

const NOT_A_BOOLEAN: &str = "not a boolean";

/// Reads a boolean as Go's `strconv.ParseBool` does.
pub fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Ok(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Ok(false),
        _ => Err(NOT_A_BOOLEAN.to_owned()),
    }
}

/// Reads an integer as Go does: decimal, `0x`, `0o`, `0b`, a leading `0` (octal), `_` between digits.
pub fn integer(text: &str) -> Result<i64, String> {
    let parse_error = || "parse error".to_owned();
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, body) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // After a base prefix `_` may come first: `0x_1`, `0_7`.
    let body = if radix == 10 { body } else { body.strip_prefix('_').unwrap_or(body) };
    let misplaced = body.starts_with('_') || body.ends_with('_') || body.contains("__");
    let plain = body.replace('_', "");
    if plain.is_empty() || misplaced || !plain.chars().all(|digit| digit.is_digit(radix)) {
        return Err(parse_error());
    }
    let out_of_range = || "value out of range".to_owned();
    let magnitude = i128::from_str_radix(&plain, radix).map_err(|_| out_of_range())?;
    let value = if negative { -magnitude } else { magnitude };
    i64::try_from(value).map_err(|_| out_of_range())
}

/// Reads a duration as Go does (`1h15m30.5s`, `300ms`, `0`); negative ones count as zero, which
/// is what sleeping for them amounts to.
pub fn duration(text: &str) -> Result<Duration, String> {
    signed_nanoseconds(text)
        .map(|nanoseconds| Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(0)))
        .ok_or_else(|| "parse error".to_owned())
}

/// A duration in Go's notation as signed nanoseconds; `None` when it is not one or does not fit.
fn signed_nanoseconds(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        total = total.checked_add(scaled(number, unit_nanoseconds(unit)?)?)?;
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

fn unit_nanoseconds(unit: &str) -> Option<i128> {
    Some(match unit {
        "ns" => 1,
        // U+00B5 micro sign and U+03BC Greek mu.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `number` (with at most one point) times `unit`, cut to whole nanoseconds.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    // Sixteen digits are finer than a nanosecond of an hour.
    let fraction = &fraction[..fraction.len().min(16)];
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let parts: i128 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    whole.checked_mul(unit)?.checked_add(parts * unit / scale)
}

#[cfg(test)]
mod tests;
