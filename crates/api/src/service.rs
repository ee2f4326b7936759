//! `OcEssentialService`: one OC Essential service for one tenant.

use std::collections::BTreeMap;
use std::fmt;

use kube::{CustomResource, KubeSchema};
use oc_domain::names::ShortName;
use oc_domain::requests::{IpGroup, ServiceParameters, SipConnection};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use super::common::{DeletionPolicy, JobStatus, LocalRef, Operation};
use super::condition::Condition;
use super::schema::{self, immutable_optional, kept, rule_at};
use super::words::SyncState;

/// The desired service of one tenant.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "operatorconnect.dev",
    version = "v1alpha1",
    kind = "OcEssentialService",
    plural = "ocessentialservices",
    namespaced,
    status = "OcEssentialServiceStatus",
    derive = "PartialEq",
    shortname = "oces",
    category = "operatorconnect",
    selectable = ".spec.msTenantId",
    selectable = ".spec.shortName",
    selectable = ".status.licenseType",
    doc = "One OC Essential service for one Microsoft 365 tenant.",
    validation = kept::short_name(),
    validation = kept::unless_taken_out("channelId"),
    validation = kept::unless_taken_out("lcCustomerId"),
    validation = kept::advanced_settings(),
    printcolumn(name = "Tenant", type_ = "string", json_path = ".status.msTenantId", description = "The customer's Microsoft 365 tenant id"),
    printcolumn(name = "Short Name", type_ = "string", json_path = ".spec.shortName", description = "The service's short name"),
    printcolumn(name = "License", type_ = "string", json_path = ".status.licenseType", description = "The License Type, read back from the platform"),
    printcolumn(name = "Sync", type_ = "string", json_path = ".status.sync.state", description = "State of the synchronization job that is furthest behind"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether everything in the spec exists on the platform"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why, and whose move it is"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Time since the object was created"),
    printcolumn(
        name = "Customer GUID",
        type_ = "string",
        json_path = ".status.umpCustomerGuid",
        priority = 1,
        description = "The platform's key of the service"
    ),
    printcolumn(name = "Task", type_ = "string", json_path = ".status.operation.taskId", priority = 1, description = "The platform's id of the task"),
    printcolumn(name = "Full Name", type_ = "string", json_path = ".spec.fullName", priority = 1, description = "The service's full name"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1,
        description = "What happened, in plain words"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rule_at(".leadRef", "has(self.leadRef) != has(self.msTenantId)", "set exactly one of leadRef and msTenantId"),
    validation = rule_at(
        ".platform",
        "!has(self.platform) || has(self.msTenantId)",
        "platform is allowed only with msTenantId: with leadRef the operator uses the lead's platform"
    ),
    validation = immutable_optional("leadRef"),
    validation = immutable_optional("msTenantId"),
    validation = immutable_optional("platform")
)]
pub struct OcEssentialServiceSpec {
    /// The Lead object, in the same namespace, to convert to a customer. Set exactly one of leadRef and
    /// msTenantId. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub lead_ref: Option<LocalRef>,
    /// The customer's Microsoft 365 tenant id, a lowercase GUID. Set exactly one of leadRef and msTenantId.
    /// Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::tenant_id")]
    pub ms_tenant_id: Option<SmolStr>,
    /// Name of the LivePlatform. Set it only with msTenantId; with leadRef the lead's platform is used.
    /// Default: default. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub platform: Option<SmolStr>,
    /// The service's short name on the platform: 3 to 15 characters, none of \ / : * ? " < > |, no dot, no
    /// blank, not containing the word audit, and not a Windows device name. Must be unique on the platform,
    /// ignoring case. Immutable, since no call renames a service. If somebody renames the service on the
    /// platform, you can set this field to the name in status.shortName.
    #[schemars(schema_with = "schema::short_name")]
    pub short_name: SmolStr,
    /// The service's full name, 1 to 200 characters. No call renames a service. If the name is changed later,
    /// here or on the platform, the operator reports the difference and sets Synced to False.
    #[schemars(schema_with = "schema::full_name")]
    pub full_name: SmolStr,
    /// Id of the LC customer to attach the service to. If absent, the platform creates one with the same
    /// short name. If the lead belongs to a channel, the LC customer must belong to that channel too.
    /// Immutable once the service was requested, but you may remove it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub lc_customer_id: Option<i64>,
    /// Id of the channel to attach the service to. Immutable once the service was requested, but you may
    /// remove it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub channel_id: Option<i64>,
    /// If set, the SIP connection is made by IP group. If absent, it is made by tenant id. Immutable once the
    /// service was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advanced_settings: Option<AdvancedSettings>,
    /// Apply (the default): make all needed changes. Plan: list in status.plan what Apply would do, and
    /// change nothing. Observe: only read.
    #[serde(default)]
    pub mode: Mode,
    /// What to do with an existing service of the tenant that this object did not create. IfMatching (the
    /// default): adopt it if short name and full name match. Always: adopt it. Never: leave it alone and
    /// report a conflict.
    #[serde(default)]
    pub adoption: Adoption,
    /// What happens to the service on the platform when this object is deleted. Retain (the default) keeps
    /// the paid service. Delete deletes it.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// What can block a deletion with deletionPolicy: Delete. Numbers (the default): the service is not
    /// deleted while its tenant has telephone numbers on the platform; release them first. None: the service
    /// is deleted anyway.
    #[serde(default)]
    pub deletion_guard: DeletionGuard,
    /// What to do when somebody else deleted the service. false (the default): report it. true: create the
    /// service again.
    #[serde(default)]
    pub recreate: bool,
    /// What to do when the tenant has a Direct Routing service (license Hosted Essentials, Hosted Essentials
    /// Plus or Hosted Pro). false (the default): report it. true: request the OC Essential service anyway.
    /// Whether the platform accepts both is not documented. The Direct Routing service is left alone.
    #[serde(default)]
    pub beside_direct_routing: bool,
    /// If true, the operator reads and changes nothing on the platform for this object. A deletion with
    /// deletionPolicy: Delete waits until this is false. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

impl OcEssentialServiceSpec {
    /// The parameters of the create, except the values that may be secret: those of
    /// [`AdvancedSettings::variables`] and [`AdvancedSettings::variables_from`].
    pub fn parameters(&self) -> ServiceParameters {
        ServiceParameters {
            short_name: ShortName::as_written(&self.short_name),
            full_name: self.full_name.to_string(),
            lc_customer: self.lc_customer_id,
            channel: self.channel_id,
            connection: self
                .advanced_settings
                .as_ref()
                .map_or(SipConnection::Tenant, |settings| {
                    SipConnection::IpGroup(Box::new(settings.ip_group()))
                }),
        }
    }
}

/// How much the operator does for an object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Make all needed changes.
    #[default]
    Apply,
    /// Change nothing; report the planned changes.
    Plan,
    /// Change nothing; only read.
    Observe,
}

/// What keeps a service from being deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionGuard {
    /// Telephone numbers of the tenant.
    #[default]
    Numbers,
    /// Nothing.
    None,
}

/// Which existing services are adopted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Adoption {
    /// Services whose short name and full name match.
    #[default]
    IfMatching,
    /// No service.
    Never,
    /// Every service.
    Always,
}

/// A SIP connection by IP group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdvancedSettings {
    /// Name of the proxy set on the SBC, such as SIPTrunk. One proxy set can serve many customers.
    #[schemars(schema_with = "schema::label_text")]
    pub proxy_set: String,
    /// The online PSTN gateway, as a fully qualified host name such as gw.example.com. It must be activated
    /// at Microsoft.
    #[schemars(schema_with = "schema::fqdn")]
    pub online_pstn_gateway: String,
    /// The site and SBC of the SIP connection. If absent, the platform decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_location: Option<SiteLocation>,
    /// Custom variables of the onboarding script by name, at most 50. They must exist on the platform as
    /// customer variables. Put secret values in variablesFrom.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub variables: Variables,
    /// More variables, taken from a Secret. They are read when the service is created, and never shown.
    /// Trailing line breaks of a value are removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables_from: Option<VariablesFrom>,
}

impl AdvancedSettings {
    fn ip_group(&self) -> IpGroup {
        IpGroup {
            proxy_set: self.proxy_set.clone(),
            online_pstn_gateway: self.online_pstn_gateway.clone(),
            site_location: self
                .site_location
                .as_ref()
                .map(|site| oc_domain::requests::SiteLocation {
                    name: Some(site.name.clone()),
                    sbc_id: Some(site.sbc_id),
                    onboarding_script: site.onboarding_script,
                    cleanup_script: site.cleanup_script,
                    upload_number_script: site.upload_number_script,
                    release_number_script: site.release_number_script,
                }),
        }
    }
}

/// The site and SBC of a SIP connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteLocation {
    /// Name of the site.
    #[schemars(schema_with = "schema::label_text")]
    pub name: String,
    /// The platform's id of the SBC.
    #[schemars(range(min = 1))]
    pub sbc_id: i64,
    /// Id of the script that sets up the SBC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub onboarding_script: Option<i64>,
    /// Id of the script that cleans up the SBC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cleanup_script: Option<i64>,
    /// Id of the script that uploads a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub upload_number_script: Option<i64>,
    /// Id of the script that releases a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub release_number_script: Option<i64>,
}

/// Custom variables by name. Debug output shows the names, never the values.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variables(pub BTreeMap<String, String>);

impl Variables {
    /// Returns whether there are no variables.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.0.keys().map(|name| (name, format_args!("(withheld)"))))
            .finish()
    }
}

impl JsonSchema for Variables {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Variables".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        schema::variables(generator)
    }
}

/// The source of more variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariablesFrom {
    /// A Secret in the same namespace. Each key is the name of a variable.
    pub secret_ref: LocalRef,
}

/// The service as last read from the platform, and the current operation.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OcEssentialServiceStatus {
    /// The metadata.generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The License Type in the portal's words, as read back from the platform. Absent until it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub license_type: Option<SmolStr>,
    /// The platform's key of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub ump_customer_guid: Option<SmolStr>,
    /// The customer's Microsoft 365 tenant id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub ms_tenant_id: Option<SmolStr>,
    /// Name of the LivePlatform that has the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub platform: Option<SmolStr>,
    /// The short name as the platform shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub short_name: Option<SmolStr>,
    /// The full name as the platform shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub full_name: Option<SmolStr>,
    /// The current operation on the platform, or the outcome of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub operation: Option<Operation>,
    /// The state of the synchronization jobs that the service needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub sync: Option<Sync>,
    /// With mode: Plan, what the operator would do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub plan: Vec<PlanItem>,
    /// The last value of the annotation operatorconnect.dev/reconcile-requested-at that the operator handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
    /// The conditions. Ready is always present; Reconciling and Stalled only while true. Synced says whether
    /// the platform shows what it should, LeadEligible whether the tenant's lead may get a license.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// The state of the synchronization jobs that a service needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// State of the job that is furthest behind: NotDue, Due, Requested, Synced or Unknown.
    pub state: SyncState,
    /// The state of each job.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub jobs: Vec<JobStatus>,
}

/// One planned change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanItem {
    /// What the operator would do, such as Create or Adopt.
    #[schemars(length(max = 64))]
    pub action: String,
    /// The field that would change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub field: Option<String>,
    /// The current value. Absent if there is none: a create starts from nothing, unless it replaces a service
    /// that was deleted on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub from: Option<String>,
    /// The value after the change. Absent if the platform chooses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub to: Option<String>,
}
