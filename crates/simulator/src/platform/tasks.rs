//! Tasks (platform-facts.md 5): accepted now, executed later.

use super::Platform;
use super::create::Create;
use super::endpoint::Endpoint;
use super::faults::{Fault, FaultKind};
use super::reflect;
use super::refusal::Refusal;
use super::time::Millis;
use std::collections::{BTreeSet, HashMap};

/// What a task does at its end.
#[derive(Clone, Debug)]
pub enum Work {
    /// Creates a service.
    Create(Box<Create>),
    /// Changes a license.
    Upgrade {
        /// The service.
        guid: String,
        /// The new license, 4 or 5.
        license: u8,
        /// The number of users.
        users: Option<u64>,
    },
}

/// The state of a task; these are all the states we know (C-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskState {
    /// The task is not done yet.
    InProgress,
    /// The task is done.
    CompletedSuccess,
    /// The task has failed.
    Failed,
}

/// A task.
#[derive(Clone, Debug)]
pub struct Task {
    /// `wst_<guid>` or `tsk_<integer>`.
    pub id: String,
    /// The task's state.
    pub state: TaskState,
    /// The work of the task.
    pub work: Work,
    /// The messages, each with level and text.
    pub messages: Vec<(&'static str, String)>,
    /// The service that it made or changed, unless a fault hides it.
    pub guid: Option<String>,
    /// The Microsoft tenant it is about.
    pub tenant: Option<String>,
    /// The word for its final state, when a fault changed it.
    pub word: Option<String>,
    due: Millis,
    faults: Vec<Fault>,
}

/// All tasks; none is ever dropped (U-5).
#[derive(Debug, Default)]
pub struct Tasks {
    tasks: HashMap<String, Task>,
    pending: BTreeSet<(Millis, u64, String)>,
    last: u64,
}

impl Tasks {
    /// Returns the task with this id.
    pub fn get(&self, id: &str) -> Option<&Task> {
        self.tasks.get(id)
    }

    /// Returns how many tasks are in a state.
    pub fn count(&self, state: TaskState) -> usize {
        self.tasks.values().filter(|task| task.state == state).count()
    }

    fn first_due(&mut self, now: Millis) -> Option<Task> {
        let first = self.pending.first().filter(|(due, _, _)| *due <= now)?.clone();
        self.pending.remove(&first);
        self.tasks.remove(&first.2)
    }
}

impl Task {
    fn fault(&self, kind: FaultKind) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.kind == kind)
    }

    /// Returns the message that a fault gives the task, filled with what its request held.
    fn said(&self, fault: &Fault) -> Option<String> {
        let message = fault.message.as_ref()?;
        match &self.work {
            Work::Create(create) => Some(reflect::filled(message, &create.kept.script_parameters)),
            Work::Upgrade { .. } => Some(message.clone()),
        }
    }
}

impl Platform {
    /// Accepts a task. The currently active faults for tasks apply to it.
    pub fn accept_task(
        &mut self,
        now: Millis,
        id: String,
        endpoint: Endpoint,
        tenant: Option<String>,
        work: Work,
    ) {
        let mut faults = Vec::new();
        for kind in [
            FaultKind::SlowTask,
            FaultKind::TaskFailed,
            FaultKind::CompletedWithError,
            FaultKind::TaskWord,
            FaultKind::MissingGuid,
        ] {
            let wanted = |other| other == kind;
            faults.extend(
                self.faults
                    .befall(&mut self.chance, endpoint, tenant.as_deref(), wanted),
            );
        }
        let slower = faults.iter().find(|fault| fault.kind == FaultKind::SlowTask);
        let extra = slower.map_or(0, |fault| fault.delay.unwrap_or(60_000));
        let due = now + self.settings.task_duration + extra;
        self.tasks.last += 1;
        self.tasks.pending.insert((due, self.tasks.last, id.clone()));
        let (state, messages) = (TaskState::InProgress, Vec::new());
        self.tasks.tasks.insert(
            id.clone(),
            Task {
                id,
                state,
                work,
                messages,
                guid: None,
                tenant,
                word: None,
                due,
                faults,
            },
        );
    }

    /// Returns the id of a task that does not create a service (platform-facts.md 5).
    fn next_task_number(&mut self) -> String {
        format!("tsk_{}", 1_000 + self.tasks.last + 1)
    }

    /// Executes GET task (platform-facts.md 5, U-5).
    pub fn task(&self, id: &str) -> Result<&Task, Refusal> {
        self.tasks
            .get(id)
            .ok_or_else(|| Refusal::Quoted(404, format!("Task with {id} not found")))
    }

    /// Executes POST upgrade (platform-facts.md 4): OC Essential to Plus or Pro.
    pub fn upgrade_service(
        &mut self,
        now: Millis,
        guid: &str,
        license: Option<u64>,
        users: Option<u64>,
    ) -> Result<String, Refusal> {
        let service = self
            .services
            .get(guid)
            .ok_or_else(|| Refusal::no_customer(guid))?;
        let license = match license {
            Some(4) => 4,
            Some(5) => 5,
            _ => return Err(Refusal::field("UpgradeToLicense", "The license must be 4 or 5.")),
        };
        if service.license != super::services::OC_ESSENTIAL {
            return Err(Refusal::field(
                "UpgradeToLicense",
                "Only an OC Essential customer can be upgraded.",
            ));
        }
        let (tenant, guid) = (service.tenant.clone(), service.guid.clone());
        let id = self.next_task_number();
        let work = Work::Upgrade { guid, license, users };
        self.accept_task(now, id.clone(), Endpoint::ServicesUpgrade, Some(tenant), work);
        Ok(id)
    }

    /// Ends all tasks that are due, each at its own time.
    pub fn finish_tasks(&mut self, now: Millis) {
        while let Some(mut task) = self.tasks.first_due(now) {
            self.finish_task(&mut task);
            self.tasks.tasks.insert(task.id.clone(), task);
        }
    }

    fn finish_task(&mut self, task: &mut Task) {
        let undone = |fault: &&Fault| {
            fault.kind == FaultKind::TaskFailed || fault.kind == FaultKind::TaskWord && !fault.executes()
        };
        let failed = task.faults.iter().find(undone).cloned();
        let outcome = if failed.as_ref().is_some_and(|fault| !fault.executes()) {
            self.release(&task.id);
            Err(String::new())
        } else {
            self.perform(task)
        };
        let outcome = match failed {
            Some(fault) => Err(task
                .said(&fault)
                .unwrap_or_else(|| "Failed to create site in Ovoc".into())),
            None => outcome,
        };
        match outcome {
            Ok(guid) => self.succeed(task, guid),
            Err(message) => {
                task.state = TaskState::Failed;
                task.messages = vec![("Error", message)];
            }
        }
        if let Some(fault) = task.fault(FaultKind::TaskWord).cloned() {
            if let Some(message) = task.said(&fault) {
                task.messages = vec![("Error", message)];
            }
            task.word = Some(fault.word.unwrap_or_else(|| "CompletedWithErrors".into()));
        }
    }

    fn perform(&mut self, task: &Task) -> Result<String, String> {
        match &task.work {
            Work::Create(create) => self.finish_create(task.due, &task.id, create),
            Work::Upgrade { guid, license, users } => {
                let found = self.services.set_license(guid, *license, *users);
                found
                    .then(|| guid.clone())
                    .ok_or_else(|| format!("Customer with {guid} not found"))
            }
        }
    }

    fn succeed(&mut self, task: &mut Task, guid: String) {
        task.state = TaskState::CompletedSuccess;
        let error = task.fault(FaultKind::CompletedWithError).cloned();
        match (error, &task.work) {
            (Some(fault), _) => {
                let message = task
                    .said(&fault)
                    .unwrap_or_else(|| "IAM account could not be created".into());
                task.messages = vec![("Error", message)];
            }
            (None, Work::Create(_)) => task.messages = vec![("Information", "Site created in Ovoc".into())],
            (None, Work::Upgrade { .. }) => {}
        }
        task.guid = task.fault(FaultKind::MissingGuid).is_none().then_some(guid);
    }
}
