//! `((name))` in a manifest: filled from `--var name=value` and `--vars-file FILE`.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lifecycle::yaml::{self, Decoder, YamlError};
use serde_json::Value;

use super::respelled::respelled;
use crate::fields::{self, not_as_written};

/// Variables by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variables {
    values: BTreeMap<String, Value>,
    /// One sentence for each value that YAML takes for something else than is written.
    pub(super) warnings: Vec<String>,
}

/// A variable that can't be filled in, or is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VariableError {
    /// Names without a value.
    #[error("Expected to find variables: {}; give them by --var NAME=VALUE or --vars-file FILE", .0.join(", "))]
    Missing(Vec<String>),
    /// `--var` without `=`.
    #[error("--var {0}: expected NAME=VALUE")]
    NoValue(String),
    /// A list or mapping inside a text.
    #[error("(({0})) is a list or a mapping: it can only stand alone, not within a text")]
    Inside(String),
}

impl Variables {
    /// Adds `NAME=VALUE`; the value is a number or a truth where YAML takes it for one, as with `cf push`, and else text:
    /// without quotes where it has them.
    pub(crate) fn add(&mut self, assignment: &str) -> Result<(), VariableError> {
        let Some((name, value)) = assignment.split_once('=') else {
            return Err(VariableError::NoValue(assignment.to_owned()));
        };
        let node = yaml::parse(value.as_bytes()).ok().flatten();
        let read = node.as_ref().and_then(|node| Decoder::default().json(node));
        let value = match (read, node) {
            (Some(read @ (Value::Bool(_) | Value::Number(_))), Some(node)) => {
                // Those that are typed are the shell's.
                let quoted = |kind| {
                    format!("{}: --var 'NAME=\"VALUE\"'", not_as_written("--var", name, kind))
                };
                self.warnings.extend(respelled(&node, &read, name).into_values().map(quoted));
                read
            }
            (Some(read @ Value::String(_)), _) if value.starts_with(['"', '\'']) => read,
            _ => Value::String(value.to_owned()),
        };
        self.values.insert(name.to_owned(), value);
        Ok(())
    }

    /// Adds the mapping of the vars file `path`; what is there already stays: flags win over files.
    pub(crate) fn add_file(&mut self, path: &Path, text: &[u8]) -> Result<(), YamlError> {
        let Some(document) = yaml::parse(text)? else { return Ok(()) };
        let mut decoder = Decoder::default();
        for (name, node) in decoder.entries(&document).unwrap_or_default() {
            if let Some(value) = decoder.json(node)
                && let Entry::Vacant(vacant) = self.values.entry(name)
            {
                let name = vacant.key();
                let document = path.display().to_string();
                let told = |(place, kind): (String, _)| not_as_written(&document, &place, kind);
                self.warnings.extend(respelled(node, &value, name).into_iter().map(told));
                vacant.insert(value);
            }
        }
        decoder.finish()
    }

    /// `value` with all variables in it filled in, in keys as in values.
    pub(crate) fn fill(&self, value: Value) -> Result<Value, VariableError> {
        let mut missing = BTreeSet::new();
        let filled = self.filled(value, &mut missing)?;
        if missing.is_empty() {
            Ok(filled)
        } else {
            Err(VariableError::Missing(missing.into_iter().collect()))
        }
    }

    fn filled(&self, value: Value, missing: &mut BTreeSet<String>) -> Result<Value, VariableError> {
        Ok(match value {
            Value::String(text) => self.filled_text(&text, missing)?,
            Value::Array(entries) => {
                let entries = entries.into_iter().map(|entry| self.filled(entry, missing));
                Value::Array(entries.collect::<Result<_, _>>()?)
            }
            Value::Object(entries) => {
                let entries = entries.into_iter().map(|(key, value)| {
                    let key = fields::text(&self.filled_text(&key, missing)?);
                    Ok((key, self.filled(value, missing)?))
                });
                Value::Object(entries.collect::<Result<_, _>>()?)
            }
            other => other,
        })
    }

    /// A text that is one variable becomes its value, of whatever type; within a text it becomes text.
    fn filled_text(
        &self,
        text: &str,
        missing: &mut BTreeSet<String>,
    ) -> Result<Value, VariableError> {
        let mut filled = String::new();
        let mut rest = text;
        while let Some((before, name, after)) = variable(rest) {
            filled.push_str(before);
            match self.values.get(name) {
                Some(value) if before.len() + after.len() == 0 && filled.is_empty() => {
                    return Ok(value.clone());
                }
                Some(Value::Array(_) | Value::Object(_)) => {
                    return Err(VariableError::Inside(name.to_owned()));
                }
                Some(value) => filled.push_str(&fields::text(value)),
                None => {
                    missing.insert(name.to_owned());
                }
            }
            rest = after;
        }
        filled.push_str(rest);
        Ok(Value::String(filled))
    }
}

/// The first `((name))` of a text: what stands before it, the name, what stands after it.
fn variable(text: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let start = from + text.get(from..)?.find("((")?;
        let (name, after) = text.get(start + 2..)?.split_once("))")?;
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || "-_./".contains(letter);
        if !name.is_empty() && name.chars().all(is_name) {
            return Some((text.get(..start)?, name, after));
        }
        from = start + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn variables(assignments: &[&str]) -> Variables {
        let mut variables = Variables::default();
        for assignment in assignments {
            variables.add(assignment).unwrap();
        }
        variables
    }

    #[test]
    fn variables_are_filled_in_wherever_they_stand() {
        let variables = variables(&["n=2", "host=shop", "on=true", "text=((host))"]);
        for (value, filled) in [
            (json!("((n))"), json!(2)),
            (json!("((on))"), json!(true)),
            (json!("((host))-((n)).example"), json!("shop-2.example")),
            (json!({"((host))": ["((host))", 1]}), json!({"shop": ["shop", 1]})),
            // A value is not searched again.
            (json!("((text))"), json!("((host))")),
            // No variables: shell arithmetic, an open end.
            (json!("echo $((1 + 2))"), json!("echo $((1 + 2))")),
            (json!("((host"), json!("((host")),
            (json!("(((host)))"), json!("(shop)")),
        ] {
            assert_eq!(variables.fill(value.clone()), Ok(filled), "{value}");
        }
    }

    #[test]
    fn all_missing_variables_are_named() {
        let error = variables(&[]).fill(json!(["((b))", {"k": "((a)) ((b))"}])).unwrap_err();
        assert_eq!(error, VariableError::Missing(vec!["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn flags_win_over_files_and_files_have_types() {
        let mut variables = variables(&["a=flag"]);
        variables.add_file(Path::new("vars"), b"a: no\nlist: [u, v]\n").unwrap();
        assert_eq!(variables.fill(json!(["((a))", "((list))"])), Ok(json!(["flag", ["u", "v"]])));
        // It was told of `a: no` all the same.
        assert_eq!(variables.warnings, Vec::<String>::new());
        assert_eq!(
            variables.fill(json!("- ((list))")),
            Err(VariableError::Inside("list".to_owned()))
        );
        assert_eq!(variables.add("novalue"), Err(VariableError::NoValue("novalue".to_owned())));
    }

    /// `--var v='"3.10"'` had the quotes in its value, so that 3.10 could not be said; `--var c=no` was a text, of which
    /// the CLI makes false; and nobody learnt what became of either.
    #[test]
    fn values_are_read_as_yaml_and_what_is_not_kept_as_it_is_written_is_said() {
        let mut variables =
            variables(&["a=3.10", "b=no", "c=\"3.10\"", "d=a: [b", "e=[1]", "f=2.5"]);
        variables.add_file(Path::new("my.yml"), b"g: 1.0\nh: [x, off]\ni: '010'\n").unwrap();
        let all = json!(["((a))", "((b))", "((c))", "((d))", "((e))", "((f))", "((g))", "((h))"]);
        let read = json!([3.1, false, "3.10", "a: [b", "[1]", 2.5, 1, ["x", false]]);
        assert_eq!(variables.fill(all), Ok(read));
        let said: Vec<_> = variables.warnings.iter().map(|it| it.split(" and").next()).collect();
        let expected = [
            "--var: a: YAML takes it for a number",
            "--var: b: YAML takes it for true or false",
            "my.yml: g: YAML takes it for a number",
            "my.yml: h[1]: YAML takes it for true or false",
        ];
        assert_eq!(said, expected.map(Some));
        let end = "written, as with cf push; put it into quotes";
        assert!(variables.warnings[2].ends_with(end), "{:?}", variables.warnings);
        let end = format!("{end}: --var 'NAME=\"VALUE\"'");
        assert!(variables.warnings[1].ends_with(&end), "{:?}", variables.warnings);
    }
}
