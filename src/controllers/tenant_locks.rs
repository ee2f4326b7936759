//! Who is about to record that a service is to be made for a tenant: one object at a time.
//!
//! Whether another object wants the same is seen in the objects, and that one has recorded its intent shows there only when it is written. Between the look
//! and the write nobody else may look.

use parking_lot::{Mutex, MutexGuard};
use std::collections::HashSet;

use oc_domain::names::TenantId;
use oc_domain::place::Place;

/// A tenant of a platform: whatever `LivePlatform` objects point to it.
type Tenant = (Place, TenantId);

/// The tenants that are claimed now.
#[derive(Default)]
pub struct TenantLocks(Mutex<HashSet<Tenant>>);

/// A tenant is claimed for as long as this is there.
pub struct Claim<'a> {
    claims: &'a TenantLocks,
    tenant: Tenant,
}

impl TenantLocks {
    fn held(&self) -> MutexGuard<'_, HashSet<Tenant>> {
        self.0.lock()
    }

    /// Claims a tenant; `None` while another pass has it.
    pub fn claim(&self, place: &Place, tenant: &TenantId) -> Option<Claim<'_>> {
        let tenant = (place.clone(), tenant.clone());
        let free = self.held().insert(tenant.clone());
        // Not `then_some`: a claim that is made and dropped gives away what another has.
        free.then(|| Claim { claims: self, tenant })
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        self.claims.held().remove(&self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let claims = TenantLocks::default();
        let tenant =
            |last: char| TenantId::parse(&format!("22222222-2222-4222-8222-22222222222{last}")).unwrap();
        let (p, q) = (
            Place::new("https", "p", 443, ""),
            Place::new("https", "q", 443, ""),
        );
        let first = claims.claim(&p, &tenant('1'));
        assert!(first.is_some() && claims.claim(&p, &tenant('1')).is_none());
        assert!(
            claims.claim(&p, &tenant('2')).is_some() && claims.claim(&q, &tenant('1')).is_some(),
            "another tenant, another platform"
        );
        drop(first);
        assert!(claims.claim(&p, &tenant('1')).is_some());
    }
}
