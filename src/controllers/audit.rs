//! The audit log: each change requested from a platform, and the answer.
//!
//! Each change writes two lines, both with the log target `audit`. The first comes before the request,
//! because the answer can be lost together with the process that waits for it: an `asking` line without an
//! answer is what an investigation of a crash must find. The second comes as soon as the answer is there,
//! before anything else is done with it. Count changes by the second line; `request` is the same in both.

use kube::{Resource, ResourceExt};
use oc_domain::conditions::Trouble;
use oc_domain::decision::{Change, ChangeResult};
use oc_domain::facts::DeletionPolicy;
use oc_domain::record::{Job, Record};

/// A change in the operator's words, and what it concerns.
#[derive(Debug, Default)]
pub struct AuditedChange {
    change: &'static str,
    tenant: Option<String>,
    guid: Option<String>,
    channel: Option<String>,
    job: Option<&'static str>,
}

impl From<Job> for AuditedChange {
    fn from(job: Job) -> Self {
        Self {
            change: "run job",
            job: Some(job.name()),
            ..Self::default()
        }
    }
}

impl From<&Change> for AuditedChange {
    fn from(change: &Change) -> Self {
        let named = |change| Self {
            change,
            ..Self::default()
        };
        match change {
            Change::CreateService(new) => Self {
                tenant: Some(new.tenant.to_string()),
                ..named("create service")
            },
            Change::DeleteService(guid) => Self {
                guid: Some(guid.to_string()),
                ..named("delete service")
            },
            Change::CreateLead(new) => Self {
                tenant: Some(new.tenant.to_string()),
                ..named("create lead")
            },
            Change::DeleteLead(tenant) => Self {
                tenant: Some(tenant.to_string()),
                ..named("delete lead")
            },
            Change::AssignChannel(tenant, channel) => Self {
                tenant: Some(tenant.to_string()),
                channel: Some(channel.to_string()),
                ..named("assign channel")
            },
            Change::UnassignChannel(tenant) => Self {
                tenant: Some(tenant.to_string()),
                ..named("unassign channel")
            },
        }
    }
}

/// The fields that both lines of a change share.
pub struct AuditRecord {
    kind: &'static str,
    namespace: String,
    name: String,
    uid: String,
    generation: i64,
    platform: String,
    request: String,
    operation: Option<String>,
    short_name: Option<String>,
    policy: Option<&'static str>,
    named: AuditedChange,
}

impl AuditRecord {
    /// The record of a change that is about to be requested for this object.
    pub fn asking<K: Resource<DynamicType = ()>>(
        object: &K,
        platform: &str,
        change: impl Into<AuditedChange>,
        record: Option<&Record>,
    ) -> Self {
        Self {
            kind: kind_of(object),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid().unwrap_or_default(),
            generation: object.meta().generation.unwrap_or_default(),
            platform: platform.to_owned(),
            request: uuid::Uuid::new_v4().to_string(),
            operation: record
                .and_then(|record| record.open_intent())
                .map(|intent| intent.id.0.clone()),
            short_name: None,
            policy: None,
            named: change.into(),
        }
    }

    /// Sets the short name of the service concerned.
    pub fn short_name(self, name: Option<&str>) -> Self {
        Self {
            short_name: name.map(str::to_owned),
            ..self
        }
    }

    /// Sets the policy by which the resource is deleted.
    pub fn by(self, policy: Option<DeletionPolicy>) -> Self {
        let policy = policy.map(|policy| match policy {
            DeletionPolicy::Retain => "Retain",
            DeletionPolicy::Delete => "Delete",
        });
        Self { policy, ..self }
    }

    /// Writes the first line, before the request.
    pub fn begin(self) -> Self {
        self.write("asking", None, None, "requesting a change from the platform");
        self
    }

    /// Writes the second line, with the answer.
    pub fn answered(&self, answer: &ChangeResult) {
        let (word, task, trouble) = describe(answer);
        self.write(word, task, trouble, "requested a change from the platform");
    }

    fn write(&self, answer: &str, task: Option<String>, trouble: Option<&Trouble>, says: &str) {
        let Self {
            kind,
            namespace,
            name,
            uid,
            generation,
            platform,
            request,
            operation,
            short_name,
            policy,
            named,
        } = self;
        let (reason, said) = (
            trouble.map(|trouble| trouble.reason.to_string()),
            trouble.map(|trouble| trouble.message.as_str()),
        );
        tracing::info!(
            target: "audit",
            kind, namespace, name, uid, generation, platform, request,
            operation = operation.as_deref(),
            change = named.change,
            tenant = named.tenant.as_deref(),
            guid = named.guid.as_deref(),
            channel = named.channel.as_deref(),
            job = named.job,
            short_name = short_name.as_deref(),
            policy = *policy,
            answer,
            task = task.as_deref(),
            reason = reason.as_deref(),
            said,
            "{says}"
        );
    }
}

fn kind_of<K: Resource<DynamicType = ()>>(_: &K) -> &'static str {
    // The kinds have names known at compile time, so the name is always borrowed.
    match K::kind(&()) {
        std::borrow::Cow::Borrowed(kind) => kind,
        std::borrow::Cow::Owned(_) => "",
    }
}

/// An answer in one word, with its task or trouble. The text of a refusal is the platform's and includes its
/// status.
fn describe(answer: &ChangeResult) -> (&'static str, Option<String>, Option<&Trouble>) {
    match answer {
        ChangeResult::Accepted(task) => ("accepted", Some(task.to_string()), None),
        ChangeResult::Done => ("accepted", None, None),
        ChangeResult::NotFound => ("not found", None, None),
        ChangeResult::Rejected(trouble) => ("refused", None, Some(trouble)),
        ChangeResult::Unknown(trouble) => ("lost", None, Some(trouble)),
        ChangeResult::NotSent(trouble) => ("not executed", None, Some(trouble)),
    }
}
