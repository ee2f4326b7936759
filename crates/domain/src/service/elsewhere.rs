//! A create of unknown outcome that was requested for another tenant, or from another platform, than the
//! object names now. What can be read here proves nothing about it. So nothing is requested and nothing is
//! deleted until a person resolves it.

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

    /// The trouble to report for an open create that was requested elsewhere. `None` when there is none. If
    /// this platform shows a service for the tenant, its address changed or it was moved: then the guid of
    /// the service, or `spec.adoption`, decides.
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

    /// Keeps an operation without a task out of status. Once status has an operation, the object stands for
    /// the tenant and platform in status, and this create belongs to others.
    pub(super) fn leave_out(&mut self) {
        if self.record.operation.as_ref().is_some_and(|op| op.task.is_none()) {
            self.record.operation = None;
        }
    }
}

fn elsewhere(intent: &Intent, policy: &Policy, tenant: Option<&TenantId>) -> Option<Trouble> {
    if let Some(place) = intent.other_place(policy.place.as_deref()) {
        let message = format!(
            "A create was requested from the platform at {place}, its outcome is unknown, and the LivePlatform now names another place. Set spec.url of the LivePlatform back until the outcome is known. Until then the operator requests nothing."
        );
        return Some(Trouble::new(Reason::Conflict, message));
    }
    let whose = intent.other_tenant(tenant)?;
    let message = format!(
        "A create was requested for tenant {whose}, its outcome is unknown, and this object is now for another tenant. Set spec.msTenantId, or the Lead of spec.leadRef, back to {whose} until the outcome is known. Until then the operator requests nothing."
    );
    Some(Trouble::new(Reason::Conflict, message))
}

/// Like `asked_elsewhere`, for an object that is being deleted: nothing listed here was made by it. Under
/// Retain the object is released after the wait for a platform of unknown speed. `None` when the create was
/// requested here.
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
            "retained; its create was requested elsewhere",
        ));
    }
    let way_out = match deletion.policy {
        DeletionPolicy::Retain => "Otherwise the operator releases this object two hours after the create.",
        DeletionPolicy::Delete => {
            "Or set spec.deletionPolicy to Retain: then the operator releases this object two hours after the create."
        }
    };
    let message = format!("This object is being deleted, but: {} {way_out}", trouble.message);
    let soon = case.now + timing::SLOW_RETRY;
    let again = Step::Blocked(if case.now < end { end.min(soon) } else { soon });
    Some(case.decide(
        again,
        "the outcome of a create can't be looked for",
        Verdict::trouble(&Trouble {
            message: message.into(),
            ..trouble
        }),
    ))
}
