//! What passes and calls are worth counting for: told to whoever counts, as it happens.

use std::time::Duration;

use live_platform::{CallOutcome, Endpoint, Observer};
use oc_domain::conditions::{ConditionStatus, Reason, Verdict};
use oc_domain::decision::Decision;
use oc_domain::pass::Pass;

use crate::cluster::key::Kind;
use crate::platform::budget::BudgetEvent;
use crate::runtime::driver::{PassResult, WriteError};
use crate::runtime::workqueue::Priority;

/// How a pass ended: a closed list, so that it can be a label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PassOutcome {
    /// All is as it should be.
    Ready,
    /// It waits for what comes by itself, or for nothing.
    Waiting,
    /// A change was asked of the platform.
    Asked,
    /// A person must act.
    Stalled,
    /// The platform could not be read or asked: it is away, throttles, or refuses the credential.
    Failed,
    /// The object was changed meanwhile: it is looked at again at once.
    Conflict,
    /// The API server did not take a write of ours.
    Unwritten,
    /// The object is gone, or was let go.
    Gone,
}

impl PassOutcome {
    /// All of them.
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

    /// The name for a label.
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

    /// Of a pass whose own writes went well.
    pub(crate) fn of(verdict: &Verdict, asked: bool) -> Self {
        match verdict.reason {
            Reason::PlatformUnavailable | Reason::Throttled | Reason::AuthenticationFailed => Self::Failed,
            _ if asked => Self::Asked,
            _ if verdict.ready == ConditionStatus::True => Self::Ready,
            _ if verdict.stalled => Self::Stalled,
            _ => Self::Waiting,
        }
    }

    /// Of a pass whose write failed.
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

/// Whoever counts. Each of these must return at once. What does nothing is what those hear who do not care.
pub trait MetricsSink: Send + Sync {
    /// An entry of the queue was taken after so long.
    fn dequeued(&self, _lane: Priority, _waited: Duration) {}
    /// A pass ended.
    fn reconciled(&self, _kind: Kind, _outcome: PassOutcome, _took: Duration) {}
    /// The first pass over a new object began so long after it was made.
    fn first_look(&self, _kind: Kind, _after: Duration) {}
    /// A new object was Ready for the first time so long after it was made.
    fn ready(&self, _kind: Kind, _after: Duration) {}
    /// A status could not be written.
    fn status_unwritten(&self, _kind: Kind) {}
    /// A call to a platform is over.
    fn call_finished(&self, _platform: &str, _endpoint: Endpoint, _outcome: CallOutcome, _took: Duration) {}
    /// The budget of a platform has something to tell.
    fn budget(&self, _platform: &str, _news: BudgetEvent) {}
}

/// Nobody counts.
impl MetricsSink for () {}

/// Tells of the calls of one platform.
pub(crate) struct Calls {
    pub(crate) metrics: std::sync::Arc<dyn MetricsSink>,
    pub(crate) platform: String,
}

impl Observer for Calls {
    fn call_finished(&self, endpoint: Endpoint, outcome: CallOutcome, elapsed: Duration) {
        self.metrics
            .call_finished(&self.platform, endpoint, outcome, elapsed);
    }
}
