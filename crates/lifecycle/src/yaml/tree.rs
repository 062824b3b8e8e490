//! The parser's events as a tree of nodes. Aliases share nodes; what they would unfold to is
//! weighed and bounded, which bounds the depth of the tree as well.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StructureStyle, Tag, options};

use super::words::{BAD_ANCHOR, CANNOT_START, place, refusal, syntax_error};
use super::{Content, Node, YamlError};

/// The most that all aliases together may stand for, in nodes plus bytes of text. A chain of
/// aliases of depth n weighs n²/2, so trees are at most about 2,000 deep and recursion is safe.
const MAX_ALIASED: usize = 1_000_000;

/// Builds the first document of `text`; `None` when there is none.
pub(super) fn build(text: &str) -> Result<Option<Rc<Node>>, YamlError> {
    let options = options! { emit_anchor_events: true, emit_comments: false };
    let mut builder = Builder { text, open: Vec::new(), anchors: HashMap::new(), aliased: 0 };
    let mut done = None;
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| syntax_error(&error, text))?;
        if matches!(event, Event::DocumentEnd | Event::StreamEnd) {
            break;
        }
        if let Some((node, anchor)) = builder.take(event, span)? {
            done = builder.add(node, anchor).or(done);
        }
    }
    Ok(done)
}

/// A node and what it weighs: one per node, one per byte of text, aliases unfolded.
#[derive(Clone)]
struct Weighed {
    node: Rc<Node>,
    weight: usize,
}

/// A collection whose end is not reached.
struct Open {
    is_mapping: bool,
    in_flow: bool,
    tag: Option<String>,
    start: Marker,
    /// 0 for none.
    anchor: usize,
    children: Vec<Rc<Node>>,
    weight: usize,
}

struct Builder<'t> {
    text: &'t str,
    open: Vec<Open>,
    /// The finished nodes that have an anchor, by the number the parser gave it.
    anchors: HashMap<usize, Weighed>,
    aliased: usize,
}

impl Builder<'_> {
    /// The node that `event` completes, with its anchor.
    fn take(
        &mut self,
        event: Event<'_>,
        span: Span,
    ) -> Result<Option<(Weighed, usize)>, YamlError> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.check_indentation(&span.start)?;
                let text = self.scalar_text(text.into_owned(), style, &span);
                let weight = 1 + text.len();
                let plain = style == ScalarStyle::Plain;
                let node = node(Content::Scalar { text, plain }, tag_name(tag.as_deref()), &span);
                return Ok(Some((Weighed { node, weight }, anchor)));
            }
            Event::SequenceStart(style, anchor, tag) => {
                self.begin(false, style, (anchor, tag_name(tag.as_deref())), &span)?;
            }
            Event::MappingStart(style, anchor, tag) => {
                self.begin(true, style, (anchor, tag_name(tag.as_deref())), &span)?;
            }
            Event::SequenceEnd | Event::MappingEnd => return Ok(self.end()),
            Event::Anchor(_, name) => check_name(&name, &span.start)?,
            Event::Alias(anchor) => return self.alias(anchor, &span).map(|node| Some((node, 0))),
            _ => {}
        }
        Ok(None)
    }

    fn begin(
        &mut self,
        is_mapping: bool,
        style: StructureStyle,
        (anchor, tag): (usize, Option<String>),
        span: &Span,
    ) -> Result<(), YamlError> {
        self.check_indentation(&span.start)?;
        let in_flow = style == StructureStyle::Flow || self.in_flow();
        let start = span.start;
        let open = Open { is_mapping, in_flow, tag, start, anchor, children: vec![], weight: 1 };
        self.open.push(open);
        Ok(())
    }

    fn end(&mut self) -> Option<(Weighed, usize)> {
        let open = self.open.pop()?;
        let content = if open.is_mapping {
            Content::Mapping(pairs(open.children))
        } else {
            Content::Sequence(open.children)
        };
        let node = Rc::new(Node { content, tag: open.tag, place: place(&open.start) });
        Some((Weighed { node, weight: open.weight }, open.anchor))
    }

    fn alias(&mut self, anchor: usize, span: &Span) -> Result<Weighed, YamlError> {
        let name = span.slice(self.text).unwrap_or_default().trim_start_matches('*');
        check_name(name, &span.start)?;
        let Some(target) = self.anchors.get(&anchor) else {
            let problem = format!("anchor '{name}' value contains itself");
            return Err(refusal(&span.start, &problem, problem.clone()));
        };
        self.aliased = self.aliased.saturating_add(target.weight);
        if self.aliased > MAX_ALIASED {
            let reason =
                format!("the aliases unfold to more than {MAX_ALIASED} values and letters");
            return Err(refusal(&span.start, "document contains excessive aliasing", reason));
        }
        Ok(target.clone())
    }

    /// Puts a finished node into the collection around it; gives it back when it is the document.
    fn add(&mut self, weighed: Weighed, anchor: usize) -> Option<Rc<Node>> {
        if anchor != 0 {
            self.anchors.insert(anchor, weighed.clone());
        }
        let Some(parent) = self.open.last_mut() else { return Some(weighed.node) };
        parent.children.push(weighed.node);
        parent.weight = parent.weight.saturating_add(weighed.weight);
        None
    }

    fn in_flow(&self) -> bool {
        self.open.last().is_some_and(|open| open.in_flow)
    }

    /// A tab before the first node of a line is no indentation to libyaml. (granit-parser lets
    /// some through.)
    fn check_indentation(&self, start: &Marker) -> Result<(), YamlError> {
        if self.in_flow() {
            return Ok(());
        }
        let before = start.byte_offset().and_then(|at| self.text.get(..at)).unwrap_or_default();
        let line_start = before.rfind(['\n', '\r']).map_or(0, |at| at + 1);
        let indentation = &before[line_start..];
        let is_indentation = indentation.chars().all(|letter| " \t-".contains(letter));
        if is_indentation && indentation.contains('\t') && !indentation.starts_with("---") {
            let reason = "a tab stands where only spaces may indent".to_owned();
            return Err(refusal(start, CANNOT_START, reason));
        }
        Ok(())
    }

    /// libyaml gives a block scalar that ends with the file no line break of its own.
    fn scalar_text(&self, mut text: String, style: ScalarStyle, span: &Span) -> String {
        let is_block = matches!(style, ScalarStyle::Literal | ScalarStyle::Folded);
        let is_last = span.end.byte_offset().is_some_and(|end| end >= self.text.len());
        if is_block && is_last && text.ends_with('\n') && self.has_unfinished_line(&text) {
            text.pop();
        }
        text
    }

    /// Whether the last line of the document, which has no line break, is one of `block`: a blank
    /// one is only where it is indented deeper than the block.
    fn has_unfinished_line(&self, block: &str) -> bool {
        let source_line = self.text.rsplit(['\n', '\r']).next().unwrap_or_default();
        let block_line = block.lines().next_back().unwrap_or_default();
        !source_line.trim().is_empty()
            || !source_line.is_empty() && !block_line.is_empty() && block_line.trim().is_empty()
    }
}

fn node(content: Content, tag: Option<String>, span: &Span) -> Rc<Node> {
    Rc::new(Node { content, tag, place: place(&span.start) })
}

fn pairs(children: Vec<Rc<Node>>) -> Vec<(Rc<Node>, Rc<Node>)> {
    let mut children = children.into_iter();
    let mut pairs = Vec::with_capacity(children.len() / 2);
    while let (Some(key), Some(value)) = (children.next(), children.next()) {
        pairs.push((key, value));
    }
    pairs
}

/// `!!int` for what the YAML specification names, else the tag as it stands.
fn tag_name(tag: Option<&Tag>) -> Option<String> {
    let tag = tag?;
    let whole = format!("{}{}", tag.handle(), tag.suffix());
    Some(match whole.strip_prefix("tag:yaml.org,2002:") {
        Some(core) => format!("!!{core}"),
        None => whole,
    })
}

/// libyaml's anchors hold letters, digits, `_` and `-` only; a test of the platform relies on it.
fn check_name(name: &str, start: &Marker) -> Result<(), YamlError> {
    let is_good = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    if name.chars().all(is_good) {
        return Ok(());
    }
    let reason = format!("the anchor `{name}` may only hold letters, digits, `_` and `-`");
    Err(refusal(start, BAD_ANCHOR, reason))
}
