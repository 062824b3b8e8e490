//! YAML as gopkg.in/yaml.v2 reads it (contract, section 4): YAML 1.1 scalars kept as source text,
//! only the first document, duplicate keys and `<<` merges as assignments in document order.
//!
//! granit-parser finds the structure; this module adds the strictness of libyaml that buildpacks
//! and tests rely on, and the bounds: depth 255 per kind of collection, aliases by weight.

use std::rc::Rc;

mod decode;
mod scalar;
mod source;
mod tree;
mod words;

pub use decode::Decoder;

/// Why a document could not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum YamlError {
    /// The text is not YAML.
    #[error("yaml: line {}: {problem}", place.line)]
    Syntax {
        /// Where reading stopped, or where what is not finished began.
        place: Place,
        /// What is wrong, in libyaml's words.
        problem: String,
        /// What is wrong, in more helpful words where there are any.
        reason: String,
    },
    /// It is YAML, but values have the wrong type. The other values were read.
    #[error("yaml: unmarshal errors:{}", mismatch_lines(.0))]
    Types(Vec<Mismatch>),
}

impl YamlError {
    /// Line, column and reason of each problem, one line each, for whoever wrote the document.
    pub fn explanation(&self) -> Vec<String> {
        match self {
            Self::Syntax { place, reason, .. } => vec![format!("{place}: {reason}")],
            Self::Types(mismatches) => mismatches
                .iter()
                .map(|mismatch| format!("{}: {}", mismatch.place, mismatch.reason))
                .collect(),
        }
    }
}

/// A value of the wrong type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Where the value begins.
    pub place: Place,
    /// yaml.v2's sentence: ``cannot unmarshal !!str `a` into int``.
    pub problem: String,
    /// The same in plain words.
    pub reason: String,
}

fn mismatch_lines(mismatches: &[Mismatch]) -> String {
    let line =
        |mismatch: &Mismatch| format!("\n  line {}: {}", mismatch.place.line, mismatch.problem);
    mismatches.iter().map(line).collect()
}

/// A place in a document, both numbers from 1; columns count characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: usize,
    /// The character within the line.
    pub column: usize,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// A value of a document. Aliases share the node they stand for.
#[derive(Debug)]
pub struct Node {
    content: Content,
    /// `!!binary`, `!mine`, or the whole URI of a tag of another namespace.
    tag: Option<String>,
    place: Place,
}

#[derive(Debug)]
enum Content {
    /// The text after quotes, escapes and folding; `plain` when it had no quotes and was no block.
    Scalar {
        text: String,
        plain: bool,
    },
    Sequence(Vec<Rc<Node>>),
    Mapping(Vec<(Rc<Node>, Rc<Node>)>),
}

/// Reads the first document of `bytes`; `None` when there is none.
pub fn parse(bytes: &[u8]) -> Result<Option<Rc<Node>>, YamlError> {
    let text = source::text(bytes)?;
    tree::build(&text)
}

#[cfg(test)]
mod tests;
