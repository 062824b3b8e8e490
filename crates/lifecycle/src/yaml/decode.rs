//! Values out of nodes as yaml.v2 decodes into Go's types: what does not fit is noted and the rest
//! still read.

use std::collections::BTreeMap;
use std::rc::Rc;

use serde_json::Value;

use super::scalar::{Meaning, meaning};
use super::{Content, Mismatch, Node, YamlError};

/// Reads values out of nodes and collects what did not fit.
///
/// Its methods give `None` for a value of the wrong type, after noting it; null gives the empty
/// value.
#[derive(Debug, Default)]
pub struct Decoder {
    mismatches: Vec<Mismatch>,
}

impl Decoder {
    /// The type errors met, if any.
    pub fn finish(self) -> Result<(), YamlError> {
        if self.mismatches.is_empty() { Ok(()) } else { Err(YamlError::Types(self.mismatches)) }
    }

    /// Any scalar as its source text.
    pub fn text(&mut self, node: &Node) -> Option<String> {
        match self.scalar(node, "string")? {
            (Meaning::Null, _) => Some(String::new()),
            (Meaning::Text(text), _) => Some(text),
            (_, text) => Some(text.to_owned()),
        }
    }

    /// Any scalar's source text into `target`, which stays as it is where the type is wrong.
    pub fn text_into(&mut self, node: &Node, target: &mut String) {
        if let Some(text) = self.text(node) {
            *target = text;
        }
    }

    /// A whole number, or a float cut to one.
    pub fn integer(&mut self, node: &Node) -> Option<i64> {
        let value = match self.scalar(node, "int")?.0 {
            Meaning::Null => Some(0),
            Meaning::Integer(value) => i64::try_from(value).ok(),
            Meaning::Float(value) => truncated(value),
            Meaning::Bool(_) | Meaning::Text(_) => None,
        };
        if value.is_none() {
            self.mismatch(node, "int");
        }
        value
    }

    /// The entries of a list.
    pub fn list<'n>(&mut self, node: &'n Node) -> Option<&'n [Rc<Node>]> {
        match &node.content {
            Content::Sequence(entries) => Some(entries),
            _ if node.is_null() => Some(&[]),
            _ => {
                self.mismatch(node, "list");
                None
            }
        }
    }

    /// The assignments of a mapping in document order, `<<` merges unfolded: of several for one
    /// key the last wins.
    pub fn entries<'n>(&mut self, node: &'n Node) -> Option<Vec<(String, &'n Node)>> {
        let Content::Mapping(pairs) = &node.content else {
            if node.is_null() {
                return Some(Vec::new());
            }
            self.mismatch(node, "map");
            return None;
        };
        let mut entries = Vec::with_capacity(pairs.len());
        for (key, value) in pairs {
            if key.is_merge() {
                self.merge(value, &mut entries);
            } else if let Some(key) = self.text(key) {
                entries.push((key, &**value));
            }
        }
        Some(entries)
    }

    /// Any value for JSON: mappings sorted by key, keys as text.
    pub fn json(&mut self, node: &Node) -> Option<Value> {
        Some(match &node.content {
            Content::Scalar { text, .. } => self.scalar(node, "value")?.0.into_json(text),
            Content::Sequence(entries) => {
                entries.iter().map(|entry| self.json(entry).unwrap_or_default()).collect()
            }
            Content::Mapping(_) => {
                let mut sorted = BTreeMap::new();
                for (key, value) in self.entries(node)? {
                    sorted.extend(self.json(value).map(|value| (key, value)));
                }
                Value::Object(sorted.into_iter().collect())
            }
        })
    }

    /// What a scalar means, and its text.
    fn scalar<'n>(&mut self, node: &'n Node, wanted: &str) -> Option<(Meaning, &'n str)> {
        let Content::Scalar { text, plain } = &node.content else {
            self.mismatch(node, wanted);
            return None;
        };
        match meaning(node.tag.as_deref(), text, *plain) {
            Ok(meaning) => Some((meaning, text)),
            Err(problem) => {
                self.note(node, problem.to_owned(), problem.to_owned());
                None
            }
        }
    }

    /// `<<: {…}` or a list of mappings, of which earlier ones take precedence.
    fn merge<'n>(&mut self, node: &'n Node, entries: &mut Vec<(String, &'n Node)>) {
        match &node.content {
            Content::Mapping(_) => entries.extend(self.entries(node).unwrap_or_default()),
            Content::Sequence(nodes) if nodes.iter().all(|node| node.is_mapping()) => {
                for node in nodes.iter().rev() {
                    entries.extend(self.entries(node).unwrap_or_default());
                }
            }
            _ => {
                let problem = "map merge requires map or sequence of maps as the value".to_owned();
                self.note(node, problem.clone(), problem);
            }
        }
    }

    fn mismatch(&mut self, node: &Node, wanted: &str) {
        let problem = format!("cannot unmarshal {} into {wanted}", node.go_name());
        let reason = format!("{} stands where {} is expected", node.plain_name(), plain(wanted));
        self.note(node, problem, reason);
    }

    fn note(&mut self, node: &Node, problem: String, reason: String) {
        self.mismatches.push(Mismatch { place: node.place, problem, reason });
    }
}

impl Node {
    /// Nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { text, plain }
            if meaning(self.tag.as_deref(), text, *plain) == Ok(Meaning::Null))
    }

    fn is_mapping(&self) -> bool {
        matches!(self.content, Content::Mapping(_))
    }

    fn is_merge(&self) -> bool {
        let is_plain_arrows =
            matches!(&self.content, Content::Scalar { text, plain: true } if text == "<<");
        is_plain_arrows && self.tag.as_deref().is_none_or(|tag| tag == "!!merge")
    }

    /// yaml.v2's name for the value: ``!!str `longer …` ``.
    fn go_name(&self) -> String {
        match &self.content {
            Content::Sequence(_) => "!!seq".to_owned(),
            Content::Mapping(_) => "!!map".to_owned(),
            Content::Scalar { text, plain } => {
                let tag = meaning(self.tag.as_deref(), text, *plain).map_or("!!str", |it| it.tag());
                // Go cuts at bytes; letters are kept whole here.
                let shown: String = text.chars().take(7).collect();
                if text.len() > 10 {
                    format!("{tag} `{shown}...`")
                } else {
                    format!("{tag} `{text}`")
                }
            }
        }
    }

    fn plain_name(&self) -> String {
        match &self.content {
            Content::Sequence(_) => "a list".to_owned(),
            Content::Mapping(_) => "a mapping".to_owned(),
            Content::Scalar { text, .. } if text.chars().count() > 40 => {
                format!("`{}…`", text.chars().take(40).collect::<String>())
            }
            Content::Scalar { text, .. } => format!("`{text}`"),
        }
    }
}

fn plain(wanted: &str) -> &str {
    match wanted {
        "string" => "text",
        "int" => "a whole number",
        "list" => "a list",
        "map" => "a mapping (`key: value`, with a blank after the colon)",
        other => other,
    }
}

/// `value` without its fraction, if that fits.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before the cast")]
fn truncated(value: f64) -> Option<i64> {
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    (-LIMIT..LIMIT).contains(&value).then_some(value as i64)
}
