//! Per-tenant lock around "check for competitors, then write the intent".
//!
//! A competitor is visible only by its written intent. So the check and the write must be atomic within the
//! process.

use foldhash::HashSet;
use parking_lot::{Mutex, MutexGuard};

use oc_domain::names::TenantId;
use oc_domain::place::Place;

/// A tenant at a place, whichever `LivePlatform` objects point to it.
type Tenant = (Place, TenantId);

/// The tenants that are claimed now.
#[derive(Default)]
pub struct TenantLocks(Mutex<HashSet<Tenant>>);

/// A claim on a tenant, released on drop.
pub struct Claim<'a> {
    claims: &'a TenantLocks,
    tenant: Tenant,
}

impl TenantLocks {
    fn held(&self) -> MutexGuard<'_, HashSet<Tenant>> {
        self.0.lock()
    }

    /// Claims a tenant; `None` while another pass holds it.
    pub fn claim(&self, place: &Place, tenant: &TenantId) -> Option<Claim<'_>> {
        let tenant = (place.clone(), *tenant);
        let free = self.held().insert(tenant.clone());
        // Not `then_some`: that would build a claim and drop it, which releases another pass's claim.
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
