//! The secrets of the requests that started tasks, to remove them from the tasks' own texts.

use std::collections::{HashMap, VecDeque};

use oc_domain::names::TaskId;

use crate::secrets::Secrets;

/// Keeps the secrets of the newest tasks, up to a bound. Most tasks have none.
#[derive(Default)]
pub(super) struct TaskSecrets {
    of: HashMap<TaskId, Secrets>,
    /// The same tasks, the oldest first.
    order: VecDeque<TaskId>,
    size: usize,
}

impl TaskSecrets {
    /// The bounds: at most this many bytes, and this many tasks.
    const SIZE: usize = 8 << 20;
    const TASKS: usize = 10_000;

    /// Keeps the secrets of a task, if it has any.
    pub(super) fn keep(&mut self, task: &TaskId, secrets: &Secrets) {
        if secrets.is_none() {
            return;
        }
        self.size += secrets.size();
        match self.of.insert(task.clone(), secrets.clone()) {
            Some(before) => self.size -= before.size(),
            None => self.order.push_back(task.clone()),
        }
        while self.size > Self::SIZE || self.order.len() > Self::TASKS {
            let oldest = self.order.pop_front();
            let Some(gone) = oldest.and_then(|task| self.of.remove(&task)) else {
                return;
            };
            self.size -= gone.size();
        }
    }

    /// The secrets of a task, if they are known.
    pub(super) fn of(&self, task: &TaskId) -> Option<Secrets> {
        self.of.get(task).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::SecretString;

    fn task(number: usize) -> TaskId {
        TaskId::parse(&format!("tsk_{number}")).unwrap()
    }

    fn secrets(bytes: usize) -> Secrets {
        Secrets::new([SecretString::from("s".repeat(bytes))])
    }

    #[test]
    fn the_newest_tasks_with_secrets_are_known() {
        let mut kept = TaskSecrets::default();
        kept.keep(&task(0), &secrets(20));
        for number in 1..=TaskSecrets::TASKS {
            kept.keep(&task(number), &Secrets::none());
        }
        assert!(
            kept.of(&task(0)).is_some() && kept.of(&task(1)).is_none(),
            "none takes no place"
        );
        for number in 1..=TaskSecrets::TASKS {
            kept.keep(&task(number), &secrets(20));
        }
        assert!(kept.of(&task(0)).is_none() && kept.of(&task(1)).is_some());
    }

    #[test]
    fn large_secrets_push_out_old_ones_and_are_counted_once() {
        let mut kept = TaskSecrets::default();
        kept.keep(&task(0), &secrets(20));
        for _ in 0..100 {
            kept.keep(&task(1), &secrets(100_000));
        }
        assert!(kept.of(&task(0)).is_some());
        for number in 2..100 {
            kept.keep(&task(number), &secrets(100_000));
        }
        assert!(kept.of(&task(0)).is_none() && kept.of(&task(99)).is_some());
        let held: usize = kept.of.values().map(Secrets::size).sum();
        assert_eq!((kept.size, kept.order.len()), (held, kept.of.len()));
    }
}
