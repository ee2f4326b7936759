//! `Lead`: one customer's Microsoft 365 tenant that may become, or has become, a customer.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::{DeletionPolicy, ObjectRef, Operation, default_platform};
use super::condition::Condition;
use super::schema::{self, immutable, rule_at};

/// The desired state of a lead.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "operatorconnect.dev",
    version = "v1alpha1",
    kind = "Lead",
    plural = "leads",
    namespaced,
    status = "LeadStatus",
    derive = "PartialEq",
    category = "operatorconnect",
    selectable = ".spec.msTenantId",
    selectable = ".spec.platform",
    selectable = ".status.licenseType",
    selectable = ".status.microsoftStatus",
    selectable = ".status.origin",
    doc = "One Microsoft 365 tenant that can become, or has become, an Operator Connect customer.",
    printcolumn(
        name = "Company",
        type_ = "string",
        json_path = ".status.companyName",
        description = "The company's name on the platform"
    ),
    printcolumn(
        name = "Tenant",
        type_ = "string",
        json_path = ".spec.msTenantId",
        description = "The customer's Microsoft 365 tenant id"
    ),
    printcolumn(
        name = "MS Status",
        type_ = "string",
        json_path = ".status.microsoftStatus",
        description = "Microsoft's status of the lead"
    ),
    printcolumn(
        name = "License",
        type_ = "string",
        json_path = ".status.licenseType",
        description = "The lead's License Type on the platform"
    ),
    printcolumn(
        name = "Synced",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Synced")].status"#,
        description = "Whether the platform shows what it should"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether everything in the spec exists on the platform"
    ),
    printcolumn(
        name = "Reason",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#,
        description = "Why, and whose move it is"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp",
        description = "Time since the object was created"
    ),
    printcolumn(
        name = "Eligible",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="LeadEligible")].status"#,
        priority = 1,
        description = "Whether the lead can become a service"
    ),
    printcolumn(
        name = "Channel",
        type_ = "integer",
        json_path = ".status.channelId",
        priority = 1,
        description = "The channel that the lead is attached to"
    ),
    printcolumn(
        name = "Countries",
        type_ = "string",
        json_path = ".status.countries",
        priority = 1,
        description = "The countries that the customer consented to"
    ),
    printcolumn(
        name = "Service",
        type_ = "string",
        json_path = ".status.serviceRef.name",
        priority = 1,
        description = "The OcEssentialService object for the tenant"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = rule_at(
    ".deletionPolicy",
    "self.deletionPolicy != 'Delete' || has(self.consentless)",
    "Delete works only for consentless leads: set consentless, or deletionPolicy: Retain"
))]
pub struct LeadSpec {
    /// Name of the LivePlatform that has the lead. Default: default. Immutable.
    #[serde(default = "default_platform")]
    #[schemars(schema_with = "schema::object_name")]
    #[x_kube(validation = immutable("platform"))]
    pub platform: String,
    /// The customer's Microsoft 365 tenant id, a lowercase GUID. Immutable.
    #[schemars(schema_with = "schema::tenant_id")]
    #[x_kube(validation = immutable("msTenantId"))]
    pub ms_tenant_id: String,
    /// If set, the operator creates the lead on the platform when the platform has none for the tenant. If
    /// absent, the operator only watches for a lead that the customer or the portal creates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consentless: Option<Consentless>,
    /// Id of the channel to assign the lead to. When you remove this field, a channel that this object
    /// assigned is unassigned. If absent, the lead's channel is left alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub channel_id: Option<i64>,
    /// What happens to the lead on the platform when this object is deleted. Retain (the default) keeps it.
    /// Delete deletes it, which the platform allows only for consentless leads.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// If true, the operator reads and changes nothing on the platform for this object. A deletion with
    /// deletionPolicy: Delete waits until this is false. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// A lead without the customer's consent: the service provider enters the customer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Consentless {
    /// The company's name. The platform rejects a name that another lead already has.
    #[schemars(schema_with = "schema::full_name")]
    pub company_name: String,
}

/// The lead as last read from the platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadStatus {
    /// The metadata.generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The platform's id of the lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub lead_id: Option<String>,
    /// How the lead came to exist: Consented (the customer chose the service provider in the Teams admin
    /// center) or Consentless (the service provider entered the customer).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub origin: Option<String>,
    /// Microsoft's status of the lead: Active, Suspended, Removed, or another word the platform uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub microsoft_status: Option<String>,
    /// The company's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub company_name: Option<String>,
    /// The company's size, in the platform's own notation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub company_size: Option<String>,
    /// The countries that the customer consented to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 300), inner(length(max = 64)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub countries: Vec<String>,
    /// When the customer consented.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub consented_time: Option<Time>,
    /// When the lead last changed on the platform.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub last_modified_time: Option<Time>,
    /// Id of the channel that the lead is attached to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<i64>,
    /// Id of the channel that this object assigned. The operator unassigns it when spec.channelId is removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assigned_channel_id: Option<i64>,
    /// The lead's License Type in the portal's words: OC Essential, None, and so on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub license_type: Option<String>,
    /// The platform's key of the service that the lead became.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub ump_customer_guid: Option<String>,
    /// The OcEssentialService object for the same tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_ref: Option<ObjectRef>,
    /// The tenant's other leads, by id, at most 10. Of several leads for one tenant the consented one counts,
    /// whatever Microsoft's status of it. The rest of this status is about the one that counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub other_leads: Vec<OtherLead>,
    /// The customer's contact person. Set only when the LivePlatform has contactDetails: Include.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contact: Option<Contact>,
    /// The current operation on the platform, or the outcome of the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(merge_strategy = MapMerge::Atomic)]
    pub operation: Option<Operation>,
    /// The last value of the annotation operatorconnect.dev/reconcile-requested-at that the operator handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
    /// The conditions. Ready is always present; Reconciling and Stalled only while true. Synced says whether
    /// the platform shows what it should, LeadEligible whether the lead can become a service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A lead of the tenant beside the one that counts.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtherLead {
    /// The platform's id of the lead.
    #[schemars(length(max = 100))]
    pub lead_id: String,
    /// How the lead came to exist: Consented or Consentless.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub origin: Option<String>,
    /// Microsoft's status of the lead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub microsoft_status: Option<String>,
}

/// How to reach a person at the customer.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contact {
    /// The person's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    pub full_name: Option<String>,
    /// The person's email address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 500))]
    pub email: Option<String>,
    /// The person's telephone number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub phone_number: Option<String>,
}

impl fmt::Debug for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Contact(withheld)")
    }
}
