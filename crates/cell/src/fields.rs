//! The fields of one mapping of a document for people (`manifest.yml`, `stacks.yml`): taken one by one,
//! so that what is left is unknown.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// What is said of a key that must be there.
const MISSING: &str = "is missing";

/// A value that does not fit its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct FieldError {
    /// Where: `applications[0].memory`.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

/// A text; a number or a truth is what the Cloud Controller writes for it: `name: 123`.
#[derive(Debug)]
pub(crate) struct Text(pub(crate) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            value @ (Value::String(_) | Value::Bool(_) | Value::Number(_)) => {
                Ok(Self(text(&value)))
            }
            other => Err(D::Error::custom(format!("{other} stands where a text is expected"))),
        }
    }
}

/// What the Cloud Controller makes of a value that is to be a text: of a list or mapping, its JSON.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

/// A document that is read, and what of it YAML takes for something else than is written, by its place: of a number or
/// a truth. Where a text is taken of it, that is told.
#[derive(Debug, Default)]
pub(crate) struct Document {
    /// What people call it: `manifest`.
    pub(crate) name: &'static str,
    /// `applications[0].env.VERSION`: `a number`.
    pub(crate) respelled: BTreeMap<String, &'static str>,
}

/// The place of a field of the mapping at `place`.
pub(crate) fn below(place: &str, key: &str) -> String {
    if place.is_empty() { key.to_owned() } else { format!("{place}.{key}") }
}

/// What people are told of a text that YAML takes for `kind`. The value itself may be a secret.
pub(crate) fn not_as_written(document: &str, place: &str, kind: &str) -> String {
    format!(
        "{document}: {place}: YAML takes it for {kind} and does not keep how it is written, as with cf push; put it into quotes"
    )
}

/// What is left of a mapping, and where it stands.
#[derive(Debug)]
pub(crate) struct Fields {
    document: Rc<Document>,
    place: String,
    values: Map<String, Value>,
    warnings: Vec<String>,
}

impl Fields {
    /// The mapping that is the document.
    pub(crate) fn new(document: Document, value: Value) -> Result<Self, FieldError> {
        Self::at(Rc::new(document), String::new(), value)
    }

    /// The mapping that stands below this one.
    pub(crate) fn within(&self, key: &str, value: Value) -> Result<Self, FieldError> {
        Self::at(Rc::clone(&self.document), self.below(key), value)
    }

    fn at(document: Rc<Document>, place: String, value: Value) -> Result<Self, FieldError> {
        let values = match value {
            Value::Object(values) => values,
            Value::Null => Map::new(),
            other => {
                let place = if place.is_empty() { "the document".to_owned() } else { place };
                let problem = format!("{other} stands where a mapping is expected");
                return Err(FieldError { place, problem });
            }
        };
        Ok(Self { document, place, values, warnings: Vec::new() })
    }

    /// Where it stands.
    pub(crate) fn place(&self) -> &str {
        &self.place
    }

    /// The place of a field.
    pub(crate) fn below(&self, key: &str) -> String {
        below(&self.place, key)
    }

    /// The error of a field.
    pub(crate) fn misfit(&self, key: &str, problem: &str) -> FieldError {
        FieldError { place: self.below(key), problem: problem.to_owned() }
    }

    /// A field's value; `None` when it is missing or null.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>, FieldError> {
        match self.values.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(value) => {
                let value = serde_json::from_value(value);
                value.map(Some).map_err(|error| self.misfit(key, &error.to_string()))
            }
        }
    }

    /// A field that must be there.
    pub(crate) fn required<T: DeserializeOwned>(&mut self, key: &str) -> Result<T, FieldError> {
        self.take(key)?.ok_or_else(|| self.misfit(key, MISSING))
    }

    /// A text.
    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>, FieldError> {
        self.tell_respelled(key);
        Ok(self.take::<Text>(key)?.map(|text| text.0))
    }

    /// A text that must be there.
    pub(crate) fn required_text(&mut self, key: &str) -> Result<String, FieldError> {
        self.tell_respelled(key);
        Ok(self.required::<Text>(key)?.0)
    }

    /// A list of texts.
    pub(crate) fn texts(&mut self, key: &str) -> Result<Option<Vec<String>>, FieldError> {
        self.tell_respelled(key);
        let texts = self.take::<Vec<Text>>(key)?;
        Ok(texts.map(|texts| texts.into_iter().map(|text| text.0).collect()))
    }

    /// A list of texts that must be there.
    pub(crate) fn required_texts(&mut self, key: &str) -> Result<Vec<String>, FieldError> {
        self.texts(key)?.ok_or_else(|| self.misfit(key, MISSING))
    }

    /// Whole seconds, at least one.
    pub(crate) fn seconds(&mut self, key: &str) -> Result<Option<Duration>, FieldError> {
        match self.take::<u32>(key)? {
            Some(0) => Err(self.misfit(key, "must be at least 1 second")),
            seconds => Ok(seconds.map(|seconds| Duration::from_secs(seconds.into()))),
        }
    }

    /// A mapping to texts, of whatever values.
    pub(crate) fn variables(&mut self, key: &str) -> Result<BTreeMap<String, String>, FieldError> {
        self.tell_respelled(key);
        let values: Map<String, Value> = self.take(key)?.unwrap_or_default();
        Ok(values.into_iter().map(|(key, value)| (key, text(&value))).collect())
    }

    /// A list of mappings.
    pub(crate) fn list(&mut self, key: &str) -> Result<Vec<Self>, FieldError> {
        let entries: Vec<Value> = self.take(key)?.unwrap_or_default();
        let entry = |(index, value)| self.within(&format!("{key}[{index}]"), value);
        entries.into_iter().enumerate().map(entry).collect()
    }

    /// Has it told that what is at `key`, or below it, is taken as text and does not look as it is written.
    pub(crate) fn tell_respelled(&mut self, key: &str) {
        let place = self.below(key);
        let is_there = |it: &str| {
            it.strip_prefix(&place)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        };
        let found = self.document.respelled.iter().filter(|(place, _)| is_there(place));
        let told = found.map(|(place, kind)| not_as_written(self.document.name, place, kind));
        self.warnings.extend(told);
    }

    /// What is to be told, and one warning for each field nobody took; those of `elsewhere` mean something on a platform.
    pub(crate) fn warnings(self, elsewhere: &[&str]) -> Vec<String> {
        let warning = |key: &String| {
            let (document, place) = (self.document.name, self.below(key));
            if elsewhere.contains(&key.as_str()) {
                format!("{document}: {place} has no effect on one machine")
            } else {
                format!("{document}: {place} is not known; it is passed over")
            }
        };
        let unknown = self.values.keys().map(warning);
        self.warnings.iter().cloned().chain(unknown).collect()
    }

    /// A warning for each field nobody took whose name is nearly one of `known`: `application`.
    pub(crate) fn near_misses(self, known: &[&str]) -> Vec<String> {
        let plain = |key: &str| key.to_lowercase().trim_end_matches('s').to_owned();
        let mut warnings = Vec::new();
        for key in self.values.keys() {
            if let Some(meant) = known.iter().find(|name| plain(name) == plain(key)) {
                warnings.push(format!(
                    "{}: {} is not known; is '{meant}' meant?",
                    self.document.name,
                    self.below(key)
                ));
            }
        }
        warnings
    }
}
