//! What YAML reads otherwise than it is written: `VERSION: 3.10` is 3.1, `COUNTRY: no` is false, and as texts so they
//! arrive on the platform.

use std::collections::BTreeMap;

use lifecycle::yaml::{Decoder, Node};
use serde_json::Value;

use crate::fields;

/// The places of such values in `node`, whose value is `value` and which stands at `place`, and what YAML takes them for.
pub(super) fn respelled(node: &Node, value: &Value, place: &str) -> BTreeMap<String, &'static str> {
    let mut search = Search::default();
    search.look(node, value, place);
    search.found
}

#[derive(Default)]
struct Search {
    decoder: Decoder,
    found: BTreeMap<String, &'static str>,
}

impl Search {
    fn look(&mut self, node: &Node, value: &Value, place: &str) {
        match value {
            Value::Object(values) => {
                // Of several values for one key the last counts: merges come first.
                let nodes = self.decoder.entries(node).unwrap_or_default();
                for (key, node) in nodes.into_iter().collect::<BTreeMap<_, _>>() {
                    if let Some(value) = values.get(&key) {
                        self.look(node, value, &fields::below(place, &key));
                    }
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
            self.found.insert(place.to_owned(), kind);
        }
    }
}
