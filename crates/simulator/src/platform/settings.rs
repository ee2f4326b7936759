//! The settings: a switch for each place where the vendor's pages contradict each other or are silent.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// C-1: whether the task path is served with a doubled `/tenantui`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DoubledPrefix {
    /// Both `/tenantui/api/v2/task` and `/tenantui/tenantui/api/v2/task`.
    #[default]
    Both,
    /// Only the doubled form, as the page prints it.
    Only,
    /// Only the single form.
    Never,
}

/// C-6: how a task's status is spelt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TaskStatusSpelling {
    /// `InProgress`, `CompletedSuccess`, as in the JSON examples.
    #[default]
    Joined,
    /// `In Progress`, `Completed Success`, as in the prose.
    Spaced,
}

/// C-7: the form of the answer to a V3 create.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CreateAnswer {
    /// `{"jobId":"wst_…"}`, as in the example.
    #[default]
    JobId,
    /// `{"taskId":"wst_…"}`, as in the field table.
    TaskId,
    /// `"wst_…"`, as in V2.
    Bare,
}

/// C-8: how the guid of a new service is named in a V3 task's `outputData`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutputGuid {
    /// `umpCustomerGuid`, as in the V3 example.
    #[default]
    CamelCase,
    /// `UmpCustomerGuid`, as in the table of Get Task.
    PascalCase,
    /// Not there, as in the V2 example.
    Absent,
}

/// C-12: how `PageNumber` is understood.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Paging {
    /// The first page is 1, and 0 is taken as 1.
    #[default]
    OneBased,
    /// The first page is 0.
    ZeroBased,
    /// Every page number answers the first page again.
    RepeatsFirst,
}

/// C-16: the form of a 400 to a channel assignment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum AssignError {
    /// E2.
    #[default]
    Problem,
    /// E1.
    Validation,
}

/// U-3: where a fault of a create is found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FoundBy {
    /// At once: 400 or 404.
    #[default]
    Request,
    /// The request is accepted, its task ends `Failed`.
    Task,
}

/// U-4: how a second create for one tenant ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SecondCreate {
    /// Refused at once with a 400 (E1, `MsTenantId`).
    #[default]
    Request,
    /// Accepted; the task ends `Failed`.
    Task,
    /// Executed: the tenant gets two services. No page says so; it exists to catch a client that requests
    /// twice.
    Allowed,
}

/// U-25: how a create for a tenant with a Direct Routing service (license 0 to 2) ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum BesideDirectRouting {
    /// Executed: Direct Routing services are counted separately, the best reading of the pages
    /// (platform-facts-3.md 2).
    #[default]
    Allowed,
    /// Refused at once with a 400 (E1, `MsTenantId`).
    Request,
    /// Accepted; the task ends `Failed`.
    Task,
}

/// U-9, N-22: how the control API answers a request to run a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum JobAnswer {
    /// Answers with the job when a run that began after the request is over.
    #[default]
    WhenDone,
    /// Answers at once: `{"success":true,"message":"…"}`. During a run the message says that one is already
    /// in progress.
    AtOnce,
}

/// What a topology list answers when nothing matches (platform-facts-2.md 6: "unknown which").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum EmptyList {
    /// 200 without the plural key.
    #[default]
    WithoutKey,
    /// 200 with an empty array.
    EmptyArray,
    /// 404 with a `description` (E4).
    NotFound,
}

/// All settings of the platform; they can be changed while it runs by `PATCH /simulator/settings`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Settings {
    /// Milliseconds added to each API call (not to the token endpoint).
    pub latency: u64,
    /// Milliseconds from the acceptance of a task to its end.
    pub task_duration: u64,
    /// Milliseconds that a synchronization job takes.
    pub job_duration: u64,
    /// Seconds that a token lives (`expires_in`, platform-facts.md 1.1).
    pub token_lifetime: u64,
    /// The tenants that Microsoft's directory does not have (platform-facts-3.md 3). It has every other.
    pub missing_tenants: Vec<String>,
    /// Milliseconds until a new service appears in the V3 and V2 lists (U-8).
    pub service_visibility_delay: u64,
    /// Milliseconds that a deleted service is still listed after the 200 (N-11).
    pub deletion_delay: u64,
    /// The lists show a new service only after a run of the leads job, which may not happen for a day (U-8).
    pub listed_after_leads_job: bool,
    /// Milliseconds from the end of a create's task until the service is deployed. Until then its deploy
    /// status is `UNKNOWN` (U-23).
    pub deploy_duration: u64,
    /// A service's deploy status ends as `FAILED`, not `DEPLOYED` (U-23).
    pub deploy_fails: bool,
    /// Seed of the generator behind a fault's `probability`.
    pub seed: u64,
    /// C-1: the prefix of the task path.
    pub doubled_prefix: DoubledPrefix,
    /// C-2: short names follow rule B (letters, digits, underscore), not A.
    pub strict_short_names: bool,
    /// C-3: a short name may not contain `audit`; otherwise it only may not equal it.
    pub audit_contains: bool,
    /// C-4: `shortName`, `fullName` and the like are accepted for `customerShortName`, `customerFullName`.
    pub lenient_aliases: bool,
    /// C-5: `isNotActive` of a lead with a service is `true` (as the page's text says), not `false`.
    pub is_not_active_when_licensed: bool,
    /// C-6: the spelling of a task's status.
    pub task_status_spelling: TaskStatusSpelling,
    /// Another word for a running task (C-6, U-5); null means the usual one.
    pub task_word_running: Option<String>,
    /// Another word for a successful task, such as `CompletedWithErrors`; null means the usual one.
    pub task_word_done: Option<String>,
    /// Another word for a failed task, such as `CompletedFailed`, `Error`, `Aborted`, `TimedOut`; null means
    /// the usual one.
    pub task_word_failed: Option<String>,
    /// C-7: the form of the answer to a V3 create.
    pub create_answer: CreateAnswer,
    /// C-8: the name of the guid in a task's output.
    pub output_data_guid: OutputGuid,
    /// C-11: assignments answer in the old form.
    pub old_assign_answer: bool,
    /// C-12: the meaning of `PageNumber`.
    pub paging: Paging,
    /// C-13: the lead list comes as `[[…]]`.
    pub nested_lead_array: bool,
    /// C-14: a new service gets the lead's id as its guid.
    pub reuse_lead_id: bool,
    /// C-16: the form of a 400 to a channel assignment.
    pub assign_error: AssignError,
    /// C-21: the one site location has the service's guid as its id.
    pub site_location_id_is_service_guid: bool,
    /// C-24: the caller counts as a channel's user, whose assignments are refused with 403.
    pub channel_caller: bool,
    /// U-3: where a fault of a create is found.
    pub faults_found_by: FoundBy,
    /// U-4: how a second create for one tenant ends.
    pub second_create: SecondCreate,
    /// U-25: how a create beside a Direct Routing service ends.
    pub beside_direct_routing: BesideDirectRouting,
    /// A lead also shows the guid of a Direct Routing service, when its tenant has no other. No page says so.
    pub lead_shows_direct_routing: bool,
    /// U-9, N-22: when a request to run a job is answered.
    pub job_answer: JobAnswer,
    /// U-8: a lead shows its `umpCustomerGuid` only after a run of the leads job.
    pub visible_after_leads_job: bool,
    /// N-2: changes at Microsoft (`PATCH /simulator/leads`) appear only after a run of the leads job.
    pub microsoft_changes_after_leads_job: bool,
    /// platform-facts-2.md 8: a service whose tenant has numbers cannot be deleted (400).
    pub refuse_deletion_with_numbers: bool,
    /// platform-facts-2.md 4: the newest page's `siteLocation` block is required.
    pub require_site_location: bool,
    /// Whether `/api/ovoc/v1` can be reached.
    pub topology_available: bool,
    /// What `/api/ovoc/v1` answers when it cannot be reached.
    pub topology_status: u16,
    /// What a topology list answers when nothing matches.
    pub empty_topology_list: EmptyList,
    /// Leads, services and tasks carry an undocumented field (platform-facts.md 12.3).
    pub extra_fields: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            latency: 0,
            task_duration: 2_000,
            job_duration: 0,
            token_lifetime: 3_599,
            missing_tenants: Vec::new(),
            service_visibility_delay: 0,
            deletion_delay: 0,
            listed_after_leads_job: false,
            deploy_duration: 0,
            deploy_fails: false,
            seed: 1,
            doubled_prefix: DoubledPrefix::default(),
            strict_short_names: false,
            audit_contains: false,
            lenient_aliases: false,
            is_not_active_when_licensed: false,
            task_status_spelling: TaskStatusSpelling::default(),
            task_word_running: None,
            task_word_done: None,
            task_word_failed: None,
            create_answer: CreateAnswer::default(),
            output_data_guid: OutputGuid::default(),
            old_assign_answer: false,
            paging: Paging::default(),
            nested_lead_array: false,
            reuse_lead_id: false,
            assign_error: AssignError::default(),
            site_location_id_is_service_guid: false,
            channel_caller: false,
            faults_found_by: FoundBy::default(),
            second_create: SecondCreate::default(),
            beside_direct_routing: BesideDirectRouting::default(),
            lead_shows_direct_routing: false,
            job_answer: JobAnswer::default(),
            visible_after_leads_job: false,
            microsoft_changes_after_leads_job: false,
            refuse_deletion_with_numbers: false,
            require_site_location: false,
            topology_available: true,
            topology_status: 404,
            empty_topology_list: EmptyList::default(),
            extra_fields: false,
        }
    }
}

impl Settings {
    /// Returns these settings with the fields of `change` replaced. An unknown name or value is an error.
    pub fn merged(&self, change: &Value) -> Result<Self, String> {
        let Value::Object(change) = change else {
            return Err("settings must be a JSON object".into());
        };
        let mut whole = serde_json::to_value(self).map_err(|error| error.to_string())?;
        if let Value::Object(fields) = &mut whole {
            fields.extend(change.iter().map(|(name, value)| (name.clone(), value.clone())));
        }
        serde_json::from_value(whole).map_err(|error| error.to_string())
    }
}
