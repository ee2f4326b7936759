//! `OcEssentialService`: one OC Essential service for one tenant.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};

use super::common::{DeletionPolicy, JobStatus, LocalRef, Operation};
use super::schema::{self, immutable_optional, kept, rule_at};
use super::words::SyncState;

/// What service a tenant shall have.
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
    doc = "One OC Essential service for one Microsoft 365 tenant.",
    validation = kept::short_name(),
    validation = kept::unless_taken_out("channelId"),
    validation = kept::unless_taken_out("lcCustomerId"),
    validation = kept::advanced_settings(),
    printcolumn(name = "Tenant", type_ = "string", json_path = ".status.msTenantId", description = "The customer's Microsoft 365 tenant id"),
    printcolumn(name = "Short Name", type_ = "string", json_path = ".spec.shortName", description = "The service's short name"),
    printcolumn(name = "License", type_ = "string", json_path = ".status.licenseType", description = "The License Type, read back from the platform"),
    printcolumn(name = "Sync", type_ = "string", json_path = ".status.sync.state", description = "How far the synchronization jobs are"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether all that was asked for is so"
    ),
    printcolumn(name = "Reason", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].reason"#, description = "Why, and whose move it is"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp", description = "Since when the object exists"),
    printcolumn(
        name = "Customer GUID",
        type_ = "string",
        json_path = ".status.umpCustomerGuid",
        priority = 1,
        description = "The platform's key of the service"
    ),
    printcolumn(name = "Task", type_ = "string", json_path = ".status.operation.taskId", priority = 1, description = "The platform's task"),
    printcolumn(name = "Full Name", type_ = "string", json_path = ".spec.fullName", priority = 1, description = "The service's full name"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1,
        description = "What happened, for a person to read"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = rule_at(".leadRef", "has(self.leadRef) != has(self.msTenantId)", "set exactly one of leadRef and msTenantId"),
    validation = rule_at(
        ".platform",
        "!has(self.platform) || has(self.msTenantId)",
        "platform goes with msTenantId only: with leadRef the lead's platform is used"
    ),
    validation = immutable_optional("leadRef"),
    validation = immutable_optional("msTenantId"),
    validation = immutable_optional("platform")
)]
pub struct OcEssentialServiceSpec {
    /// The Lead object, in the same namespace, that becomes a customer. Set exactly one of leadRef and msTenantId. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub lead_ref: Option<LocalRef>,
    /// The customer's Microsoft 365 tenant id, a GUID in lower case. Set exactly one of leadRef and msTenantId. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::tenant_id")]
    pub ms_tenant_id: Option<String>,
    /// Name of the LivePlatform, with msTenantId; with leadRef the lead's platform is used. Absent: default. Immutable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::object_name")]
    pub platform: Option<String>,
    /// The service's short name on the platform: 3 to 15 characters, none of \ / : * ? " < > |, no dot, no blank, not the word
    /// audit, not a device name of Windows. Unique on the platform, without regard to case. Immutable, since no call renames a
    /// service; but when somebody has renamed it on the platform, it can be set to what status.shortName shows.
    #[schemars(schema_with = "schema::short_name")]
    pub short_name: String,
    /// The service's full name, 1 to 200 characters. No call renames a service: when it is changed later, or on the platform, the
    /// difference is told, and Synced is False.
    #[schemars(schema_with = "schema::full_name")]
    pub full_name: String,
    /// The LC customer to attach the service to. Absent: the platform makes one of the same short name. When the lead belongs to a
    /// channel, it must be one of that channel's customers. Immutable once the service was asked for; it can be taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub lc_customer_id: Option<i64>,
    /// The channel to attach the service to. Immutable once the service was asked for; it can be taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub channel_id: Option<i64>,
    /// When present, the SIP connection is made by IP group. When absent, by tenant id. Immutable once the service was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advanced_settings: Option<AdvancedSettings>,
    /// Apply (the default): do what is needed. Plan: say in status.plan what would be done, and do nothing. Observe: read only.
    #[serde(default)]
    pub mode: Mode,
    /// What to do with a service that exists for the tenant and was not made by this object. IfMatching (the default): take it over
    /// when short name and full name agree. Always: take it over. Never: leave it, and report a conflict.
    #[serde(default)]
    pub adoption: Adoption,
    /// What becomes of the service on the platform when this object is deleted. Retain (the default): the paid service stays.
    /// Delete: it is deleted.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// Numbers (the default): with deletionPolicy Delete, a service whose tenant has telephone numbers on the platform is not deleted
    /// before they are released. None: it is deleted all the same.
    #[serde(default)]
    pub deletion_guard: DeletionGuard,
    /// What to do when the service was deleted by somebody else: false (the default) reports it, true makes it again.
    #[serde(default)]
    pub recreate: bool,
    /// What to do when the tenant has a Direct Routing service (license Hosted Essentials, Hosted Essentials Plus or Hosted Pro): false
    /// (the default) reports it, true asks for the service all the same. Whether the platform takes both is not documented. The Direct
    /// Routing service is left as it is.
    #[serde(default)]
    pub beside_direct_routing: bool,
    /// When true, nothing is asked of the platform for this object. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// How much the operator does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Mode {
    /// Whatever is needed.
    #[default]
    Apply,
    /// Nothing; it says what it would do.
    Plan,
    /// Nothing; it reads.
    Observe,
}

/// What keeps a service from being deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionGuard {
    /// Telephone numbers of its tenant.
    #[default]
    Numbers,
    /// Nothing.
    None,
}

/// Which existing services are taken over.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Adoption {
    /// Those whose short name and full name agree.
    #[default]
    IfMatching,
    /// None.
    Never,
    /// All.
    Always,
}

/// A SIP connection by IP group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AdvancedSettings {
    /// Name of the proxy set on the SBC, such as SIPTrunk. One proxy set can serve many customers.
    #[schemars(schema_with = "schema::label_text")]
    pub proxy_set: String,
    /// The online PSTN gateway, as a host name in full, such as gw.example.com. It must be activated at Microsoft.
    #[schemars(schema_with = "schema::fqdn")]
    pub online_pstn_gateway: String,
    /// Where the SIP connection goes. Absent: the platform decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site_location: Option<SiteLocation>,
    /// Custom variables of the onboarding script by name, at most 50. They must exist on the platform as customer variables. Put
    /// secret values into variablesFrom.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub variables: Variables,
    /// More variables, from a Secret: they are read when the service is made, and shown nowhere. Line breaks at the end of a value
    /// are left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables_from: Option<VariablesFrom>,
}

/// Where a SIP connection goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SiteLocation {
    /// Name of the site.
    #[schemars(schema_with = "schema::label_text")]
    pub name: String,
    /// The platform's id of the SBC.
    #[schemars(range(min = 1))]
    pub sbc_id: i64,
    /// The id of the script that sets up the SBC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub onboarding_script: Option<i64>,
    /// The id of the script that cleans up the SBC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub cleanup_script: Option<i64>,
    /// The id of the script that uploads a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub upload_number_script: Option<i64>,
    /// The id of the script that releases a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub release_number_script: Option<i64>,
}

/// Custom variables by name. Prints their names, never their values.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Variables(pub BTreeMap<String, String>);

impl Variables {
    /// Whether there are none.
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

/// Where more variables come from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VariablesFrom {
    /// A Secret in the same namespace. Each key is the name of a variable.
    pub secret_ref: LocalRef,
}

/// What was read back from the platform, and what is being done.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct OcEssentialServiceStatus {
    /// The metadata.generation that this status speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The License Type in the portal's words, read back from the platform. Absent until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub license_type: Option<String>,
    /// The platform's key of the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub ump_customer_guid: Option<String>,
    /// The customer's Microsoft 365 tenant id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub ms_tenant_id: Option<String>,
    /// Name of the LivePlatform that has the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub platform: Option<String>,
    /// The short name that the platform has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub short_name: Option<String>,
    /// The full name that the platform has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub full_name: Option<String>,
    /// What is being done at the platform, and how the last of it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<Operation>,
    /// The synchronization jobs that the service needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sync: Option<Sync>,
    /// With mode: Plan, what would be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub plan: Vec<PlanItem>,
    /// The last value of the annotation operatorconnect.dev/reconcile-requested-at that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
    /// Ready always; Reconciling and Stalled only while true; Synced: does the platform show what it should; LeadEligible: may the
    /// tenant's lead get a license.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// The synchronization jobs that a service needs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Sync {
    /// How far the slowest of them is: NotDue, Due, Requested, Synced or Unknown.
    pub state: SyncState,
    /// Each of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub jobs: Vec<JobStatus>,
}

/// One thing that would be done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PlanItem {
    /// What would be done, such as Create or Adopt.
    #[schemars(length(max = 64))]
    pub action: String,
    /// The field that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub field: Option<String>,
    /// What it is now. Absent when there is nothing: a create begins from nothing, unless it replaces a service that was deleted on the platform.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub from: Option<String>,
    /// What it would be. Absent when the platform chooses it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub to: Option<String>,
}
