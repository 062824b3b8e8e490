//! granit-parser's findings in the words of libyaml, which the platform's users know.

use granit_parser::{ErrorKind, Marker, ScanError};

use super::{Place, YamlError};

/// The error for a place the parser could not get past.
pub(super) fn syntax_error(error: &ScanError, text: &str) -> YamlError {
    let marker = error.marker();
    let problem = match error.kind() {
        ErrorKind::UnknownAnchor => {
            format!("unknown anchor '{}' referenced", alias_name(marker, text))
        }
        kind => libyaml_words(kind).map_or_else(|| error.info(), str::to_owned),
    };
    YamlError::Syntax { place: place(marker), problem, reason: error.info() }
}

/// An error of our own at `marker`.
pub(super) fn refusal(marker: &Marker, problem: &str, reason: String) -> YamlError {
    YamlError::Syntax { place: place(marker), problem: problem.to_owned(), reason }
}

/// Where `marker` points.
pub(super) fn place(marker: &Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

fn alias_name<'t>(marker: &Marker, text: &'t str) -> &'t str {
    let rest = marker.byte_offset().and_then(|at| text.get(at..)).unwrap_or_default();
    let name = rest.trim_start_matches('*');
    let end = name.find(|letter: char| letter.is_whitespace() || ",]}".contains(letter));
    &name[..end.unwrap_or(name.len())]
}

fn libyaml_words(kind: &ErrorKind) -> Option<&'static str> {
    Some(match kind {
        ErrorKind::ExpectedNodeContent
        | ErrorKind::UnclosedFlowCollection { .. }
        | ErrorKind::MisplacedFlowCollectionEnd
        | ErrorKind::UnexpectedEof
        | ErrorKind::UnexpectedEofBlockMapping
        | ErrorKind::UnexpectedEofBlockSequence
        | ErrorKind::UnexpectedEofFlowMapping
        | ErrorKind::UnexpectedEofFlowSequence
        | ErrorKind::UnexpectedEofImplicitFlowMapping => "did not find expected node content",
        ErrorKind::ExpectedFlowSequenceSeparator
        | ErrorKind::MismatchedFlowCollectionEnd { open: '[', .. } => {
            "did not find expected ',' or ']'"
        }
        ErrorKind::ExpectedFlowMappingSeparator | ErrorKind::MismatchedFlowCollectionEnd { .. } => {
            "did not find expected ',' or '}'"
        }
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::InvalidTrailingSingleQuotedScalar
        | ErrorKind::InvalidTrailingDoubleQuotedScalar => "did not find expected key",
        ErrorKind::ExpectedBlockSequenceEntry => "did not find expected '-' indicator",
        ErrorKind::SimpleKeyExpected | ErrorKind::InvalidSimpleKey => "could not find expected ':'",
        ErrorKind::MappingValueNotAllowed => "mapping values are not allowed in this context",
        ErrorKind::BlockSequenceEntryNotAllowed | ErrorKind::BlockEntryInFlowCollection => {
            "block sequence entries are not allowed in this context"
        }
        ErrorKind::UnexpectedCharacter { .. }
        | ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation => CANNOT_START,
        ErrorKind::TabInPlainScalar => "found a tab character that violates indentation",
        ErrorKind::UnclosedQuotedScalar => "found unexpected end of stream",
        ErrorKind::DocumentIndicatorInQuotedScalar => "found unexpected document indicator",
        ErrorKind::UnknownQuotedScalarEscape => "found unknown escape character",
        ErrorKind::MissingAnchorOrAliasName => BAD_ANCHOR,
        ErrorKind::UndeclaredTagHandle => "found undefined tag handle",
        ErrorKind::ExpectedDocumentStart => "did not find expected <document start>",
        ErrorKind::InvalidBlockScalarHeader => "did not find expected comment or line break",
        ErrorKind::RecursionLimitExceeded => "exceeded max depth of 255",
        _ => return None,
    })
}

/// libyaml's words for an anchor with anything but letters, digits, `_` and `-`.
pub(super) const BAD_ANCHOR: &str = "did not find expected alphabetic or numeric character";
/// libyaml's words for a tab in indentation, among others.
pub(super) const CANNOT_START: &str = "found character that cannot start any token";
