//! Phone numbers: only that there are some (platform-facts.md 6.6).

use super::leads::folded;
use std::collections::HashMap;

/// A phone number.
#[derive(Clone, Debug)]
pub struct Number {
    /// Its id.
    pub id: String,
    /// E.164.
    pub telephone: String,
}

/// Numbers by tenant.
#[derive(Debug, Default)]
pub struct Numbers {
    by_tenant: HashMap<String, Vec<Number>>,
    last: u64,
}

impl Numbers {
    /// Gives a tenant so many more.
    pub fn add(&mut self, tenant: &str, count: u64, mut id: impl FnMut() -> String) {
        let numbers = self.by_tenant.entry(folded(tenant)).or_default();
        for _ in 0..count {
            self.last += 1;
            numbers.push(Number {
                id: id(),
                telephone: format!("+3120{:07}", self.last),
            });
        }
    }

    /// Takes all from a tenant; how many they were.
    pub fn clear(&mut self, tenant: &str) -> usize {
        self.by_tenant
            .remove(&folded(tenant))
            .map_or(0, |numbers| numbers.len())
    }

    /// Those of a tenant.
    pub fn of(&self, tenant: &str) -> &[Number] {
        self.by_tenant.get(&folded(tenant)).map_or(&[], Vec::as_slice)
    }

    /// How many a tenant has.
    pub fn count(&self, tenant: &str) -> usize {
        self.of(tenant).len()
    }

    /// How many there are.
    pub fn total(&self) -> usize {
        self.by_tenant.values().map(Vec::len).sum()
    }
}
