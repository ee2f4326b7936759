//! The namespaces whose leads and services the operator handles.

use std::collections::BTreeSet;

use crate::cluster::managed::ManagedResource;

/// All namespaces, or a list. Outside of it nothing is read or written, so no permission is needed there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope(Option<BTreeSet<String>>);

impl Scope {
    /// Creates a scope of these namespaces; of all if there are none.
    pub fn of(namespaces: &[String]) -> Self {
        let named: BTreeSet<String> = namespaces
            .iter()
            .filter(|name| !name.is_empty())
            .cloned()
            .collect();
        Self((!named.is_empty()).then_some(named))
    }

    /// Whether a namespace is in scope.
    pub fn holds(&self, namespace: &str) -> bool {
        self.0.as_ref().is_none_or(|named| named.contains(namespace))
    }

    /// Returns the listed namespaces; none if the scope is all namespaces.
    pub fn named(&self) -> impl Iterator<Item = &str> {
        self.0.iter().flatten().map(String::as_str)
    }

    /// Returns what to watch for a namespaced kind: everything at once, or each namespace separately.
    pub fn parts(&self) -> Vec<Option<String>> {
        match &self.0 {
            None => vec![None],
            Some(named) => named.iter().cloned().map(Some).collect(),
        }
    }

    /// Returns what to watch for a kind.
    pub fn parts_of<K: ManagedResource>(&self) -> Vec<Option<String>> {
        if K::NAMESPACED { self.parts() } else { vec![None] }
    }
}

impl std::fmt::Display for Scope {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            None => f.write_str("all namespaces"),
            Some(named) => f.write_str(&named.iter().map(String::as_str).collect::<Vec<_>>().join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(names: &[&str]) -> Scope {
        Scope::of(&names.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    #[test]
    fn nothing_named_is_everything_and_a_name_is_watched_once() {
        for all in [scope(&[]), scope(&[""])] {
            assert_eq!(all.named().count(), 0);
            assert_eq!(
                (all.parts(), all.holds("a"), all.to_string().as_str()),
                (vec![None], true, "all namespaces")
            );
        }
        let some = scope(&["b", "a", "b", ""]);
        assert_eq!(some.parts(), [Some("a".to_owned()), Some("b".to_owned())]);
        assert_eq!(
            (some.holds("a"), some.holds("c"), some.to_string().as_str()),
            (true, false, "a, b")
        );
    }
}
