//! What a create writes that ends within seconds.

use oc_domain::facts::{Fact, Facts};
use oc_domain::model::TaskState;
use oc_domain::record::OperationId;

use crate::common::*;
use crate::{at_now, told};

/// Once status has the task, a create that ends within 5 s writes nothing before its end. What somebody has removed is written again at once.
#[test]
fn a_quick_create_says_nothing_between_its_task_and_its_end() {
    let own = || Some(OperationId("op-1".into()));
    let [running, succeeded, failed] = [TaskState::Running, TaskState::Succeeded, TaskState::Failed].map(|state| known(Some(task(1, state))));
    for (what, age, shown, task, silent) in [
        ("running", 3, own(), running.clone(), true),
        ("running for longer", 6, own(), running.clone(), false),
        ("running, and status was wiped", 3, None, running.clone(), false),
        ("running, and status has another operation", 3, Some(OperationId("op-2".into())), running, false),
        ("succeeded, the list lags", 3, own(), succeeded.clone(), true),
        ("succeeded, the list lags for longer", 6, own(), succeeded, false),
        ("failed", 3, own(), failed, false),
        ("can't be read", 3, own(), Fact::Unreadable(away()), false),
    ] {
        let decision = at_now(&be(desired()), &converting(NOW - secs(age)), &Facts { task, shown, ..empty_platform() });
        assert_eq!(decision.hold, silent, "{what}: {}", told(&decision));
    }
    // A beginning in the future is read as now, as often as status is read.
    for (held, silent) in [(0, true), (2, true), (3, false)] {
        let facts = Facts { task: known(Some(task(1, TaskState::Running))), shown: own(), held, ..empty_platform() };
        assert_eq!(at_now(&be(desired()), &converting(NOW), &facts).hold, silent, "{held} passes were silent");
    }
}
