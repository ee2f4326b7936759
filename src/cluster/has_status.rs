//! What the status of every kind has in common.

use oc_api::Condition;
use oc_domain::conditions::Reason;

/// The fields that every status of ours has.
pub trait HasStatus {
    /// `observedGeneration`
    fn observed(&self) -> Option<i64>;
    /// `conditions`
    fn conditions(&self) -> &[Condition];
    /// `lastHandledReconcileAt`
    fn handled(&self) -> Option<&String>;
}

/// Implements [`HasStatus`] for a status with the usual fields.
macro_rules! has_status {
    ($($status:ty),+) => {$(
        impl HasStatus for $status {
            fn observed(&self) -> Option<i64> {
                self.observed_generation
            }

            fn conditions(&self) -> &[Condition] {
                &self.conditions
            }

            fn handled(&self) -> Option<&String> {
                self.last_handled_reconcile_at.as_ref()
            }
        }
    )+};
}

has_status!(
    oc_api::LeadPolicyStatus,
    oc_api::LeadStatus,
    oc_api::LivePlatformStatus,
    oc_api::OcEssentialServiceStatus
);

/// Returns the reason of `Stalled`, if status describes this generation.
pub fn stalled_for(status: Option<&dyn HasStatus>, generation: i64) -> Option<Reason> {
    let status = status.filter(|status| status.observed() == Some(generation))?;
    let stalled = status
        .conditions()
        .iter()
        .find(|condition| condition.type_ == "Stalled" && condition.status == "True")?;
    Reason::parse(&stalled.reason)
}

/// For tests: a status with one condition.
#[cfg(test)]
pub fn status_with(generation: i64, kind: &str, truth: &str, reason: &str) -> oc_api::LeadStatus {
    let condition = Condition {
        type_: kind.into(),
        status: truth.into(),
        reason: reason.into(),
        message: "x".into(),
        observed_generation: Some(generation),
        last_transition_time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            crate::runtime::clock::timestamp(oc_domain::time::Time(0)),
        ),
    };
    oc_api::LeadStatus {
        observed_generation: Some(generation),
        conditions: vec![condition],
        ..oc_api::LeadStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::status_with as status;
    use super::*;

    #[test]
    fn what_status_says_of_a_trouble_counts_for_the_spec_it_speaks_of() {
        let table = [
            (
                status(3, "Stalled", "True", "PlatformUnavailable"),
                Some(Reason::PlatformUnavailable),
            ),
            (status(2, "Stalled", "True", "PlatformUnavailable"), None),
            (status(3, "Reconciling", "True", "PlatformUnavailable"), None),
            (status(3, "Stalled", "False", "PlatformUnavailable"), None),
            (status(3, "Stalled", "True", "SomebodyElsesReason"), None),
        ];
        for (status, expected) in table {
            assert_eq!(stalled_for(Some(&status), 3), expected, "{status:?}");
        }
        assert_eq!(stalled_for(None, 3), None);
    }
}
