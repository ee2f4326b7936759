//! A create whose answer is not known, and that was asked for another tenant, or of another platform, than the object names now. What is looked for here
//! proves nothing of it: nothing is asked for, and nothing is deleted, until a person has seen to it.

use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::{Decision, Step};
use crate::facts::{DeletionPolicy, ServicesView};
use crate::names::TenantId;
use crate::policy::Policy;
use crate::record::{Intent, OperationKind, Sent};
use crate::timing;

use super::{Deletion, DesiredService, ServiceCase, delete};

impl ServiceCase<'_> {
    fn open_create(&self) -> Option<&Intent> {
        self.record
            .open_intent()
            .filter(|intent| intent.kind == OperationKind::Create && intent.sent == Sent::Maybe)
    }

    /// What is said of an open create that was asked for elsewhere; `None` when there is none. A platform that shows a service for the tenant has got another
    /// address, or was moved: then the service's guid, or `spec.adoption`, decides.
    pub(super) fn asked_elsewhere(
        &self,
        policy: &Policy,
        desired: &DesiredService,
        view: &ServicesView,
    ) -> Option<Trouble> {
        let intent = self.open_create()?;
        let known = self
            .record
            .guid
            .as_ref()
            .is_some_and(|guid| view.with_guid(guid).is_some());
        let shown = known
            || (intent.other_tenant(Some(&desired.tenant)).is_none()
                && view.of_operator_connect().next().is_some());
        elsewhere(intent, policy, Some(&desired.tenant)).filter(|_| !shown)
    }

    /// Once status has an operation, the object stands for the tenant and the platform that status names, which are not those of this one.
    pub(super) fn leave_out(&mut self) {
        if self.record.operation.as_ref().is_some_and(|op| op.task.is_none()) {
            self.record.operation = None;
        }
    }
}

fn elsewhere(intent: &Intent, policy: &Policy, tenant: Option<&TenantId>) -> Option<Trouble> {
    if let Some(place) = intent.other_place(policy.place.as_deref()) {
        let message = format!(
            "A create was asked of the platform at {place}, its outcome is not known, and the LivePlatform names another place now. Set spec.url of the LivePlatform back until it is known; nothing is asked for meanwhile."
        );
        return Some(Trouble::new(Reason::Conflict, message));
    }
    let whose = intent.other_tenant(tenant)?;
    let message = format!(
        "A create was asked for tenant {whose}, its outcome is not known, and this object stands for another tenant now. Have spec.msTenantId, or the Lead of spec.leadRef, name {whose} again until it is known; nothing is asked for meanwhile."
    );
    Some(Trouble::new(Reason::Conflict, message))
}

/// The same for an object that is being deleted: nothing that shows here is what it made. Under Retain it goes when it has waited as long as for a platform of
/// which nothing is known. `None` when the create was asked for here.
pub(super) fn deleted(
    case: &ServiceCase<'_>,
    deletion: &Deletion,
    policy: &Policy,
    intent: &Intent,
) -> Option<Decision> {
    let trouble = elsewhere(intent, policy, deletion.tenant.as_ref())?;
    let mut case = case.copy();
    case.leave_out();
    let end = intent.start + Policy::default().task_deadline;
    if deletion.policy == DeletionPolicy::Retain && case.now >= end {
        return Some(delete::release(
            case,
            "retained; its create was asked for elsewhere",
        ));
    }
    let message = format!(
        "Being deleted, and: {} Or set spec.deletionPolicy to Retain: then this object goes two hours after the create.",
        trouble.message
    );
    let soon = case.now + timing::SLOW_RETRY;
    let again = Step::Blocked(if case.now < end { end.min(soon) } else { soon });
    Some(case.decide(
        again,
        "the outcome of a create can't be looked for",
        Verdict::trouble(&Trouble { message, ..trouble }),
    ))
}
