//! The list of events, with the severity and the action of each.

use std::fmt;

/// The reasons of events. The list is closed, so documents and tests can enumerate it. Where a condition has
/// a reason for the same thing, the event uses that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(
    missing_docs,
    reason = "the names are the documentation: docs/events.md has a row for each, held to this list by a test"
)]
pub enum Event {
    // Changes requested from the platform, and their results.
    ConversionRequested,
    Licensed,
    LicenseChanged,
    Adopted,
    AwaitingLeadsJob,
    AwaitingTrunksJob,
    Synced,
    TaskFailed,
    PlatformRefused,
    AnswerLost,
    Recovered,
    // Deletion and release.
    DeletionRequested,
    Deleted,
    Retained,
    Released,
    DeletedExternally,
    DeletionBlocked,
    DeletionRateExceeded,
    // Problems that block the object until somebody acts.
    InvalidSpec,
    ShortNameTaken,
    Conflict,
    AlreadyLicensed,
    ChannelMismatch,
    NamespaceNotAllowed,
    PlatformNotFound,
    WriteRefused,
    // The spec asks for no work.
    PlanReady,
    Observing,
    Suspended,
    Resumed,
    // Leads.
    LeadActive,
    LeadNotActive,
    LeadNotFound,
    LeadRequested,
    LeadDiscovered,
    LeadOnboarded,
    ChannelAssigned,
    ChannelUnassigned,
    // The platform object.
    PlatformConnected,
    PlatformRecovered,
    PlatformUnavailable,
    AuthenticationFailed,
    Throttled,
    SyncJobRun,
    DeletionsHeld,
    DeletionsApproved,
    AbsencesHeld,
    AbsencesApproved,
    AbsencesOver,
}

/// The type of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Severity {
    /// Everything is in order.
    Normal,
    /// A person may have to act.
    Warning,
}

impl Event {
    /// Every event, in the order of the document.
    pub const ALL: [Event; 49] = [
        Self::ConversionRequested,
        Self::Licensed,
        Self::LicenseChanged,
        Self::Adopted,
        Self::AwaitingLeadsJob,
        Self::AwaitingTrunksJob,
        Self::Synced,
        Self::TaskFailed,
        Self::PlatformRefused,
        Self::AnswerLost,
        Self::Recovered,
        Self::DeletionRequested,
        Self::Deleted,
        Self::Retained,
        Self::Released,
        Self::DeletedExternally,
        Self::DeletionBlocked,
        Self::DeletionRateExceeded,
        Self::InvalidSpec,
        Self::ShortNameTaken,
        Self::Conflict,
        Self::AlreadyLicensed,
        Self::ChannelMismatch,
        Self::NamespaceNotAllowed,
        Self::PlatformNotFound,
        Self::WriteRefused,
        Self::PlanReady,
        Self::Observing,
        Self::Suspended,
        Self::Resumed,
        Self::LeadActive,
        Self::LeadNotActive,
        Self::LeadNotFound,
        Self::LeadRequested,
        Self::LeadDiscovered,
        Self::LeadOnboarded,
        Self::ChannelAssigned,
        Self::ChannelUnassigned,
        Self::PlatformConnected,
        Self::PlatformRecovered,
        Self::PlatformUnavailable,
        Self::AuthenticationFailed,
        Self::Throttled,
        Self::SyncJobRun,
        Self::DeletionsHeld,
        Self::DeletionsApproved,
        Self::AbsencesHeld,
        Self::AbsencesApproved,
        Self::AbsencesOver,
    ];

    /// Whether the event is normal or a warning.
    pub fn severity(self) -> Severity {
        match self {
            Self::ConversionRequested
            | Self::Licensed
            | Self::LicenseChanged
            | Self::Adopted
            | Self::AwaitingLeadsJob
            | Self::AwaitingTrunksJob
            | Self::Synced
            | Self::Recovered
            | Self::DeletionRequested
            | Self::Deleted
            | Self::Retained
            | Self::Released
            | Self::PlanReady
            | Self::Observing
            | Self::Suspended
            | Self::Resumed
            | Self::LeadActive
            | Self::LeadRequested
            | Self::LeadDiscovered
            | Self::LeadOnboarded
            | Self::ChannelAssigned
            | Self::ChannelUnassigned
            | Self::PlatformConnected
            | Self::PlatformRecovered
            | Self::SyncJobRun
            | Self::DeletionsApproved
            | Self::AbsencesApproved
            | Self::AbsencesOver => Severity::Normal,
            _ => Severity::Warning,
        }
    }

    /// Whether nothing is lost without the event: status says the same for as long as the object exists, and needs
    /// nobody to act. When thousands of objects change at once, most of these are left out.
    pub fn status_tells(self) -> bool {
        match self {
            Self::ConversionRequested
            | Self::Licensed
            | Self::Adopted
            | Self::AwaitingLeadsJob
            | Self::AwaitingTrunksJob
            | Self::Synced
            | Self::Recovered
            | Self::PlanReady
            | Self::Observing
            | Self::Suspended
            | Self::Resumed
            | Self::LeadActive
            | Self::LeadRequested
            | Self::LeadDiscovered
            | Self::LeadOnboarded
            | Self::ChannelAssigned
            | Self::ChannelUnassigned => true,
            // What the platform object tells is never much. Of a deletion, and of the license before, nothing else
            // is left.
            _ => false,
        }
    }

    /// The `action` of the event: what was being done.
    pub fn action(self) -> &'static str {
        match self {
            Self::ConversionRequested | Self::Licensed | Self::TaskFailed => "Convert",
            Self::Adopted => "Adopt",
            Self::AwaitingLeadsJob | Self::AwaitingTrunksJob | Self::Synced | Self::SyncJobRun => {
                "Synchronize"
            }
            Self::DeletionRequested
            | Self::Deleted
            | Self::Retained
            | Self::Released
            | Self::DeletionBlocked
            | Self::DeletionRateExceeded
            | Self::DeletionsHeld
            | Self::DeletionsApproved => "Delete",
            Self::PlatformRefused | Self::AnswerLost => "Ask",
            Self::LeadRequested | Self::LeadDiscovered | Self::LeadOnboarded => "Create",
            Self::ChannelAssigned | Self::ChannelUnassigned => "Assign",
            Self::PlanReady => "Plan",
            Self::WriteRefused => "Record",
            Self::PlatformConnected
            | Self::PlatformRecovered
            | Self::PlatformUnavailable
            | Self::AuthenticationFailed
            | Self::Throttled => "Connect",
            Self::LicenseChanged
            | Self::Recovered
            | Self::DeletedExternally
            | Self::Observing
            | Self::LeadActive
            | Self::LeadNotActive
            | Self::LeadNotFound
            | Self::AbsencesHeld
            | Self::AbsencesApproved
            | Self::AbsencesOver => "Observe",
            Self::InvalidSpec
            | Self::ShortNameTaken
            | Self::Conflict
            | Self::AlreadyLicensed
            | Self::ChannelMismatch
            | Self::NamespaceNotAllowed
            | Self::PlatformNotFound
            | Self::Suspended
            | Self::Resumed => "Check",
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
