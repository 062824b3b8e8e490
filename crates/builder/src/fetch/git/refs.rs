//! Branches and tags with names like the one that is missing.

/// So many of them are named.
const NAMED: usize = 3;

/// What to say when `wanted` is not among the refs that `git ls-remote` listed.
pub(super) fn missing(wanted: &str, listing: &str) -> String {
    let names = names(listing);
    let (which, shown) = match near(wanted, &names) {
        near if near.is_empty() => ("it has", names),
        near => ("near it:", near),
    };
    let list: Vec<String> = shown.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let hint = if list.is_empty() { "" } else { &format!("; {which} {}", list.join(", ")) };
    format!("The repository has no branch, tag or commit `{wanted}`{hint}")
}

/// The names of branches and tags.
fn names(listing: &str) -> Vec<&str> {
    let named = listing.lines().filter_map(|line| {
        let (_, name) = line.split_once('\t')?;
        name.strip_prefix("refs/heads/").or_else(|| name.strip_prefix("refs/tags/"))
    });
    // `v1^{}` is what the tag `v1` points at.
    named.filter(|name| !name.ends_with("^{}")).collect()
}

/// Those a few letters away, or with one name within the other; nearest first.
fn near<'a>(wanted: &str, names: &[&'a str]) -> Vec<&'a str> {
    let wanted = wanted.to_lowercase();
    let mut rated: Vec<(usize, &str)> = names
        .iter()
        .filter_map(|name| {
            let lower = name.to_lowercase();
            let distance = distance(&wanted, &lower);
            let related = lower.contains(&wanted) || wanted.contains(&lower);
            (related || distance <= wanted.len().div_ceil(4)).then_some((distance, *name))
        })
        .collect();
    rated.sort_by_key(|(distance, _)| *distance);
    rated.into_iter().map(|(_, name)| name).collect()
}

/// How many letters must be put in, taken out or changed to make `a` of `b`.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, letter) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (column, other) in b.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const LISTING: &str = "warning: x\n1\tHEAD\n1\trefs/heads/main\n1\trefs/heads/develop\n\
                           2\trefs/tags/v1.7.3\n3\trefs/tags/v1.7.3^{}\n4\trefs/tags/v1.8.0\n\
                           5\trefs/pull/7/head\n";

    #[test]
    fn near_names_are_given_nearest_first() {
        for (wanted, hint) in [
            ("v1.7.4", "; near it: `v1.7.3`, `v1.8.0`"),
            ("1.7.3", "; near it: `v1.7.3`"),
            ("Main", "; near it: `main`"),
            ("develp", "; near it: `develop`"),
            ("something-else", "; it has `main`, `develop`, `v1.7.3`"),
        ] {
            assert_eq!(
                missing(wanted, LISTING),
                format!("The repository has no branch, tag or commit `{wanted}`{hint}")
            );
        }
        assert_eq!(missing("x", ""), "The repository has no branch, tag or commit `x`");
    }
}
