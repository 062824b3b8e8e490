//! The fields of one mapping of a document for people (`manifest.yml`, `stacks.yml`): taken one by one,
//! so that what is left is unknown.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A value that does not fit its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {problem}")]
pub struct FieldError {
    /// Where: `applications[0].memory`.
    pub place: String,
    /// What is wrong with it.
    pub problem: String,
}

/// What is left of a mapping, and where it stands.
#[derive(Debug)]
pub(crate) struct Fields {
    document: &'static str,
    place: String,
    values: Map<String, Value>,
}

impl Fields {
    /// The mapping that stands at `place` of `document` (empty for the document itself).
    pub(crate) fn new(
        document: &'static str,
        place: &str,
        value: Value,
    ) -> Result<Self, FieldError> {
        match value {
            Value::Object(values) => Ok(Self { document, place: place.to_owned(), values }),
            Value::Null => Ok(Self { document, place: place.to_owned(), values: Map::new() }),
            other => {
                let place = if place.is_empty() { "the document" } else { place }.to_owned();
                Err(FieldError {
                    place,
                    problem: format!("{other} stands where a mapping is expected"),
                })
            }
        }
    }

    /// The place of a field.
    pub(crate) fn below(&self, key: &str) -> String {
        if self.place.is_empty() { key.to_owned() } else { format!("{}.{key}", self.place) }
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
        self.take(key)?.ok_or_else(|| self.misfit(key, "is missing"))
    }

    /// Whole seconds, at least one.
    pub(crate) fn seconds(&mut self, key: &str) -> Result<Option<Duration>, FieldError> {
        match self.take::<u32>(key)? {
            Some(0) => Err(self.misfit(key, "must be at least 1 second")),
            seconds => Ok(seconds.map(|seconds| Duration::from_secs(seconds.into()))),
        }
    }

    /// A mapping to texts; other values become the JSON that the Cloud Controller makes of them.
    pub(crate) fn texts(&mut self, key: &str) -> Result<BTreeMap<String, String>, FieldError> {
        let values: Map<String, Value> = self.take(key)?.unwrap_or_default();
        let text = |value| match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            other => other.to_string(),
        };
        Ok(values.into_iter().map(|(key, value)| (key, text(value))).collect())
    }

    /// A list of mappings.
    pub(crate) fn list(&mut self, key: &str) -> Result<Vec<Self>, FieldError> {
        let entries: Vec<Value> = self.take(key)?.unwrap_or_default();
        let place = self.below(key);
        let entry = |(index, value)| Self::new(self.document, &format!("{place}[{index}]"), value);
        entries.into_iter().enumerate().map(entry).collect()
    }

    /// One warning for each field nobody took; those of `elsewhere` mean something on a platform.
    pub(crate) fn unknown(self, elsewhere: &[&str]) -> Vec<String> {
        let warning = |key: &String| {
            let place = self.below(key);
            if elsewhere.contains(&key.as_str()) {
                format!("{}: {place} has no effect on one machine", self.document)
            } else {
                format!("{}: {place} is not known; it is passed over", self.document)
            }
        };
        self.values.keys().map(warning).collect()
    }

    /// A warning for each field nobody took whose name is nearly one of `known`: `application`.
    pub(crate) fn near_misses(self, known: &[&str]) -> Vec<String> {
        let plain = |key: &str| key.to_lowercase().trim_end_matches('s').to_owned();
        let mut warnings = Vec::new();
        for key in self.values.keys() {
            if let Some(meant) = known.iter().find(|name| plain(name) == plain(key)) {
                warnings.push(format!(
                    "{}: {} is not known; is '{meant}' meant?",
                    self.document,
                    self.below(key)
                ));
            }
        }
        warnings
    }
}
