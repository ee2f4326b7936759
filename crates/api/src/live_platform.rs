//! `LivePlatform`: one Live Platform, how to reach it, and what it may be used for.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{ConfigMapKeyRef, Interval, JobStatus, LeadOrigin, SecretKeyRef};
use super::schema::{self, rule, rule_at};
use super::words::{CapabilityState, CircuitState};

/// Where a Live Platform is, how to authenticate, and what it may be used for.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "operatorconnect.dev",
    version = "v1alpha1",
    kind = "LivePlatform",
    plural = "liveplatforms",
    status = "LivePlatformStatus",
    derive = "PartialEq",
    shortname = "lp",
    category = "operatorconnect",
    doc = "One AudioCodes Live Platform: its address, how to authenticate, and what it may be used for.",
    printcolumn(
        name = "URL",
        type_ = "string",
        json_path = ".spec.url",
        description = "The platform's address"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the platform answers and is observed"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why, and whose move it is"
    ),
    printcolumn(
        name = "Leads",
        type_ = "integer",
        json_path = ".status.leads.total",
        description = "How many leads the platform has"
    ),
    printcolumn(
        name = "Services",
        type_ = "integer",
        json_path = ".status.services.total",
        description = "How many services the platform has"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Since when the object exists"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct LivePlatformSpec {
    /// The address that all calls begin with, such as https://live.example.com/tenantui. https only; http is taken for a loopback
    /// or cluster-local host.
    #[schemars(schema_with = "schema::base_url")]
    pub url: String,
    /// How the operator proves who it is.
    pub authentication: Authentication,
    /// A ConfigMap's key with PEM certificates of a private authority. They are trusted beside the well-known ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub ca_bundle_ref: Option<ConfigMapKeyRef>,
    /// Which namespaces may use this platform. Default: all.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// How often the platform is listed, 5s to 24h. Default: 10m.
    #[serde(default = "ten_minutes")]
    #[schemars(schema_with = "schema::observe_interval")]
    pub observe_interval: Interval,
    /// The budget of requests to this platform, shared by all kinds. Of several LivePlatforms whose url means one place, the least of each limit holds for all.
    #[serde(default)]
    pub requests: Requests,
    /// When present, the operator makes a Lead object for each lead of the platform that fits. When absent, it makes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_discovery: Option<LeadDiscovery>,
    /// Whether names, mail addresses and telephone numbers of people come into the cluster: Omit (the default) or Include.
    #[serde(default)]
    pub contact_details: ContactDetails,
    /// Which characters a short name may have: Portal (the default), the portal's rule; Alphanumeric: letters, digits and
    /// underscore only, as the vendor's newest pages say.
    #[serde(default)]
    pub short_name_rule: ShortNameRule,
    /// How the platform's synchronization jobs are started.
    #[serde(default)]
    pub sync_jobs: SyncJobs,
    /// The breaker for deletions. LivePlatforms whose url means one place have one: the least perHour holds for all, and each counts what the others have granted.
    #[serde(default)]
    pub deletions: Deletions,
    /// How long to look for the effect of a create whose answer was lost before it is asked for again, 1m to 24h. It counts once
    /// creates of this platform were seen to take at most half of it; a slower platform gets twice what it took, and one of which
    /// nothing was seen yet taskDeadline. Default: 15m.
    #[serde(default = "fifteen_minutes")]
    #[schemars(schema_with = "schema::create_grace")]
    pub create_grace: Interval,
    /// After how long a task that still runs is reported, 1m to 72h. It is never asked for twice. Default: 2h.
    #[serde(default = "two_hours")]
    #[schemars(schema_with = "schema::task_deadline")]
    pub task_deadline: Interval,
}

fn ten_minutes() -> Interval {
    Interval::minutes(10)
}

fn fifteen_minutes() -> Interval {
    Interval::minutes(15)
}

fn two_hours() -> Interval {
    Interval::hours(2)
}

/// How the operator proves who it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// By an application of the service provider in Microsoft Entra ID.
    pub entra: Entra,
}

/// An application in Microsoft Entra ID. Set exactly one of clientSecretRef and workloadIdentity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule("has(self.clientSecretRef) != has(self.workloadIdentity)", "set exactly one of clientSecretRef and workloadIdentity"))]
pub struct Entra {
    /// The service provider's own directory, a GUID.
    #[schemars(schema_with = "schema::guid")]
    pub tenant_id: String,
    /// The application's client id, a GUID.
    #[schemars(schema_with = "schema::guid")]
    pub client_id: String,
    /// The scope to ask a token for, such as api://<application id>/.default.
    #[schemars(schema_with = "schema::scope")]
    pub scope: String,
    /// Where tokens are asked for. Default: the v2 token endpoint of the directory,
    /// https://login.microsoftonline.com/<tenantId>/oauth2/v2.0/token. A directory in another Microsoft cloud has another host, such as
    /// https://login.microsoftonline.us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::https_url")]
    pub token_url: Option<String>,
    /// A Secret's key with the application's client secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// Federated: the token that Kubernetes projects into the operator's pod is the proof. No secret is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
}

/// Federated credentials. It has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadIdentity {}

/// Which namespaces may use a platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule_at(".selector", "(self.from == 'Selector') == has(self.selector)", "set selector with from: Selector, and only then"))]
pub struct AllowedNamespaces {
    /// All (the default): every namespace. Selector: those whose labels fit the selector. None: no namespace.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels of the namespaces, with from: Selector.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,
}

/// How namespaces are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// Every namespace.
    #[default]
    All,
    /// Those whose labels fit.
    Selector,
    /// No namespace.
    None,
}

/// A budget of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// Requests a second in the long run, 1 to 1000. Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub per_second: u32,
    /// Requests that may go at once after a pause, 1 to 1000. Default: 20.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 1000))]
    pub burst: u32,
    /// Requests that may wait for an answer at the same time, 1 to 64. Default: 4.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 64))]
    pub in_flight: u32,
}

fn ten() -> u32 {
    10
}

fn twenty() -> u32 {
    20
}

fn four() -> u32 {
    4
}

impl Default for Requests {
    fn default() -> Self {
        Self {
            per_second: ten(),
            burst: twenty(),
            in_flight: four(),
        }
    }
}

/// Which leads become Lead objects by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadDiscovery {
    /// The namespace to make them in.
    #[schemars(schema_with = "schema::namespace")]
    pub namespace: String,
    /// Where the leads come from: Consented, Consentless or both. Default: Consented.
    #[serde(default = "consented")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub origins: Vec<LeadOrigin>,
    /// Only leads that consented to one of these countries, ISO 3166 codes of two capital letters. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::countries")]
    pub countries: Option<Vec<String>>,
    /// Labels for the Lead objects.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub labels: BTreeMap<String, String>,
}

fn consented() -> Vec<LeadOrigin> {
    vec![LeadOrigin::Consented]
}

/// Whether data of people come into the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ContactDetails {
    /// They stay out.
    #[default]
    Omit,
    /// They are shown in the status of leads.
    Include,
}

/// Which characters a short name may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ShortNameRule {
    /// The portal's rule.
    #[default]
    Portal,
    /// Letters, digits and underscore.
    Alphanumeric,
}

impl From<ShortNameRule> for oc_domain::names::ShortNameRule {
    fn from(rule: ShortNameRule) -> Self {
        match rule {
            ShortNameRule::Portal => Self::Portal,
            ShortNameRule::Alphanumeric => Self::Alphanumeric,
        }
    }
}

/// How the platform's synchronization jobs are started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule_at(".http", "(self.trigger == 'Http') == has(self.http)", "set http with trigger: Http, and only then"))]
pub struct SyncJobs {
    /// Manual (the default): the operator says which job is due, and watches for its effect. Http: it calls the URLs in http, for an
    /// installation that has such calls.
    #[serde(default)]
    pub trigger: SyncTrigger,
    /// The calls that start the jobs, with trigger: Http.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<SyncJobsHttp>,
}

/// Who starts a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SyncTrigger {
    /// A person.
    #[default]
    Manual,
    /// The operator, by a call.
    Http,
}

/// The calls that start the jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncJobsHttp {
    /// Starts the job peering.sync-leads-job.
    #[schemars(schema_with = "schema::https_url")]
    pub leads_url: String,
    /// Starts the job peering.sync-trunks-job.
    #[schemars(schema_with = "schema::https_url")]
    pub trunks_url: String,
    /// The method of the calls: POST (the default) or PUT.
    #[serde(default)]
    pub method: HttpMethod,
}

/// A method of HTTP that may change something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum HttpMethod {
    /// POST.
    #[default]
    #[serde(rename = "POST")]
    Post,
    /// PUT.
    #[serde(rename = "PUT")]
    Put,
}

/// The breaker for deletions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deletions {
    /// How many services and leads may be deleted from the platform in an hour, 0 to 1000. More than that wait for the
    /// annotation operatorconnect.dev/approve-deletions. Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 1000))]
    pub per_hour: u32,
}

impl Default for Deletions {
    fn default() -> Self {
        Self { per_hour: ten() }
    }
}

/// What was seen of the platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LivePlatformStatus {
    /// The metadata.generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// How many leads the platform has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads: Option<LeadCounts>,
    /// How many services the platform has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<ServiceCounts>,
    /// Whether calls are let through to the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<Circuit>,
    /// The platform's synchronization jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sync_jobs: Vec<JobStatus>,
    /// What the breaker for deletions has counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletions: Option<DeletionsStatus>,
    /// What objects have recorded and the platform does not show, and for which platform they have recorded it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absences: Option<AbsencesStatus>,
    /// Times of jobs that are not taken, since they lay ahead when they were set: an annotation's value counts again when it is changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub refused_job_times: Vec<RefusedJobTime>,
    /// Which calls this release of the platform has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub capabilities: Vec<Capability>,
    /// The last value of the annotation operatorconnect.dev/reconcile-requested-at that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
    /// Ready always; Reconciling and Stalled only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// What the breaker for deletions has counted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionsStatus {
    /// How many deletions wait for the annotation operatorconnect.dev/approve-deletions.
    #[serde(default)]
    pub held: u32,
    /// The objects that may delete what they stand for, of the last hour.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["uid".into()]))]
    pub granted: Vec<DeletionGrant>,
    /// Whatever was deleted in the cluster until then was approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approved_time: Option<Time>,
    /// The last value of the annotation operatorconnect.dev/approve-deletions that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_approval: Option<String>,
}

/// One object that may delete what it stands for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionGrant {
    /// Its uid.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// When it was counted.
    pub time: Time,
}

/// What objects have recorded and the platform does not show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AbsencesStatus {
    /// How many objects have recorded something that does not show and is not believed to be gone. They wait until it shows again, or for the annotation
    /// operatorconnect.dev/approve-absences.
    #[serde(default)]
    pub held: u32,
    /// Since when so many are held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since_time: Option<Time>,
    /// How many objects still have recorded what is known to be gone, by a person's word or since it was believed long ago.
    #[serde(default)]
    pub accepted: u32,
    /// What was lately believed to be gone from the platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub believed: Vec<BelievedAbsence>,
    /// For which platform the objects have recorded what they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownPlatform>,
    /// The last value of the annotation operatorconnect.dev/approve-absences that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_approval: Option<String>,
}

/// One service or lead that is believed to be gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BelievedAbsence {
    /// The umpCustomerGuid of the service, or the leadId of the lead.
    #[schemars(length(max = 64))]
    pub id: String,
    /// When it was counted.
    pub time: Time,
}

/// A platform, and as whom it is spoken to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownPlatform {
    /// spec.url, normalized.
    #[schemars(length(max = 2048))]
    pub url: String,
    /// The directory and the application of spec.authentication.entra: tenantId/clientId.
    #[schemars(length(max = 256))]
    pub identity: String,
}

/// A time of a job that is not taken.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedJobTime {
    /// The job.
    #[schemars(length(max = 100))]
    pub name: String,
    /// The annotation's value, its first 64 characters.
    #[schemars(length(max = 64))]
    pub value: String,
}

/// Leads of a platform, counted by Microsoft's status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadCounts {
    /// All of them.
    #[serde(default)]
    pub total: u32,
    /// Those that are Active.
    #[serde(default)]
    pub active: u32,
    /// Those that are Suspended.
    #[serde(default)]
    pub suspended: u32,
    /// Those that are Removed.
    #[serde(default)]
    pub removed: u32,
}

/// Services of a platform, counted by License Type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCounts {
    /// All of them.
    #[serde(default)]
    pub total: u32,
    /// Those with OC Essential.
    #[serde(default)]
    pub oc_essential: u32,
    /// Those with another license.
    #[serde(default)]
    pub other: u32,
}

/// Whether calls are let through to a platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Circuit {
    /// Closed: calls go through. Open: they are held back, but for a probe.
    pub state: CircuitState,
    /// Why it is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// One call that not every release of the platform has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// What it is for.
    #[schemars(length(max = 100))]
    pub name: String,
    /// Available, Unavailable or Unknown.
    pub state: CapabilityState,
}
