//! Creates a consentless lead when the platform has none and the spec asks for one.

use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::{Change, Decision, Query, Step, Wake};
use crate::facts::{Absence, Fact, LeadsView};
use crate::names::TenantId;
use crate::policy::Policy;
use crate::record::{OperationKind, Outcome, Sent};
use crate::requests::NewLead;
use crate::timing;

use super::{DesiredLead, LeadCase};

impl LeadCase<'_> {
    /// Decides what to do when the list shows no lead for the tenant.
    ///
    /// This needs a list read in this pass: people apply the object just after the lead was made, and no read
    /// follows an intent.
    pub(super) fn when_absent(self, policy: &Policy, desired: &DesiredLead, view: &LeadsView) -> Decision {
        let since = self.facts.pass_started;
        if self.facts.leads.since(since).is_none() {
            return self.look(Query::Leads, since, "is there still no lead");
        }
        if let Some(decision) = self.not_proven(view).or_else(|| self.unbelieved()) {
            return decision;
        }
        let Some(company_name) = &desired.consentless else {
            let message = format!(
                "The platform has no lead for tenant {}. The customer must choose your company as its operator in the Teams admin center. Or set spec.consentless to have a consentless lead created.",
                desired.tenant
            );
            return self.missing(
                Trouble::new(Reason::LeadNotFound, message),
                "no lead for the tenant",
            );
        };
        self.create(policy, &desired.tenant, company_name)
    }

    fn create(mut self, policy: &Policy, tenant: &TenantId, company_name: &str) -> Decision {
        if let Some(decision) = self.rest_after_refusal(OperationKind::Create) {
            return decision;
        }
        let verdict = Verdict::not_ready(
            Reason::Progressing,
            "Asking the platform to create the consentless lead.",
        );
        if self.record.may_send(OperationKind::Create, self.now) {
            let new = NewLead {
                tenant: *tenant,
                company_name: company_name.to_owned(),
            };
            return self.decide(
                Step::Execute(Change::CreateLead(new)),
                "no lead, and the intent is recorded",
                verdict,
            );
        }
        if let Some(intent) = self
            .record
            .open_intent()
            .filter(|intent| intent.sent == Sent::Maybe)
            .cloned()
        {
            if self.facts.pass_started < intent.start + policy.create_grace {
                let until = timing::next_look(self.now, intent.start);
                let verdict = Verdict::not_ready(
                    Reason::Verifying,
                    "The lead was requested. Checking whether it appears.",
                );
                return self.decide(
                    Step::Wait(until, Wake::Inventory),
                    "the effect has not appeared yet",
                    verdict,
                );
            }
            self.record.end_operation(Outcome::Unknown, self.now, Vec::new());
        }
        if let Some(decision) = self.no_such_tenant(policy, tenant) {
            return decision;
        }
        let mark = self.begin(OperationKind::Create, tenant, policy);
        self.decide(mark, "the intent comes before the effect", verdict)
    }

    /// Looks up the tenant, if the platform object says so, and reports a tenant that does not exist. `None`
    /// if the lead may be requested. The platform itself accepts any id (platform-facts-3.md 3).
    fn no_such_tenant(&self, policy: &Policy, tenant: &TenantId) -> Option<Decision> {
        if !policy.tenant_lookup {
            return None;
        }
        match &self.facts.tenant_exists {
            Fact::Unread => Some(self.copy().look(
                Query::Directory(*tenant),
                self.facts.pass_started,
                "is there such a tenant",
            )),
            Fact::Unreadable(trouble) => Some(self.copy().unreadable(trouble)),
            Fact::Known { value: true, .. } => None,
            Fact::Known { value: false, .. } => {
                let message = format!(
                    "Microsoft's directory has no tenant {tenant}, so no lead was requested. Correct spec.msTenantId. If the tenant is in another Microsoft cloud, set spec.tenantLookup.url of the LivePlatform to that cloud, or remove spec.tenantLookup."
                );
                let trouble = Trouble::new(Reason::InvalidSpec, message);
                Some(self.copy().stop(trouble, "no such tenant"))
            }
        }
    }

    /// The step still needed to prove that the lead does not exist. `None` when that is proven.
    pub(super) fn not_proven(&self, view: &LeadsView) -> Option<Decision> {
        match view.absence() {
            Absence::Proven => None,
            Absence::Unconfirmed => Some(self.copy().look(
                Query::LeadsOfTenant,
                self.facts.pass_started,
                "is the lead missing only from the list",
            )),
            Absence::NotWhole => Some(self.copy().stop(
                LeadsView::not_whole(),
                "the list of the tenant's leads is incomplete",
            )),
        }
    }
}
