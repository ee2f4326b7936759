//! `spec.leadDiscovery` of a `LivePlatform`: which leads on the platform get a `Lead` object.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::common::LeadOrigin;
use super::schema;

/// Which leads on the platform get a Lead object automatically.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadDiscovery {
    /// Namespace in which the operator creates the Lead objects.
    #[schemars(schema_with = "schema::namespace")]
    pub namespace: String,
    /// Origins of the leads to create objects for: Consented, Consentless or both. Default: Consented.
    #[serde(default = "consented")]
    #[schemars(length(min = 1, max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub origins: Vec<LeadOrigin>,
    /// Only leads that consented to one of these countries, as ISO 3166 codes of two capital letters. If
    /// absent, all leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::countries")]
    pub countries: Option<Vec<String>>,
    /// Only leads that are assigned to one of these channels. If absent, all leads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::channels")]
    pub channels: Option<Vec<i64>>,
    /// Only leads in one of these statuses at Microsoft: Active, Suspended, NotActive, Removed. If absent, all
    /// leads that are not Removed, also those with a status that has no name here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub microsoft_statuses: Option<Vec<DiscoveredStatus>>,
    /// Microsoft 365 tenant ids, lowercase GUIDs, of leads that get no object, whatever the other rules say. An
    /// object that exists already stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::tenant_ids")]
    pub exclude_tenants: Option<Vec<String>>,
    /// Labels to set on the Lead objects, besides operatorconnect.dev/platform and
    /// operatorconnect.dev/discovered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::labels")]
    pub labels: BTreeMap<String, String>,
}

fn consented() -> Vec<LeadOrigin> {
    vec![LeadOrigin::Consented]
}

/// A status of a lead at Microsoft, as a rule of discovery names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DiscoveredStatus {
    /// The lead can get a license.
    Active,
    /// Suspended by Microsoft or by the customer.
    Suspended,
    /// Not yet activated.
    NotActive,
    /// Removed by Microsoft or by the customer.
    Removed,
}

/// What discovery has found on the platform and created in the cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadDiscoveryStatus {
    /// The number of leads that the rules want.
    #[serde(default)]
    pub matched: u32,
    /// The number of these that have a Lead object, whoever created it.
    #[serde(default)]
    pub present: u32,
    /// The number of these whose Lead object the operator created.
    #[serde(default)]
    pub made: u32,
    /// The number of these that have no Lead object because it could not be created.
    #[serde(default)]
    pub failed: u32,
    /// Why not, with the first lead that it happened to, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub message: Option<String>,
}
