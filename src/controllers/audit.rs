//! The audit log: each change requested from a platform, and the answer.
//!
//! Each change writes two lines, both with the log target `audit`. The first comes before the request,
//! because the answer can be lost together with the process that waits for it: an `asking` line without an
//! answer is what an investigation of a crash must find. The second comes as soon as the answer is there,
//! before anything else is done with it. Count changes by the second line; `request` is the same in both.

use kube::Resource;
use oc_domain::conditions::Trouble;
use oc_domain::decision::{Change, ChangeResult};
use oc_domain::facts::DeletionPolicy;
use oc_domain::names::{ChannelId, CustomerGuid, TenantId};
use oc_domain::record::{Job, Record};
use tracing::field::display;

/// A change in the operator's words, and what it concerns.
#[derive(Debug, Default)]
pub struct AuditedChange {
    change: &'static str,
    tenant: Option<TenantId>,
    guid: Option<CustomerGuid>,
    channel: Option<ChannelId>,
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
                tenant: Some(new.tenant),
                ..named("create service")
            },
            Change::DeleteService(guid) => Self {
                guid: Some(*guid),
                ..named("delete service")
            },
            Change::CreateLead(new) => Self {
                tenant: Some(new.tenant),
                ..named("create lead")
            },
            Change::DeleteLead(tenant) => Self {
                tenant: Some(*tenant),
                ..named("delete lead")
            },
            Change::AssignChannel(tenant, channel) => Self {
                tenant: Some(*tenant),
                channel: Some(*channel),
                ..named("assign channel")
            },
            Change::UnassignChannel(tenant) => Self {
                tenant: Some(*tenant),
                ..named("unassign channel")
            },
        }
    }
}

/// The fields that both lines of a change share.
pub struct AuditRecord<'a> {
    kind: &'static str,
    namespace: &'a str,
    name: &'a str,
    uid: &'a str,
    generation: i64,
    platform: &'a str,
    request: uuid::Uuid,
    operation: Option<&'a str>,
    short_name: Option<&'a str>,
    policy: Option<&'static str>,
    named: AuditedChange,
}

impl<'a> AuditRecord<'a> {
    /// The record of a change that is about to be requested for this object.
    pub fn asking<K: Resource<DynamicType = ()>>(
        object: &'a K,
        platform: &'a str,
        change: impl Into<AuditedChange>,
        record: Option<&'a Record>,
    ) -> Self {
        let meta = object.meta();
        Self {
            kind: kind_of(object),
            namespace: meta.namespace.as_deref().unwrap_or_default(),
            name: meta.name.as_deref().unwrap_or_default(),
            uid: meta.uid.as_deref().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            platform,
            request: uuid::Uuid::new_v4(),
            operation: record
                .and_then(|record| record.open_intent())
                .map(|intent| &*intent.id.0),
            short_name: None,
            policy: None,
            named: change.into(),
        }
    }

    /// Sets the short name of the service concerned.
    pub fn short_name(self, name: Option<&'a str>) -> Self {
        Self {
            short_name: name,
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

    fn write(&self, answer: &str, task: Option<&str>, trouble: Option<&Trouble>, says: &str) {
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
            trouble.map(|trouble| display(trouble.reason)),
            trouble.map(|trouble| &*trouble.message),
        );
        tracing::info!(
            target: "audit",
            kind, namespace, name, uid, generation, platform, %request,
            operation,
            change = named.change,
            tenant = named.tenant.map(display),
            guid = named.guid.map(display),
            channel = named.channel.map(display),
            job = named.job,
            short_name,
            policy = *policy,
            answer,
            task,
            reason,
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
fn describe(answer: &ChangeResult) -> (&'static str, Option<&str>, Option<&Trouble>) {
    match answer {
        ChangeResult::Accepted(task) => ("accepted", Some(task.as_str()), None),
        ChangeResult::Done => ("accepted", None, None),
        ChangeResult::NotFound => ("not found", None, None),
        ChangeResult::Rejected(trouble) => ("refused", None, Some(trouble)),
        ChangeResult::Unknown(trouble) => ("lost", None, Some(trouble)),
        ChangeResult::NotSent(trouble) => ("not executed", None, Some(trouble)),
    }
}
