//! What makes a policy run: a change of the policy, or of a lead or a service of its namespace. Changes that
//! come together make one run.

use std::time::Duration;

use kube::ResourceExt;
use oc_domain::lead_policy::ONBOARDING_FINALIZER;

use crate::cluster::key::{Group, Kind, ObjectKey};
use crate::cluster::record::LEAD_POLICY_LABEL;
use crate::controllers::context::Context;
use crate::runtime::clock;
use crate::runtime::workqueue::Priority;
use oc_api::OcEssentialService;

/// How long a run waits for further changes.
const TOGETHER: Duration = Duration::from_millis(300);

/// The runs for one platform are made one after another: they choose names from the same list.
pub fn group(context: &Context, key: &ObjectKey) -> Group {
    let policy = context.cache.policies.of(key);
    let platform = policy.map(|policy| policy.spec.platform.clone());
    (Kind::LeadPolicy, platform.unwrap_or_default().into())
}

/// Has a policy run soon.
pub fn wake(context: &Context, key: &ObjectKey) {
    let at = clock::now() + TOGETHER;
    let group = group(context, key);
    context
        .onboardings
        .add_at(at, key.clone(), group, Priority::Observe);
}

/// Called when a lead or a service of a namespace has changed.
pub fn changed(context: &Context, namespace: &str) {
    for key in context.policies.of_namespace(namespace) {
        wake(context, &key);
    }
}

/// Called when a service has changed. The policy that has created it may be gone and have something to finish.
pub fn service_changed(context: &Context, object: &OcEssentialService) {
    let namespace = object.namespace().unwrap_or_default();
    changed(context, &namespace);
    if object
        .finalizers()
        .iter()
        .any(|name| name == ONBOARDING_FINALIZER)
        && let Some(policy) = object.labels().get(LEAD_POLICY_LABEL)
    {
        wake(context, &ObjectKey::policy(&namespace, policy));
    }
}

/// Called when the lists of a platform have changed, or it can be used again.
pub fn platform_changed(context: &Context, platform: &str) {
    let siblings = context.cache.index.siblings(platform);
    for key in context.policies.all() {
        let policy = context.cache.policies.of(&key);
        if policy.is_some_and(|policy| siblings.contains(&policy.spec.platform)) {
            wake(context, &key);
        }
    }
}
