//! `LeadPolicy`: a rule that creates a service for each lead it selects.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, Time};
use kube::{CustomResource, KubeSchema};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::common::{DeletionPolicy, LocalRef, default_platform};
use super::condition::Condition;
use super::schema::{self, immutable, rule};
use super::service::{Adoption, AdvancedSettings, DeletionGuard, Mode, OcEssentialServiceSpec};

/// Which leads get a service, what that service is like, and how fast they are created.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "operatorconnect.dev",
    version = "v1alpha1",
    kind = "LeadPolicy",
    plural = "leadpolicies",
    namespaced,
    status = "LeadPolicyStatus",
    derive = "PartialEq",
    shortname = "lpol",
    category = "operatorconnect",
    doc = "A rule that creates an OcEssentialService for each lead it selects, within limits.",
    validation = rule(
        "size(self.metadata.name) <= 63",
        "the name of a LeadPolicy must have at most 63 characters: it becomes a label of the services"
    ),
    printcolumn(
        name = "Mode",
        type_ = "string",
        json_path = ".spec.template.spec.mode",
        description = "Whether the services are only planned or provisioned"
    ),
    printcolumn(
        name = "Matched",
        type_ = "integer",
        json_path = ".status.matched",
        description = "How many leads the policy selects"
    ),
    printcolumn(
        name = "Made",
        type_ = "integer",
        json_path = ".status.made",
        description = "How many services the policy has created"
    ),
    printcolumn(
        name = "Waiting",
        type_ = "integer",
        json_path = ".status.waiting",
        description = "How many leads wait for their turn"
    ),
    printcolumn(
        name = "Refused",
        type_ = "integer",
        json_path = ".status.refused",
        description = "How many leads can't get a service from this policy"
    ),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#,
        description = "Whether the policy has done everything that it can do now"
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
        name = "Platform",
        type_ = "string",
        json_path = ".spec.platform",
        priority = 1,
        description = "The LivePlatform whose leads are selected"
    ),
    printcolumn(
        name = "Services Ready",
        type_ = "integer",
        json_path = ".status.ready",
        priority = 1,
        description = "How many of the created services are Ready"
    ),
    printcolumn(
        name = "Last Made",
        type_ = "date",
        json_path = ".status.lastMadeTime",
        priority = 1,
        description = "Time since a service was last created"
    ),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].message"#,
        priority = 1,
        description = "What happened, in plain words"
    )
)]
#[serde(rename_all = "camelCase")]
pub struct LeadPolicySpec {
    /// Name of the LivePlatform whose leads are selected. Default: default. Immutable.
    #[serde(default = "default_platform")]
    #[schemars(schema_with = "schema::object_name")]
    #[x_kube(validation = immutable("platform"))]
    pub platform: String,
    /// Selects Lead objects in this namespace by their labels. If absent, all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "schema::lead_selector")]
    pub selector: Option<LabelSelector>,
    /// Conditions for a lead, as CEL expressions. All must be true. The variable lead is the Lead object, with
    /// metadata (name, namespace, labels, annotations), spec and status.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub match_conditions: Vec<MatchCondition>,
    /// The services that are created.
    pub template: ServiceTemplate,
    /// The names of the services on the platform.
    #[serde(default)]
    pub names: ServiceNames,
    /// How many services are created at once and in a day.
    #[serde(default)]
    pub limits: OnboardingLimits,
    /// If true, nothing is created and no existing service is changed by this policy. Default: false.
    #[serde(default)]
    pub suspend: bool,
}

/// A condition for a lead.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct MatchCondition {
    /// Name of the condition, for messages.
    #[schemars(schema_with = "schema::condition_name")]
    pub name: String,
    /// A CEL expression that is true or false for a lead, such as
    /// lead.status.countries.exists(c, c in ["NL", "BE", "LU"]). If it fails for a lead, that lead is refused.
    #[schemars(schema_with = "schema::expression")]
    pub expression: String,
}

/// What the created services are like.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceTemplate {
    /// Labels and annotations of the services.
    #[serde(default, skip_serializing_if = "TemplateMetadata::is_empty")]
    pub metadata: TemplateMetadata,
    /// The spec of the services: the fields of an OcEssentialService, except leadRef, msTenantId, platform,
    /// shortName and fullName. A change applies to services that are created later; a changed mode also to
    /// those that this policy has created and nobody else has changed.
    #[serde(default)]
    pub spec: ServiceTemplateSpec,
}

/// Labels and annotations of the created services.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateMetadata {
    /// Labels of the services, besides operatorconnect.dev/lead-policy.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::template_labels")]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the services.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "schema::template_annotations")]
    pub annotations: BTreeMap<String, String>,
}

impl TemplateMetadata {
    /// Returns whether there are neither labels nor annotations.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }
}

/// The fields of a service's spec that are the same for all leads. Their schema and their texts are those of
/// [`OcEssentialServiceSpec`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "OcEssentialServiceSpec documents them")]
pub struct ServiceTemplateSpec {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lc_customer_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel_id: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advanced_settings: Option<AdvancedSettings>,
    #[serde(default = "plan")]
    pub mode: Mode,
    #[serde(default)]
    pub adoption: Adoption,
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    #[serde(default)]
    pub deletion_guard: DeletionGuard,
    #[serde(default)]
    pub recreate: bool,
    #[serde(default)]
    pub beside_direct_routing: bool,
    #[serde(default)]
    pub suspend: bool,
}

impl Default for ServiceTemplateSpec {
    fn default() -> Self {
        Self {
            lc_customer_id: None,
            channel_id: None,
            advanced_settings: None,
            mode: plan(),
            adoption: Adoption::default(),
            deletion_policy: DeletionPolicy::default(),
            deletion_guard: DeletionGuard::default(),
            recreate: false,
            beside_direct_routing: false,
            suspend: false,
        }
    }
}

fn plan() -> Mode {
    Mode::Plan
}

/// The fields of a service's spec that each service has for itself.
const OF_EACH_SERVICE: [&str; 5] = ["leadRef", "msTenantId", "platform", "shortName", "fullName"];

impl JsonSchema for ServiceTemplateSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ServiceTemplateSpec".into()
    }

    fn inline_schema() -> bool {
        true
    }

    /// The schema of a service's spec without the fields of each service and their rules.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = OcEssentialServiceSpec::json_schema(generator);
        schema.remove("required");
        schema.remove("x-kubernetes-validations");
        let fields = schema
            .get_mut("properties")
            .and_then(serde_json::Value::as_object_mut);
        if let Some(fields) = fields {
            fields.retain(|name, _| !OF_EACH_SERVICE.contains(&name.as_str()));
            if let Some(mode) = fields.get_mut("mode") {
                mode["default"] = json!(plan());
                mode["description"] = json!(
                    "Plan (the default): each service lists in its status.plan what Apply would do, and nothing is changed on the platform. Apply: make all needed changes. Observe: only read. A change also applies to the services that this policy has created and nobody else has changed."
                );
            }
        }
        schema
    }
}

impl ServiceTemplateSpec {
    /// Returns the spec of the service for a lead.
    pub fn of_lead(&self, lead: &str, short_name: String, full_name: String) -> OcEssentialServiceSpec {
        OcEssentialServiceSpec {
            lead_ref: Some(LocalRef {
                name: lead.to_owned(),
            }),
            ms_tenant_id: None,
            platform: None,
            short_name: short_name.into(),
            full_name: full_name.into(),
            lc_customer_id: self.lc_customer_id,
            channel_id: self.channel_id,
            advanced_settings: self.advanced_settings.clone(),
            mode: self.mode,
            adoption: self.adoption,
            deletion_policy: self.deletion_policy,
            deletion_guard: self.deletion_guard,
            recreate: self.recreate,
            beside_direct_routing: self.beside_direct_routing,
            suspend: self.suspend,
        }
    }
}

/// How the services are named on the platform.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServiceNames {
    /// A CEL expression for the short name. Its result is made to fit the platform's rule: transliterated, what
    /// is not allowed dropped, cut to 15 characters. Default: lead.status.companyName.
    #[serde(default = "company_name")]
    #[schemars(schema_with = "schema::expression")]
    pub short_name: String,
    /// A CEL expression for the full name. Default: lead.status.companyName.
    #[serde(default = "company_name")]
    #[schemars(schema_with = "schema::expression")]
    pub full_name: String,
    /// What to do when a short name is taken. Number (the default): append a number, as in Contoso_2. Refuse:
    /// report it, and leave the lead to a person.
    #[serde(default)]
    pub on_collision: OnCollision,
}

impl Default for ServiceNames {
    fn default() -> Self {
        Self {
            short_name: company_name(),
            full_name: company_name(),
            on_collision: OnCollision::default(),
        }
    }
}

fn company_name() -> String {
    "lead.status.companyName".to_owned()
}

/// What to do when a short name is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum OnCollision {
    /// Append a number.
    #[default]
    Number,
    /// Leave the lead to a person.
    Refuse,
}

/// How many services are created.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OnboardingLimits {
    /// How many services of this policy may be not Ready yet, 1 to 1,000. Default: 5.
    #[serde(default = "five")]
    #[schemars(range(min = 1, max = 1000))]
    pub in_progress: u32,
    /// How many services this policy may create in 24 hours, 1 to 10,000. Default: 50.
    #[serde(default = "fifty")]
    #[schemars(range(min = 1, max = 10000))]
    pub per_day: u32,
}

impl Default for OnboardingLimits {
    fn default() -> Self {
        Self {
            in_progress: five(),
            per_day: fifty(),
        }
    }
}

fn five() -> u32 {
    5
}

fn fifty() -> u32 {
    50
}

/// What the policy has found and created.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadPolicyStatus {
    /// The metadata.generation that this status describes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The number of leads that the policy selects.
    #[serde(default)]
    pub matched: u32,
    /// The number of services that the policy has created and that still exist.
    #[serde(default)]
    pub made: u32,
    /// The number of these that are Ready.
    #[serde(default)]
    pub ready: u32,
    /// The number of leads that get a service as soon as the limits allow it.
    #[serde(default)]
    pub waiting: u32,
    /// The number of leads that can't get a service from this policy until somebody acts.
    #[serde(default)]
    pub refused: u32,
    /// The number of leads that are selected and may not become a service now: not Active, or licensed already.
    /// The condition LeadEligible of each Lead says why.
    #[serde(default)]
    pub not_eligible: u32,
    /// When the policy last created a service.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub last_made_time: Option<Time>,
    /// The refused leads and why, at most 50, the oldest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 50))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub refusals: Vec<LeadRefusal>,
    /// The last value of the annotation operatorconnect.dev/reconcile-requested-at that the operator handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256))]
    pub last_handled_reconcile_at: Option<String>,
    /// The conditions. Ready is always present; Reconciling and Stalled only while true.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(schema_with = "schema::conditions")]
    pub conditions: Vec<Condition>,
}

/// A lead that can't get a service from this policy, and why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LeadRefusal {
    /// Name of the Lead object.
    #[schemars(length(max = 253))]
    pub lead: String,
    /// Why, in one word. It shows whose move it is.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// What happened and what to do, in plain words.
    #[schemars(length(max = 1024))]
    pub message: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The schema of a template comes from the service's spec, so a new field there must also be a field here.
    #[test]
    fn a_template_keeps_every_field_that_its_schema_has() {
        let schema =
            serde_json::to_value(SchemaGenerator::default().root_schema_for::<ServiceTemplateSpec>())
                .unwrap();
        let fields: Vec<&String> = schema["properties"].as_object().unwrap().keys().collect();
        let full = json!({
            "lcCustomerId": 1, "channelId": 2, "mode": "Apply", "adoption": "Never", "deletionPolicy": "Delete",
            "advancedSettings": { "proxySet": "a", "onlinePstnGateway": "a.b" }, "deletionGuard": "None",
            "recreate": true, "besideDirectRouting": true, "suspend": true,
        });
        let template: ServiceTemplateSpec = serde_json::from_value(full).unwrap();
        let kept = serde_json::to_value(&template).unwrap();
        let spec = serde_json::to_value(template.of_lead("a", "b".into(), "c".into())).unwrap();
        let own = |field: &&String| OF_EACH_SERVICE.contains(&field.as_str());
        assert!(fields.len() >= 10 && !fields.iter().any(own), "{fields:?}");
        for field in fields {
            assert_eq!(kept[field], spec[field], "{field}");
            assert!(!kept[field].is_null(), "{field}");
        }
    }
}
