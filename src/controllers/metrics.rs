//! What passes and calls report to the metrics, as it happens.

use std::sync::Arc;
use std::time::Duration;

use live_platform::{CallOutcome, Endpoint, Observer};
use oc_domain::conditions::{ConditionStatus, Reason, Verdict};
use oc_domain::decision::Decision;
use oc_domain::pass::Pass;

use crate::cluster::key::Kind;
use crate::platform::budget::BudgetEvent;
use crate::runtime::driver::{PassResult, WriteError};
use crate::runtime::workqueue::Priority;

/// How a pass ended. A closed list, so that it can be a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassOutcome {
    /// Everything matches the spec.
    Ready,
    /// It waits for something that happens without a person, or for nothing.
    Waiting,
    /// It requested a change from the platform.
    Asked,
    /// A person must act.
    Stalled,
    /// The platform could not be read or called: it is unavailable, throttles, or refuses the credential.
    Failed,
    /// The object changed during the pass; it is requeued at once.
    Conflict,
    /// The API server did not accept a write.
    Unwritten,
    /// The object is gone, or its finalizer was removed.
    Gone,
}

impl PassOutcome {
    /// Every outcome, in the order of the enum.
    pub const ALL: [PassOutcome; 8] = [
        Self::Ready,
        Self::Waiting,
        Self::Asked,
        Self::Stalled,
        Self::Failed,
        Self::Conflict,
        Self::Unwritten,
        Self::Gone,
    ];

    /// The label value.
    pub fn label(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Waiting => "waiting",
            Self::Asked => "asked",
            Self::Stalled => "stalled",
            Self::Failed => "failed",
            Self::Conflict => "conflict",
            Self::Unwritten => "unwritten",
            Self::Gone => "gone",
        }
    }

    /// The outcome of a pass whose own writes succeeded.
    pub(crate) fn of(verdict: &Verdict, asked: bool) -> Self {
        match verdict.reason {
            Reason::PlatformUnavailable | Reason::Throttled | Reason::AuthenticationFailed => Self::Failed,
            _ if asked => Self::Asked,
            _ if verdict.ready == ConditionStatus::True => Self::Ready,
            _ if verdict.stalled => Self::Stalled,
            _ => Self::Waiting,
        }
    }

    /// The outcome of a pass whose write failed.
    pub(crate) fn unwritten(failed: &WriteError) -> Self {
        match failed {
            WriteError::NotFound => Self::Gone,
            WriteError::Conflict => Self::Conflict,
            WriteError::Rejected(_) | WriteError::Dropped(_) | WriteError::Unanswered(_) => Self::Unwritten,
        }
    }

    pub(crate) fn of_pass((pass, decision, ended): &(Pass, Decision, PassResult)) -> Self {
        match ended {
            PassResult::Released | PassResult::Gone => Self::Gone,
            PassResult::Unwritten(failed) => Self::unwritten(failed),
            PassResult::Until(..) => Self::of(&decision.verdict, pass.asked.is_some()),
        }
    }
}

/// Metrics sink. Methods must not block; the default implementations do nothing.
pub trait MetricsSink: Send + Sync {
    /// An item was taken from the work queue after this wait.
    fn dequeued(&self, _lane: Priority, _waited: Duration) {}
    /// A pass ended.
    fn reconciled(&self, _kind: Kind, _outcome: PassOutcome, _took: Duration) {}
    /// The first pass over a new object began this long after its creation.
    fn first_look(&self, _kind: Kind, _after: Duration) {}
    /// A new object became Ready for the first time, this long after its creation.
    fn ready(&self, _kind: Kind, _after: Duration) {}
    /// A status could not be written.
    fn status_unwritten(&self, _kind: Kind) {}
    /// A call to a platform finished.
    fn call_finished(
        &self,
        _platform: &Arc<str>,
        _endpoint: Endpoint,
        _outcome: CallOutcome,
        _took: Duration,
    ) {
    }
    /// The budget of a platform changed state.
    fn budget(&self, _platform: &Arc<str>, _news: BudgetEvent) {}
}

/// A sink that counts nothing.
impl MetricsSink for () {}

/// Reports the calls of one platform.
pub(crate) struct Calls {
    pub(crate) metrics: Arc<dyn MetricsSink>,
    pub(crate) platform: Arc<str>,
}

impl Observer for Calls {
    fn call_finished(&self, endpoint: Endpoint, outcome: CallOutcome, elapsed: Duration) {
        self.metrics
            .call_finished(&self.platform, endpoint, outcome, elapsed);
    }
}
