//! Phone numbers: only how many a tenant has matters (platform-facts.md 6.6).

use super::leads::folded;
use std::collections::HashMap;

/// A phone number.
#[derive(Clone, Debug)]
pub struct Number {
    /// The number's id.
    pub id: String,
    /// The number in E.164 format.
    pub telephone: String,
}

/// Numbers by tenant.
#[derive(Debug, Default)]
pub struct Numbers {
    by_tenant: HashMap<String, Vec<Number>>,
    last: u64,
}

impl Numbers {
    /// Gives a tenant this many more numbers.
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

    /// Removes all numbers of a tenant. Returns how many there were.
    pub fn clear(&mut self, tenant: &str) -> usize {
        self.by_tenant
            .remove(&folded(tenant))
            .map_or(0, |numbers| numbers.len())
    }

    /// Returns the numbers of a tenant.
    pub fn of(&self, tenant: &str) -> &[Number] {
        self.by_tenant.get(&folded(tenant)).map_or(&[], Vec::as_slice)
    }

    /// Returns how many numbers a tenant has.
    pub fn count(&self, tenant: &str) -> usize {
        self.of(tenant).len()
    }

    /// Returns how many numbers there are.
    pub fn total(&self) -> usize {
        self.by_tenant.values().map(Vec::len).sum()
    }
}
