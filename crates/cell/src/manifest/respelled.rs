//! Texts that YAML reads otherwise than they are written: `VERSION: 3.10` is 3.1, `COUNTRY: no` is false, and so they
//! arrive on the platform. Whoever wrote them is told.

use std::collections::BTreeMap;

use lifecycle::yaml::{Decoder, Node};
use serde_json::Value;

use crate::fields;

/// What of an app has texts in which that matters.
const TEXTS: [&str; 2] = ["env", "name"];

/// One sentence for each such text of the apps in `document`, whose value is `manifest`.
pub(super) fn respelled(document: &Node, manifest: &Value) -> Vec<String> {
    let mut search = Search { decoder: Decoder::default(), sentences: Vec::new() };
    let Some(apps) = manifest["applications"].as_array() else { return search.sentences };
    let Some(nodes) = search.mapping(document).remove("applications") else {
        return search.sentences;
    };
    let nodes = search.decoder.list(nodes).unwrap_or_default();
    for (index, (app, node)) in apps.iter().zip(nodes).enumerate().filter(|it| it.1.0.is_object()) {
        let mut texts = search.mapping(node);
        for key in TEXTS {
            if let Some(node) = texts.remove(key) {
                search.look(node, &app[key], &format!("applications[{index}].{key}"));
            }
        }
    }
    search.sentences
}

struct Search {
    decoder: Decoder,
    sentences: Vec<String>,
}

impl Search {
    fn look(&mut self, node: &Node, value: &Value, place: &str) {
        match value {
            Value::Object(values) => {
                for (key, node) in self.mapping(node) {
                    self.look(node, &values[&key], &format!("{place}.{key}"));
                }
            }
            Value::Array(values) => {
                let nodes = self.decoder.list(node).unwrap_or_default();
                for (index, (value, node)) in values.iter().zip(nodes).enumerate() {
                    self.look(node, value, &format!("{place}[{index}]"));
                }
            }
            Value::Bool(_) | Value::Number(_) => self.compare(node, value, place),
            Value::String(_) | Value::Null => {}
        }
    }

    fn compare(&mut self, node: &Node, value: &Value, place: &str) {
        if self.decoder.text(node).is_some_and(|written| written != fields::text(value)) {
            let kind = if value.is_boolean() { "true or false" } else { "a number" };
            // The value itself may be a secret.
            self.sentences.push(format!(
                "manifest: {place}: YAML takes it for {kind} and does not keep how it is written, as with cf push; put it into quotes"
            ));
        }
    }

    /// Of several values for one key the last counts: merges come first.
    fn mapping<'n>(&mut self, node: &'n Node) -> BTreeMap<String, &'n Node> {
        self.decoder.entries(node).unwrap_or_default().into_iter().collect()
    }
}
