//! What a shell would have made of the words, since users of `scp -O host:~/x` count on it: comma
//! braces, a leading tilde and variables. What stands for nothing stays as written.

use super::options::UsageError;
use super::words::{Letter, Quoting, Word};

/// What all words together may grow to, in bytes; the limit that Linux sets for arguments.
pub const LONGEST: usize = 2 * 1024 * 1024;

/// Looks a variable up by its name.
pub type Variables<'a> = &'a dyn Fn(&[u8]) -> Option<Vec<u8>>;

/// The words as texts, with `{a,b}`, `~`, `~/…`, `$NAME` and `${NAME}` put in.
pub fn expand(words: Vec<Word>, variables: Variables<'_>) -> Result<Vec<Vec<u8>>, UsageError> {
    let mut left = LONGEST;
    let mut texts = Vec::new();
    for word in braces(words, &mut left)? {
        let mut text = Vec::new();
        let rest = tilde(&word, variables, &mut text);
        substitute(rest, variables, &mut text, left)?;
        spend(text.len(), &mut left)?;
        texts.push(text);
    }
    Ok(texts)
}

fn spend(bytes: usize, left: &mut usize) -> Result<(), UsageError> {
    // The word itself costs something too, or a million empty ones would cost nothing.
    *left = left.checked_sub(bytes + size_of::<Word>()).ok_or(UsageError::TooLong)?;
    Ok(())
}

/// Replaces every word that has a group by one word per alternative, until none is left.
fn braces(words: Vec<Word>, left: &mut usize) -> Result<Vec<Word>, UsageError> {
    let mut done = Vec::new();
    let mut todo: Vec<Word> = words.into_iter().rev().collect();
    while let Some(word) = todo.pop() {
        spend(word.len(), left)?;
        let Some(group) = first_group(&word) else {
            done.push(word);
            continue;
        };
        for (&from, &to) in group.iter().zip(&group[1..]).rev() {
            let alternatives =
                [&word[..group[0]], &word[from + 1..to], &word[group[group.len() - 1] + 1..]];
            // Checked before it is built: thousands of alternatives may stand beside a long text.
            let length = alternatives.iter().map(|part| part.len()).sum();
            spend(length, left)?;
            todo.push(alternatives.concat());
        }
    }
    Ok(done)
}

/// Where the leftmost group's brace, commas and closing brace stand. One pass: groups nest.
fn first_group(word: &[Letter]) -> Option<Vec<usize>> {
    let mut open: Vec<Vec<usize>> = Vec::new();
    let mut first: Option<Vec<usize>> = None;
    for (index, letter) in
        word.iter().enumerate().filter(|(_, letter)| letter.quoting == Quoting::Plain)
    {
        match letter.byte {
            b'{' => open.push(vec![index]),
            b',' => {
                if let Some(group) = open.last_mut() {
                    group.push(index);
                }
            }
            b'}' => {
                let Some(mut group) = open.pop() else { continue };
                group.push(index);
                // `{a}` is no group, and `${a,b}` no variable that is known here.
                let is_group = group.len() > 2 && !follows_dollar(word, group[0]);
                if is_group && first.as_ref().is_none_or(|first| group[0] < first[0]) {
                    first = Some(group);
                }
            }
            _ => {}
        }
    }
    first
}

fn follows_dollar(word: &[Letter], index: usize) -> bool {
    index > 0 && word[index - 1] == Letter { byte: b'$', quoting: Quoting::Plain }
}

/// Puts the home directory for a bare `~` at the start, and returns what of the word is left.
fn tilde<'a>(word: &'a [Letter], variables: Variables<'_>, text: &mut Vec<u8>) -> &'a [Letter] {
    let [Letter { byte: b'~', quoting: Quoting::Plain }, rest @ ..] = word else { return word };
    if rest.first().is_some_and(|letter| letter.byte != b'/') {
        return word;
    }
    match variables(b"HOME").filter(|home| !home.is_empty()) {
        Some(home) => {
            text.extend(home);
            rest
        }
        None => word,
    }
}

/// Appends `word` with its variables put in; `most` bytes at most.
fn substitute(
    mut word: &[Letter],
    variables: Variables<'_>,
    text: &mut Vec<u8>,
    most: usize,
) -> Result<(), UsageError> {
    while let Some((letter, rest)) = word.split_first() {
        let reference = if letter.byte == b'$' && letter.quoting != Quoting::Literal {
            name(rest)
        } else {
            None
        };
        let value = reference.as_ref().and_then(|(name, _)| variables(name));
        if let (Some(value), Some((_, length))) = (value, reference) {
            text.extend(value);
            word = &rest[length..];
        } else {
            text.push(letter.byte);
            word = rest;
        }
        if text.len() > most {
            return Err(UsageError::TooLong);
        }
    }
    Ok(())
}

/// The name of the variable that `word` begins with, and how many letters it takes.
fn name(word: &[Letter]) -> Option<(Vec<u8>, usize)> {
    let begins = |letter: &Letter| {
        letter.byte == b'{' || letter.byte == b'_' || letter.byte.is_ascii_alphabetic()
    };
    if !word.first().is_some_and(begins) {
        return None;
    }
    let unquoted = word
        .iter()
        .take_while(|letter| letter.quoting != Quoting::Literal)
        .map(|letter| letter.byte);
    let bytes: Vec<u8> = unquoted.take(LONGEST_NAME + 2).collect();
    let (start, in_braces) = if bytes.first() == Some(&b'{') { (1, true) } else { (0, false) };
    let length = bytes[start..]
        .iter()
        .take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_')
        .count();
    let name = &bytes[start..start + length];
    if name.first().is_none_or(u8::is_ascii_digit) {
        return None;
    }
    match bytes.get(start + length) {
        Some(b'}') if in_braces => Some((name.to_vec(), length + 2)),
        _ if in_braces => None,
        _ => Some((name.to_vec(), length)),
    }
}

/// No variable has a longer name, in bytes; so that a text of dollars is read in linear time.
const LONGEST_NAME: usize = 255;

#[cfg(test)]
mod tests {
    use super::super::words;
    use super::*;

    fn variable(name: &[u8]) -> Option<Vec<u8>> {
        match name {
            b"HOME" => Some(b"/home/vcap".to_vec()),
            b"DIR" => Some(b"{a,b} *".to_vec()),
            b"EMPTY" => Some(Vec::new()),
            b"LONG" => Some(vec![b'x'; 100_000]),
            _ => None,
        }
    }

    fn texts(command: &str) -> Vec<String> {
        let words = expand(words::split(command.as_bytes()).unwrap(), &variable).unwrap();
        words.into_iter().map(|word| String::from_utf8(word).unwrap()).collect()
    }

    #[test]
    fn braces_tilde_and_variables_are_what_a_shell_makes_of_them() {
        for (command, words) in [
            ("~ ~/x ~root a~ x/~", vec!["/home/vcap", "/home/vcap/x", "~root", "a~", "x/~"]),
            (r#""~/x" '~/x' \~/x"#, vec!["~/x", "~/x", "~/x"]),
            (
                "$HOME/x ${HOME}x \"$HOME\" $HOME",
                vec!["/home/vcap/x", "/home/vcapx", "/home/vcap", "/home/vcap"],
            ),
            (r"'$HOME' \$HOME $ $1 $- ${HOME", vec!["$HOME", "$HOME", "$", "$1", "$-", "${HOME"]),
            // A value is neither split nor expanded again.
            ("$DIR", vec!["{a,b} *"]),
            // Not set: as written, since `$TYPO/x` must not become `/x`.
            ("$NOPE/x ${NOPE}", vec!["$NOPE/x", "${NOPE}"]),
            ("x$EMPTY$EMPTY", vec!["x"]),
            ("a{b,c}d{e,f}", vec!["abde", "abdf", "acde", "acdf"]),
            ("{a,{b,c}d} {,x}y", vec!["a", "bd", "cd", "y", "xy"]),
            (
                "{a} {} {a,b {a{b,c} a},b} ${a,b}",
                vec!["{a}", "{}", "{a,b", "{ab", "{ac", "a},b}", "${a,b}"],
            ),
            (r#"'{a,b}' "{a,b}" \{a,b} {a\,b}"#, vec!["{a,b}", "{a,b}", "{a,b}", "{a,b}"]),
            ("{~,$HOME}/x", vec!["/home/vcap/x", "/home/vcap/x"]),
        ] {
            assert_eq!(texts(command), words, "{command:?}");
        }
    }

    #[test]
    fn words_that_multiply_are_refused_before_they_fill_the_memory() {
        let pairs = "{a,b}".repeat(64);
        let commas = format!("{{{}}}{}", ",".repeat(100_000), "x".repeat(100_000));
        let references = "$LONG".repeat(40_000);
        let nested = "{".repeat(100_000) + &",a}".repeat(100_000);
        for command in [pairs, commas, references, nested] {
            let words = words::split(command.as_bytes()).unwrap();
            assert!(matches!(expand(words, &variable), Err(UsageError::TooLong)));
        }
    }

    #[test]
    fn long_texts_without_a_group_take_no_time() {
        for command in
            ["{".repeat(200_000), "$".repeat(200_000), ",}".repeat(100_000), "{a".repeat(100_000)]
        {
            assert_eq!(texts(&command), [command]);
        }
    }
}
