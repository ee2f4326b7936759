//! Follows the task that the platform returned for a create, and decides what its end means.

use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::{Decision, Query, Step, Wake};
use crate::facts::Fact;
use crate::model::TaskState;
use crate::names::TaskId;
use crate::policy::Policy;
use crate::record::{Operation, OperationKind};
use crate::time::Time;
use crate::timing;

use super::ServiceCase;

impl ServiceCase<'_> {
    /// Whether a task was returned whose end has not been seen. Then the task is observed, not the list.
    pub(super) fn task_still_runs(&self) -> bool {
        let Some(task) = self.record.running().and_then(|op| op.task.as_ref()) else {
            return false;
        };
        match self.facts.task.value() {
            Some(Some(seen)) => &seen.id == task && seen.state == TaskState::Running,
            Some(None) => false,
            None => true,
        }
    }

    /// The task can't be read, and its deadline is over. If the list shows the service, there is no need to
    /// wait for the task. If it does not, that proves nothing, and nothing is requested again.
    pub(super) fn task_out_of_sight(&self, policy: &Policy) -> bool {
        let overdue = |op: &Operation| self.now > op.started + policy.task_deadline;
        matches!(self.facts.task, Fact::Unreadable(_)) && self.record.running().is_some_and(overdue)
    }

    /// Polls the task of the create. `None` when there is no task at this place, it failed, or the platform
    /// lost it and the grace is over.
    pub(super) fn follow_task(&self, policy: &Policy) -> Option<Decision> {
        let operation = self
            .record
            .running()
            .filter(|op| op.kind == OperationKind::Create)?;
        // Another place has other tasks.
        let here = self
            .record
            .open_intent()
            .is_none_or(|intent| intent.other_place(policy.place.as_deref()).is_none());
        let task = operation.task.clone().filter(|_| here)?;
        let started = operation.started;
        let case = || self.copy();
        match &self.facts.task {
            // A task returned in this pass is read when it can have ended, not at once.
            Fact::Unread if self.facts.answer.is_some() => Some(case().decide(
                Step::Wait(timing::next_poll(self.now, started), Wake::Clock),
                "the task was just returned",
                converting(),
            )),
            Fact::Unread => Some(case().decide(
                Step::Observe(Query::Task(task), self.facts.pass_started),
                "has the task ended",
                converting(),
            )),
            Fact::Unreadable(trouble) => Some(case().unreadable(trouble.clone())),
            Fact::Known {
                value: Some(seen), ..
            } if seen.state == TaskState::Running => Some(self.poll(&task, started, policy)),
            // The task ended, with success or with an unknown status, and the service has not appeared yet
            // (U-8). The lists lag behind the task by an unknown time. The create is never repeated, since it
            // may have been done.
            Fact::Known {
                value: Some(seen), ..
            } if seen.state == TaskState::Succeeded => Some(self.not_shown("has succeeded", policy)),
            Fact::Known {
                value: Some(seen), ..
            } if seen.state == TaskState::Ended => Some(self.not_shown(
                &format!("has ended with the unknown status {:?}", seen.status),
                policy,
            )),
            // The platform does not keep its tasks forever (U-5).
            Fact::Known { value: None, .. } if operation.task_ended().is_some() => {
                Some(self.not_shown("has ended", policy))
            }
            // The platform does not know the task. Just after the create that may pass; later the task is
            // lost (U-5). Either way the list decides.
            Fact::Known { .. } if self.record.running().is_some() => {
                if self.facts.pass_started < started + policy.grace() {
                    return Some(case().look_for_effect(
                        started,
                        "The platform does not know the task that it returned. Checking whether the service appears.",
                    ));
                }
                None
            }
            Fact::Known { .. } => None,
        }
    }

    /// Waits for a running task. Past its deadline the object is blocked, and the task is still watched.
    fn poll(&self, task: &TaskId, started: Time, policy: &Policy) -> Decision {
        if self.now > started + policy.task_deadline {
            let message = format!(
                "The platform's task {task} has not ended within spec.taskDeadline of the LivePlatform. The operator keeps watching it and never requests the service twice. Ask the team that runs the Live Platform why the task does not end."
            );
            return self.copy().stop(
                Trouble::new(Reason::TaskFailed, message),
                "the task is over its deadline",
            );
        }
        let decision = self.copy().decide(
            Step::Wait(timing::next_poll(self.now, started), Wake::Clock),
            "the task is running",
            converting(),
        );
        self.untold(decision, started)
    }

    /// Once status has the task, it says no more than that for the first seconds of a create: most creates end
    /// within them, and each word in between would cost a write.
    ///
    /// Its age is not enough: if somebody writes a beginning in the future into status, it is read as now, again and
    /// again, until status is written.
    fn untold(&self, decision: Decision, started: Time) -> Decision {
        let running = self.record.running();
        let shown = running.is_some_and(|op| self.facts.shown.as_ref() == Some(&op.id));
        Decision {
            hold: shown && self.facts.held < timing::MOST_HELD && self.now < started + timing::QUICK,
            ..decision
        }
    }

    fn not_shown(&self, how: &str, policy: &Policy) -> Decision {
        let since = self.record.running().map_or(self.now, Operation::due);
        let message =
            format!("The platform's task {how}, but the list of services does not show the service yet.");
        if self.now > since + policy.task_deadline {
            let message = format!(
                "{message} The operator never requests it twice. Ask the team that runs the Live Platform where it is."
            );
            return self.copy().stop(
                Trouble::new(Reason::TaskFailed, message),
                "no service after a task that has ended",
            );
        }
        let started = self.record.running().map_or(since, |op| op.started);
        self.untold(self.copy().look_for_effect(since, message), started)
    }

    /// Whether the task ended with an unknown status.
    pub(super) fn ended_unclear(&self) -> bool {
        matches!(self.facts.task.value(), Some(Some(task)) if task.state == TaskState::Ended)
    }

    /// Whether the task was seen to end, and no service has shown for longer than `spec.taskDeadline`:
    /// somebody removed the service before it was seen.
    pub(super) fn ended_and_overdue(&self, policy: &Policy) -> bool {
        self.record
            .running()
            .and_then(Operation::task_ended)
            .is_some_and(|ended| self.now > ended + policy.task_deadline)
    }

    /// A service that appears while its create task still runs is not finished.
    pub(super) fn follow_running_task(&self, policy: &Policy) -> Option<Decision> {
        let ended = match self.facts.task.value() {
            Some(Some(task)) => task.state != TaskState::Running,
            Some(None) => true,
            None => self.task_out_of_sight(policy),
        };
        if ended { None } else { self.follow_task(policy) }
    }
}

fn converting() -> Verdict {
    Verdict::not_ready(
        Reason::Converting,
        "The platform is converting the lead to an OC Essential service.",
    )
}
