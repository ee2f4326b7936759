//! `LivePlatform`: one Live Platform, how to reach it, and how it may be used.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{ConfigMapKeyRef, Interval, JobStatus, SecretKeyRef};
use super::condition::Condition;
use super::lead_discovery::{LeadDiscovery, LeadDiscoveryStatus};
use super::schema::{self, rule, rule_at};
use super::words::{CapabilityState, CircuitState};

/// The address of a Live Platform, how to authenticate, and how the platform may be used.
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
        description = "Time since the object was created"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct LivePlatformSpec {
    /// The base URL of all calls, such as https://live.example.com/tenantui. Must be https; http is accepted
    /// only for a loopback or cluster-local host.
    #[schemars(schema_with = "schema::base_url")]
    pub url: String,
    /// How the operator authenticates to the platform.
    pub authentication: Authentication,
    /// A ConfigMap key with PEM certificates of a private certificate authority, trusted in addition to the
    /// well-known ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub ca_bundle_ref: Option<ConfigMapKeyRef>,
    /// Which namespaces may use this platform. Default: all.
    #[serde(default)]
    pub allowed_namespaces: AllowedNamespaces,
    /// How often the operator lists the platform, 5s to 24h. Default: 10m.
    #[serde(default = "ten_minutes")]
    #[schemars(schema_with = "schema::observe_interval")]
    pub observe_interval: Interval,
    /// The budget of requests to this platform, shared by all kinds. If several LivePlatforms point to the
    /// same platform, the lowest value of each limit applies to all of them.
    #[serde(default)]
    pub requests: Requests,
    /// If set, the operator creates a Lead object for each matching lead on the platform, and again if somebody
    /// deletes the object. If absent, it creates none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_discovery: Option<LeadDiscovery>,
    /// If set, the operator looks up a tenant in Microsoft's public directory before it creates a consentless
    /// lead for it, and reports a tenant that does not exist. If absent, it creates the lead without looking.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_lookup: Option<TenantLookup>,
    /// Whether people's names, email addresses and telephone numbers are copied into the cluster: Omit (the
    /// default) or Include.
    #[serde(default)]
    pub contact_details: ContactDetails,
    /// Which characters a short name may contain. Portal (the default) applies the portal's rule.
    /// Alphanumeric allows only letters, digits and underscores, as the vendor's newest pages say.
    #[serde(default)]
    pub short_name_rule: ShortNameRule,
    /// How the platform's synchronization jobs are started.
    #[serde(default)]
    pub sync_jobs: SyncJobs,
    /// The limit on deletions. LivePlatforms that point to the same platform share one limit: the lowest
    /// perHour applies to all of them, and each counts what the others have granted.
    #[serde(default)]
    pub deletions: Deletions,
    /// If the response to a create is lost, how long the operator looks for its effect before it sends the
    /// create again, 1m to 24h. Applies once creates on this platform are known to take at most half this
    /// time. A slower platform gets twice the time its slowest create took; a platform without any observed
    /// create gets taskDeadline, if that is longer. Default: 15m.
    #[serde(default = "fifteen_minutes")]
    #[schemars(schema_with = "schema::create_grace")]
    pub create_grace: Interval,
    /// How long a task may run before the operator reports it, 1m to 72h. A running task is never requested a
    /// second time. Default: 2h.
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

/// How the operator authenticates to the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Authentication {
    /// Authentication with an application of the service provider in Microsoft Entra ID.
    pub entra: Entra,
}

/// An application in Microsoft Entra ID. Set exactly one of clientSecretRef and workloadIdentity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule("has(self.clientSecretRef) != has(self.workloadIdentity)", "set exactly one of clientSecretRef and workloadIdentity"))]
pub struct Entra {
    /// Id of the service provider's own directory, a GUID.
    #[schemars(schema_with = "schema::guid")]
    pub tenant_id: String,
    /// Client id of the application, a GUID.
    #[schemars(schema_with = "schema::guid")]
    pub client_id: String,
    /// The scope to request a token for, such as api://<application id>/.default.
    #[schemars(schema_with = "schema::scope")]
    pub scope: String,
    /// The token endpoint. Default: the v2 endpoint of the directory,
    /// https://login.microsoftonline.com/<tenantId>/oauth2/v2.0/token. Another Microsoft cloud has another
    /// host, such as https://login.microsoftonline.us.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::token_url")]
    pub token_url: Option<String>,
    /// The Secret key that holds the application's client secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub client_secret_ref: Option<SecretKeyRef>,
    /// If set, the operator uses federated credentials: it authenticates with the service account token that
    /// Kubernetes projects into its pod. No secret is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workload_identity: Option<WorkloadIdentity>,
}

/// Federated credentials. Has no settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkloadIdentity {}

/// How the operator looks up a tenant: it reads <url>/<tenant id>/.well-known/openid-configuration, without a
/// token.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TenantLookup {
    /// The address of the Microsoft cloud that the customers' tenants are in. Default:
    /// https://login.microsoftonline.com. Must be https; http is accepted only for a loopback or cluster-local
    /// host. The operator must be able to reach it.
    #[serde(default = "public_cloud")]
    #[schemars(schema_with = "schema::cloud_url")]
    pub url: String,
}

fn public_cloud() -> String {
    "https://login.microsoftonline.com".to_owned()
}

/// Which namespaces may use a platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule_at(".selector", "(self.from == 'Selector') == has(self.selector)", "set selector if and only if from is Selector"))]
pub struct AllowedNamespaces {
    /// All (the default): every namespace. Selector: namespaces whose labels match the selector. None: no
    /// namespace.
    #[serde(default)]
    pub from: NamespacesFrom,
    /// Labels that a namespace must have. Required with from: Selector, not allowed otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::label_selector")]
    pub selector: Option<LabelSelector>,
}

/// How namespaces are selected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum NamespacesFrom {
    /// Every namespace.
    #[default]
    All,
    /// Namespaces whose labels match the selector.
    Selector,
    /// No namespace.
    None,
}

/// A budget of requests.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Requests {
    /// Sustained requests per second, 1 to 1000. Default: 10. Changes of channels come on top: they have the
    /// platform's own limit of 300 a minute, and are at most half as many.
    #[serde(default = "ten")]
    #[schemars(range(min = 1, max = 1000))]
    pub per_second: u32,
    /// Requests that may be sent at once after an idle period, 1 to 1000. Default: 20.
    #[serde(default = "twenty")]
    #[schemars(range(min = 1, max = 1000))]
    pub burst: u32,
    /// Requests that may be in flight at the same time, 1 to 64. Default: 4.
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

/// Whether personal data is copied into the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ContactDetails {
    /// Personal data is not copied.
    #[default]
    Omit,
    /// Contact details are shown in the status of leads.
    Include,
}

/// Which characters a short name may contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ShortNameRule {
    /// The portal's rule.
    #[default]
    Portal,
    /// Only letters, digits and underscores.
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
#[x_kube(validation = rule_at(".http", "(self.trigger == 'Http') == has(self.http)", "set http if and only if trigger is Http"))]
pub struct SyncJobs {
    /// Manual (the default): the operator reports which job is due and watches for its effect. Http: the
    /// operator calls the URLs in http, for an installation that offers such calls.
    #[serde(default)]
    pub trigger: SyncTrigger,
    /// The calls that start the jobs. Required with trigger: Http, not allowed otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<SyncJobsHttp>,
}

/// Who starts a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum SyncTrigger {
    /// A person, in the portal.
    #[default]
    Manual,
    /// The operator, with an HTTP call.
    Http,
}

/// The HTTP calls that start the jobs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncJobsHttp {
    /// URL of the call that starts the job peering.sync-leads-job.
    #[schemars(schema_with = "schema::https_url")]
    pub leads_url: String,
    /// URL of the call that starts the job peering.sync-trunks-job.
    #[schemars(schema_with = "schema::https_url")]
    pub trunks_url: String,
    /// HTTP method of the calls: POST (the default) or PUT.
    #[serde(default)]
    pub method: HttpMethod,
}

/// An HTTP method that may change something.
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

/// The limit on deletions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Deletions {
    /// How many services and leads may be deleted from the platform within an hour, 0 to 1000. Further
    /// deletions wait until you approve them with the annotation operatorconnect.dev/approve-deletions.
    /// Default: 10.
    #[serde(default = "ten")]
    #[schemars(range(min = 0, max = 1000))]
    pub per_hour: u32,
}

impl Default for Deletions {
    fn default() -> Self {
        Self { per_hour: ten() }
    }
}

/// The state of the platform as last observed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LivePlatformStatus {
    /// The metadata.generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The number of leads on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leads: Option<LeadCounts>,
    /// The number of services on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub services: Option<ServiceCounts>,
    /// Whether the operator sends calls to the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<Circuit>,
    /// What spec.leadDiscovery has found and created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lead_discovery: Option<LeadDiscoveryStatus>,
    /// The state of the platform's synchronization jobs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub sync_jobs: Vec<JobStatus>,
    /// What the deletion limit has granted and holds back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub deletions: Option<DeletionsStatus>,
    /// What objects have recorded but the platform does not show, and the platform for which they recorded
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub absences: Option<AbsencesStatus>,
    /// Job times that the operator rejected because they were in the future when they were set. To report a
    /// run, change the annotation to a new value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub refused_job_times: Vec<RefusedJobTime>,
    /// Which optional calls this release of the platform supports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub capabilities: Vec<Capability>,
    /// The last value of the annotation operatorconnect.dev/reconcile-requested-at that the operator handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
    /// The conditions. Ready is always present; Reconciling and Stalled only while true. LeadsDiscovered is
    /// present with spec.leadDiscovery; DeletionsHeld and AbsencesHeld appear only while they apply.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// What the deletion limit has granted and holds back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionsStatus {
    /// How many deletions wait for the annotation operatorconnect.dev/approve-deletions.
    #[serde(default)]
    pub held: u32,
    /// The objects whose deletions on the platform were granted within the last hour, and those granted
    /// earlier that still exist.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2000))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["uid".into()]))]
    pub granted: Vec<DeletionGrant>,
    /// Everything that was deleted in the cluster up to this time is approved.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub approved_time: Option<Time>,
    /// The last value of the annotation operatorconnect.dev/approve-deletions that the operator handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_approval: Option<String>,
}

/// One object whose deletion on the platform was granted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeletionGrant {
    /// The object's uid.
    #[schemars(length(max = 64))]
    pub uid: String,
    /// When it was counted.
    pub time: Time,
}

/// What objects have recorded but the platform does not show.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct AbsencesStatus {
    /// How many objects have recorded something that the platform does not show and that the operator does
    /// not consider gone. They wait until it appears again, or until you set the annotation
    /// operatorconnect.dev/approve-absences.
    #[serde(default)]
    pub held: u32,
    /// Since when this many objects are held.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub since_time: Option<Time>,
    /// How many objects still have recorded something that is known to be gone, either because a person
    /// confirmed it or because it was accepted as gone more than an hour ago.
    #[serde(default)]
    pub accepted: u32,
    /// What the operator recently accepted as gone from the platform.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 200))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["id".into()]))]
    pub believed: Vec<BelievedAbsence>,
    /// The platform for which the objects recorded what they have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<KnownPlatform>,
    /// The last value of the annotation operatorconnect.dev/approve-absences that the operator handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_approval: Option<String>,
}

/// One service or lead that the operator accepted as gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BelievedAbsence {
    /// The umpCustomerGuid of the service, or the leadId of the lead.
    #[schemars(length(max = 64))]
    pub id: String,
    /// When it was counted.
    pub time: Time,
}

/// A platform, and the application that the operator uses there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KnownPlatform {
    /// The value of spec.url, normalized.
    #[schemars(length(max = 2048))]
    pub url: String,
    /// The directory and the application of spec.authentication.entra, as tenantId/clientId.
    #[schemars(length(max = 256))]
    pub identity: String,
}

/// A job time that the operator rejected.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RefusedJobTime {
    /// Name of the job.
    #[schemars(length(max = 100))]
    pub name: String,
    /// The first 64 characters of the annotation's value.
    #[schemars(length(max = 64))]
    pub value: String,
}

/// The number of leads on a platform, by Microsoft's status.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadCounts {
    /// The total number.
    #[serde(default)]
    pub total: u32,
    /// The number of Active leads.
    #[serde(default)]
    pub active: u32,
    /// The number of Suspended leads.
    #[serde(default)]
    pub suspended: u32,
    /// The number of Removed leads.
    #[serde(default)]
    pub removed: u32,
}

/// The number of services on a platform, by License Type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceCounts {
    /// The total number.
    #[serde(default)]
    pub total: u32,
    /// The number of services with OC Essential.
    #[serde(default)]
    pub oc_essential: u32,
    /// The number of services with another license.
    #[serde(default)]
    pub other: u32,
}

/// Whether the operator sends calls to the platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Circuit {
    /// Closed: calls go through. Open: calls are held back, except for a probe.
    pub state: CircuitState,
    /// Why the circuit is open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub reason: Option<String>,
}

/// One call that not every release of the platform supports.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Capability {
    /// What the call is for.
    #[schemars(length(max = 100))]
    pub name: String,
    /// Whether the platform has the call: Available, Unavailable or Unknown.
    pub state: CapabilityState,
}
