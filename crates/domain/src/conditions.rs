//! What people and tools read: one verdict, from which all conditions of all kinds are made, in one place.
//!
//! The shape is that of kstatus: `Ready` is always present; `Reconciling` and `Stalled` only while true,
//! never both. A reason answers "whose move is it?".

use std::borrow::Cow;
use std::fmt;

use crate::timing;

/// The reasons of docs/reasons. The list is closed, so documents, metrics and tests can enumerate it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "the names are the documentation: docs/reasons has a page for each, held to this list by a test"
)]
pub enum Reason {
    // The operator's move.
    Progressing,
    Converting,
    Verifying,
    Deleting,
    ProgressingWithRetry,
    // The user's.
    InvalidSpec,
    ShortNameTaken,
    Conflict,
    LeadNotFound,
    LeadNotActive,
    AlreadyLicensed,
    ChannelMismatch,
    NamespaceNotAllowed,
    DeletedExternally,
    PlanReady,
    DeletionBlocked,
    // The platform operator's.
    AwaitingLeadsJob,
    AwaitingTrunksJob,
    TaskFailed,
    PlatformRefused,
    // The administrator's.
    PlatformNotFound,
    AuthenticationFailed,
    PlatformUnavailable,
    Throttled,
    DeletionRateExceeded,
    AbsenceUnconfirmed,
    ClusterRefused,
    // Nobody's.
    Succeeded,
    Suspended,
    Observing,
}

/// Whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Responsible {
    /// The operator works, or waits for something that needs no person.
    Operator,
    /// The author of the object.
    User,
    /// The operator of the Live Platform.
    PlatformOperator,
    /// The administrator of the cluster and the connection.
    Administrator,
    /// Nobody has to do anything.
    Nobody,
}

impl Reason {
    /// Every reason, in the order of the index of docs/reasons.
    pub const ALL: [Reason; 30] = [
        Reason::Progressing,
        Reason::Converting,
        Reason::Verifying,
        Reason::Deleting,
        Reason::ProgressingWithRetry,
        Reason::InvalidSpec,
        Reason::ShortNameTaken,
        Reason::Conflict,
        Reason::LeadNotFound,
        Reason::LeadNotActive,
        Reason::AlreadyLicensed,
        Reason::ChannelMismatch,
        Reason::NamespaceNotAllowed,
        Reason::DeletedExternally,
        Reason::PlanReady,
        Reason::DeletionBlocked,
        Reason::AwaitingLeadsJob,
        Reason::AwaitingTrunksJob,
        Reason::TaskFailed,
        Reason::PlatformRefused,
        Reason::PlatformNotFound,
        Reason::AuthenticationFailed,
        Reason::PlatformUnavailable,
        Reason::Throttled,
        Reason::DeletionRateExceeded,
        Reason::AbsenceUnconfirmed,
        Reason::ClusterRefused,
        Reason::Succeeded,
        Reason::Suspended,
        Reason::Observing,
    ];

    /// Parses a reason. `None` if the text is not one.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| is_shown_as(reason, text))
    }

    /// Returns whose move it is.
    pub fn whose_move(self) -> Responsible {
        match self {
            Self::Progressing
            | Self::Converting
            | Self::Verifying
            | Self::Deleting
            | Self::ProgressingWithRetry => Responsible::Operator,
            Self::InvalidSpec
            | Self::ShortNameTaken
            | Self::Conflict
            | Self::LeadNotFound
            | Self::LeadNotActive
            | Self::AlreadyLicensed
            | Self::ChannelMismatch
            | Self::NamespaceNotAllowed
            | Self::DeletedExternally
            | Self::PlanReady
            | Self::DeletionBlocked => Responsible::User,
            Self::AwaitingLeadsJob | Self::AwaitingTrunksJob | Self::TaskFailed | Self::PlatformRefused => {
                Responsible::PlatformOperator
            }
            Self::PlatformNotFound
            | Self::AuthenticationFailed
            | Self::PlatformUnavailable
            | Self::Throttled
            | Self::DeletionRateExceeded
            | Self::AbsenceUnconfirmed
            | Self::ClusterRefused => Responsible::Administrator,
            Self::Succeeded | Self::Suspended | Self::Observing => Responsible::Nobody,
        }
    }

    /// Whether an object that waits for this is `Stalled` (a person must act) rather than `Reconciling`.
    ///
    /// The two jobs do not stall. Where jobs are started by hand they are a normal part of every
    /// provisioning, and a waiting tool (Flux, `kubectl wait`) would give up at once on `Stalled`. A platform
    /// that is down or throttles comes back on its own.
    pub fn stalls(self) -> bool {
        match self {
            Self::AwaitingLeadsJob
            | Self::AwaitingTrunksJob
            | Self::PlatformUnavailable
            | Self::Throttled => false,
            _ => matches!(
                self.whose_move(),
                Responsible::User | Responsible::PlatformOperator | Responsible::Administrator
            ),
        }
    }
}

/// Whether a value is displayed as this text. Every pass compares reasons, so this must not allocate.
fn is_shown_as(value: &impl fmt::Display, text: &str) -> bool {
    struct Rest<'a>(&'a str);
    impl fmt::Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(text);
    fmt::write(&mut rest, format_args!("{value}")).is_ok() && rest.0.is_empty()
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A problem that blocks an object. The reason classifies it by consequence; the message says what happened
/// and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// Says whose move it is.
    pub reason: Reason,
    /// What happened and what to do. The text must not vary between attempts.
    pub message: Cow<'static, str>,
    /// How long the platform asked us to wait (`Retry-After`), if it did.
    pub retry_after: Option<std::time::Duration>,
}

impl Trouble {
    /// Creates trouble without a retry time.
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
            retry_after: None,
        }
    }
}

/// The value of a condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConditionStatus {
    /// `True`
    True,
    /// `False`
    False,
    /// `Unknown`
    Unknown,
}

impl ConditionStatus {
    /// The spelling of Kubernetes.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition, without times and generation, which are added when it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The type of the condition: `Ready`, `Reconciling`, `Stalled`, `Synced`, `LeadEligible`,
    /// `LeadsDiscovered`, `DeletionsHeld` or `AbsencesHeld`.
    pub kind: &'static str,
    /// The status of the condition.
    pub truth: ConditionStatus,
    /// The reason of the condition.
    pub reason: Reason,
    /// What happened, for people.
    pub message: Cow<'static, str>,
}

/// What a decision reports about its object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The value of `Ready`.
    pub ready: ConditionStatus,
    /// The reason of `Ready`, and of `Reconciling` or `Stalled`.
    pub reason: Reason,
    /// The message of `Ready`, and of `Reconciling` or `Stalled`.
    pub message: Cow<'static, str>,
    /// Whether a person must act.
    pub stalled: bool,
    /// Whether the platform shows what it should, jobs included.
    pub synced: Option<(ConditionStatus, Reason, Cow<'static, str>)>,
    /// Leads and services: whether the lead may become a service.
    pub lead_eligible: Option<(ConditionStatus, Reason, Cow<'static, str>)>,
    /// Platforms only: whether every lead that `spec.leadDiscovery` wants has an object. A separate condition,
    /// because the rest of the platform's work continues.
    pub discovered: Option<(ConditionStatus, Reason, Cow<'static, str>)>,
    /// Platforms only: why deletions are held. A separate condition, because the rest of the platform's work
    /// continues.
    pub held: Option<Trouble>,
    /// Platforms only: why absences from the lists are not believed.
    pub absences: Option<Trouble>,
}

impl Verdict {
    /// Returns the verdict of an object that is ready.
    pub fn ready(message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            ready: ConditionStatus::True,
            stalled: false,
            ..Self::not_ready(Reason::Succeeded, message)
        }
    }

    /// Returns a verdict that is not ready. It is stalled when the reason says that a person must act.
    pub fn not_ready(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            ready: ConditionStatus::False,
            reason,
            message: message.into(),
            stalled: reason.stalls(),
            synced: None,
            lead_eligible: None,
            discovered: None,
            held: None,
            absences: None,
        }
    }

    /// Returns the verdict for trouble.
    pub fn trouble(trouble: &Trouble) -> Self {
        Self::not_ready(trouble.reason, trouble.message.clone())
    }

    /// Returns the verdict for trouble that may pass on its own. After many failures of the same kind it asks
    /// for a person, and is still retried. It stays stalled while status already says so: a restart, which
    /// forgets the failures, does not take that back.
    pub fn passing(trouble: &Trouble, failures: u32, stalled_for: Option<Reason>) -> Self {
        let verdict = Self::trouble(trouble);
        let many = failures >= timing::FAILURES_TO_STALL || stalled_for == Some(trouble.reason);
        let passing = matches!(
            trouble.reason,
            Reason::PlatformUnavailable | Reason::Throttled | Reason::ProgressingWithRetry
        );
        let stalled = verdict.stalled || (many && passing);
        Self { stalled, ..verdict }
    }

    /// Whether somebody or something is still working on the object (the kstatus question).
    fn reconciling(&self) -> bool {
        self.ready != ConditionStatus::True
            && !self.stalled
            && !matches!(
                self.reason,
                Reason::Suspended | Reason::Observing | Reason::PlanReady
            )
    }

    /// Returns the conditions, in the order in which they are written.
    pub fn conditions(&self) -> Vec<Condition> {
        let own = |kind, truth| Condition {
            kind,
            truth,
            reason: self.reason,
            message: bounded(self.message.clone()),
        };
        let mut all = vec![own("Ready", self.ready)];
        if self.reconciling() {
            all.push(own("Reconciling", ConditionStatus::True));
        }
        if self.stalled && self.ready != ConditionStatus::True {
            all.push(own("Stalled", ConditionStatus::True));
        }
        for (kind, given) in [
            ("Synced", &self.synced),
            ("LeadEligible", &self.lead_eligible),
            ("LeadsDiscovered", &self.discovered),
        ] {
            if let Some((truth, reason, message)) = given {
                all.push(Condition {
                    kind,
                    truth: *truth,
                    reason: *reason,
                    message: bounded(message.clone()),
                });
            }
        }
        for (kind, held) in [("DeletionsHeld", &self.held), ("AbsencesHeld", &self.absences)] {
            if let Some(trouble) = held {
                all.push(Condition {
                    kind,
                    truth: ConditionStatus::True,
                    reason: trouble.reason,
                    message: bounded(trouble.message.clone()),
                });
            }
        }
        all
    }
}

/// Limits a message to 1,000 characters, since it appears in status, tables and events. The API server's
/// limit is 32,768.
fn bounded(message: Cow<'static, str>) -> Cow<'static, str> {
    match message.char_indices().nth(1000) {
        None => message,
        Some((end, _)) => format!("{}…", &message[..end]).into(),
    }
}
