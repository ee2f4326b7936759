//! What people and tools read: one verdict, from which every condition of every kind is made, in one place.
//!
//! The shape is that of kstatus: `Ready` always; `Reconciling` and `Stalled` only while true, never both. A reason answers "whose move is it?".

use std::fmt;

use crate::timing;

/// The reasons of docs/reasons. Closed, so that documents, metrics and tests can list them.
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
    // Nobody's.
    Succeeded,
    Suspended,
    Observing,
}

/// Whose move it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Responsible {
    /// The operator works, or waits for what comes by itself.
    Operator,
    /// Whoever wrote the object.
    User,
    /// Whoever runs the Live Platform.
    PlatformOperator,
    /// Whoever runs the cluster and the connection.
    Administrator,
    /// Nobody has to do anything.
    Nobody,
}

impl Reason {
    /// Every reason, in the order of the index of docs/reasons.
    pub const ALL: [Reason; 29] = [
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
        Reason::Succeeded,
        Reason::Suspended,
        Reason::Observing,
    ];

    /// Reads a reason as it is written; `None` for a text that is none.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.to_string() == text)
    }

    /// Whose move it is.
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
            | Self::AbsenceUnconfirmed => Responsible::Administrator,
            Self::Succeeded | Self::Suspended | Self::Observing => Responsible::Nobody,
        }
    }

    /// Whether an object that waits for this is `Stalled` (a person must act) rather than `Reconciling`.
    ///
    /// The two jobs are not: on a platform whose jobs are started by hand they are a normal part of every provisioning, and a tool that waits
    /// (Flux, `kubectl wait`) would give up at once on `Stalled`. A platform that is away or throttles comes back without anybody's help.
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

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Something stands in the way. Classed by consequence through its reason; the message says what happened and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Trouble {
    /// Whose move it is.
    pub reason: Reason,
    /// What happened, in words that are the same at the next try, and what to do.
    pub message: String,
    /// How long the platform asked to be left alone (`Retry-After`), if it did.
    pub retry_after: Option<std::time::Duration>,
}

impl Trouble {
    /// A trouble that names no time.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
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
    /// As Kubernetes spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// One condition, without times and generation: those are added where it is written.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Condition {
    /// `Ready`, `Reconciling`, `Stalled`, `Synced`, `LeadEligible`, `DeletionsHeld` or `AbsencesHeld`.
    pub kind: &'static str,
    /// Its value.
    pub truth: ConditionStatus,
    /// Why.
    pub reason: Reason,
    /// What happened.
    pub message: String,
}

/// What a decision says about its object.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Verdict {
    /// The value of `Ready`.
    pub ready: ConditionStatus,
    /// The reason of `Ready`, and of `Reconciling` or `Stalled`.
    pub reason: Reason,
    /// The message of the same.
    pub message: String,
    /// Whether a person must act.
    pub stalled: bool,
    /// Does the platform show what it should, jobs included.
    pub synced: Option<(ConditionStatus, Reason, String)>,
    /// Services only: may the lead become a service.
    pub lead_eligible: Option<(ConditionStatus, Reason, String)>,
    /// Platforms only: why deletions are held. The rest of the platform's work goes on, so it is a condition of its own.
    pub held: Option<Trouble>,
    /// Platforms only: why nothing is concluded from what the lists do not show.
    pub absences: Option<Trouble>,
}

impl Verdict {
    /// All is as it should be.
    pub fn ready(message: impl Into<String>) -> Self {
        Self {
            ready: ConditionStatus::True,
            stalled: false,
            ..Self::not_ready(Reason::Succeeded, message)
        }
    }

    /// Not ready; stalled when the reason says that a person must act.
    pub fn not_ready(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            ready: ConditionStatus::False,
            reason,
            message: message.into(),
            stalled: reason.stalls(),
            synced: None,
            lead_eligible: None,
            held: None,
            absences: None,
        }
    }

    /// Not ready because of a trouble.
    pub fn trouble(trouble: &Trouble) -> Self {
        Self::not_ready(trouble.reason, trouble.message.clone())
    }

    /// Not ready because of a trouble that passes by itself. After the same failure many times it needs a person's eye, and is still tried again; so
    /// it does while status says so already: a restart, which forgets the failures, does not take it back.
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

    /// Is somebody or something still at work on it (the kstatus question).
    fn reconciling(&self) -> bool {
        self.ready != ConditionStatus::True
            && !self.stalled
            && !matches!(
                self.reason,
                Reason::Suspended | Reason::Observing | Reason::PlanReady
            )
    }

    /// The conditions, in the order in which they are written.
    pub fn conditions(&self) -> Vec<Condition> {
        let own = |kind, truth| Condition {
            kind,
            truth,
            reason: self.reason,
            message: bounded(&self.message),
        };
        let mut all = vec![own("Ready", self.ready)];
        if self.reconciling() {
            all.push(own("Reconciling", ConditionStatus::True));
        }
        if self.stalled && self.ready != ConditionStatus::True {
            all.push(own("Stalled", ConditionStatus::True));
        }
        for (kind, given) in [("Synced", &self.synced), ("LeadEligible", &self.lead_eligible)] {
            if let Some((truth, reason, message)) = given {
                all.push(Condition {
                    kind,
                    truth: *truth,
                    reason: *reason,
                    message: bounded(message),
                });
            }
        }
        for (kind, held) in [("DeletionsHeld", &self.held), ("AbsencesHeld", &self.absences)] {
            if let Some(trouble) = held {
                all.push(Condition {
                    kind,
                    truth: ConditionStatus::True,
                    reason: trouble.reason,
                    message: bounded(&trouble.message),
                });
            }
        }
        all
    }
}

/// Messages end up in status, in tables and in events: 1,000 characters are enough for any of them (the API server's limit is 32,768).
fn bounded(message: &str) -> String {
    match message.char_indices().nth(1000) {
        None => message.to_owned(),
        Some((end, _)) => format!("{}…", &message[..end]),
    }
}
