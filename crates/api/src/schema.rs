//! The rules of single values, as schemas. Every text, list and map has a bound, which also limits what a
//! rule can cost. Each rule has one message that says what is expected.

use kube::core::{Reason, Rule, validate};
use schemars::{Schema, SchemaGenerator, json_schema};

/// A rule with its message.
pub(super) fn rule(cel: &str, message: &str) -> Rule {
    Rule::new(cel).message(message).reason(Reason::FieldValueInvalid)
}

/// A rule whose message is reported at a field below the object that carries the rule.
pub(super) fn rule_at(field: &str, cel: &str, message: &str) -> Rule {
    rule(cel, message).field_path(field)
}

/// The rule for a required field that can't be changed. It goes on the field itself.
pub(super) fn immutable(name: &str) -> Rule {
    rule(
        "self == oldSelf",
        &format!("{name} is immutable: create a new object instead"),
    )
}

/// The rule for an optional field that can't be changed, added or removed. It goes on the object that has the
/// field.
pub(super) fn immutable_optional(name: &str) -> Rule {
    let cel = format!(
        "has(self.{name}) == has(oldSelf.{name}) && (!has(self.{name}) || self.{name} == oldSelf.{name})"
    );
    rule_at(
        &format!(".{name}"),
        &cel,
        &format!("{name} is immutable and can be neither added nor removed: create a new object instead"),
    )
}

/// The parts of a service's spec that no call can change. These rules go on the whole object because they
/// read its status. The API server evaluates them on each write, also of a status: what nearly always decides, and is
/// cheap, comes first.
pub(super) mod kept {
    use kube::core::Rule;

    use crate::schema::rule_at;

    /// The create was requested and has not ended, or it made the service and the platform shows it. An
    /// adopted service was not made according to the spec. If the service failed or is gone, the next create
    /// uses the spec of that time. An outcome that belongs to another operation ends nothing.
    const ASKED_FOR: &str = "has(oldSelf.status) && has(oldSelf.status.operation) && oldSelf.status.operation.kind == 'Create' && (!has(oldSelf.status.operation.outcome) || (has(oldSelf.status.operation.outcomeOf) && has(oldSelf.status.operation.id) && oldSelf.status.operation.outcomeOf != oldSelf.status.operation.id) || (oldSelf.status.operation.outcome == 'Succeeded' && has(oldSelf.status.licenseType)))";

    /// The trunks job was due for the service, so its SIP connection is by IP group.
    const BY_IP_GROUP: &str = "has(oldSelf.status.sync.jobs) && oldSelf.status.sync.jobs.exists(job, job.name == 'peering.sync-trunks-job')";

    fn same(field: &str) -> String {
        format!(
            "has(self.spec.{field}) == has(oldSelf.spec.{field}) && (!has(self.spec.{field}) || self.spec.{field} == oldSelf.spec.{field})"
        )
    }

    /// The rule for the short name: it may change only to the name the platform shows.
    pub fn short_name() -> Rule {
        let cel = "self.spec.shortName == oldSelf.spec.shortName || (has(oldSelf.status) && has(oldSelf.status.licenseType) && has(oldSelf.status.shortName) && self.spec.shortName == oldSelf.status.shortName)";
        rule_at(
            ".spec.shortName",
            cel,
            "shortName is immutable: no call renames a service. The only other value allowed is status.shortName, the name that the platform shows for it",
        )
    }

    /// The rule for a field that may be removed, but not added or changed.
    pub fn unless_taken_out(field: &str) -> Rule {
        let cel = format!("!has(self.spec.{field}) || ({}) || !({ASKED_FOR})", same(field));
        rule_at(
            &format!(".spec.{field}"),
            &cel,
            &format!(
                "{field} is immutable once the service was requested: no call changes it. Restore the previous value, or remove the field"
            ),
        )
    }

    /// The rule for `advancedSettings`: they may be added or removed only to restate how the service was
    /// made.
    pub fn advanced_settings() -> Rule {
        let field = "advancedSettings";
        let mended = format!(
            "has(oldSelf.status.sync) && has(self.spec.{field}) != has(oldSelf.spec.{field}) && has(self.spec.{field}) == ({BY_IP_GROUP})"
        );
        let cel = format!("({}) || !({ASKED_FOR}) || ({mended})", same(field));
        rule_at(
            ".spec.advancedSettings",
            &cel,
            "advancedSettings is immutable once the service was requested, and can be neither added nor removed: no call changes how the service is connected. Restore the previous value",
        )
    }
}

/// Adds rules to a schema.
fn with(mut schema: Schema, rules: &[(&str, &str)]) -> Schema {
    for (cel, message) in rules {
        // Can't fail: a rule is a plain record of strings.
        let _ = validate(&mut schema, rule(cel, message));
    }
    schema
}

fn text(longest: u32, rules: &[(&str, &str)]) -> Schema {
    with(json_schema!({ "type": "string", "maxLength": longest }), rules)
}

const GUID: &str = "self.matches('^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$')";
const GUID_ANY_CASE: &str =
    "self.matches('^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$')";

/// A customer's tenant id, in lower case.
pub(super) fn tenant_id(_: &mut SchemaGenerator) -> Schema {
    text(
        64,
        &[(
            GUID,
            "must be a lowercase GUID, such as 22222222-2222-4222-8222-222222222222",
        )],
    )
}

/// A GUID of the provider's own directory, in any case.
pub(super) fn guid(_: &mut SchemaGenerator) -> Schema {
    text(
        64,
        &[(
            GUID_ANY_CASE,
            "must be a GUID, such as 22222222-2222-4222-8222-222222222222",
        )],
    )
}

/// The name of a Kubernetes object.
pub(super) fn object_name(_: &mut SchemaGenerator) -> Schema {
    text(
        253,
        &[(
            "!format.dns1123Subdomain().validate(self).hasValue()",
            "must be an object name: lower-case letters, digits, - and ., beginning and ending with a letter or digit",
        )],
    )
}

/// The name of a namespace.
pub(super) fn namespace(_: &mut SchemaGenerator) -> Schema {
    text(
        63,
        &[(
            "!format.dns1123Label().validate(self).hasValue()",
            "must be a namespace name: lower-case letters, digits and -, beginning and ending with a letter or digit",
        )],
    )
}

/// A key of a Secret or ConfigMap.
pub(super) fn data_key(_: &mut SchemaGenerator) -> Schema {
    text(
        253,
        &[(
            "self.matches('^[-._a-zA-Z0-9]+$')",
            "must be a key that consists of letters, digits, -, _ and .",
        )],
    )
}

/// A service's short name (S3).
pub(super) fn short_name(_: &mut SchemaGenerator) -> Schema {
    text(
        64,
        &[
            (
                "size(self) >= 3 && size(self) <= 15",
                "must have 3 to 15 characters",
            ),
            (
                r#"!self.matches('[\\\\/:*?"<>|]')"#,
                r#"must not contain any of \ / : * ? " < > |"#,
            ),
            ("!self.contains('.')", "must not contain a dot"),
            (r"!self.matches('[\\s\\p{Z}\\p{Cc}]')", "must not contain a blank"),
            (
                "!self.matches('(?i)audit')",
                "must not be or contain the word audit",
            ),
            (
                "!self.matches('^(?i)(con|prn|aux|nul|com[1-9]|lpt[1-9])$')",
                "must not be a Windows device name (CON, PRN, AUX, NUL, COM1 to COM9, LPT1 to LPT9)",
            ),
        ],
    )
}

const NOT_BLANK: (&str, &str) = (
    r"size(self) == 0 || self.matches('[^\\s\\p{Z}]')",
    "must not consist only of blanks",
);

/// A service's full name, or a company's name.
pub(super) fn full_name(_: &mut SchemaGenerator) -> Schema {
    text(
        400,
        &[
            (
                "size(self) >= 1 && size(self) <= 200",
                "must have 1 to 200 characters",
            ),
            NOT_BLANK,
        ],
    )
}

/// A short text that must not be blank.
pub(super) fn label_text(_: &mut SchemaGenerator) -> Schema {
    text(
        200,
        &[
            (
                "size(self) >= 1 && size(self) <= 100",
                "must have 1 to 100 characters",
            ),
            NOT_BLANK,
        ],
    )
}

/// An OAuth scope.
pub(super) fn scope(_: &mut SchemaGenerator) -> Schema {
    text(
        500,
        &[(
            r"self.matches('^[^\\s\\p{Z}]+$')",
            "must be a single scope without blanks, such as api://<application id>/.default",
        )],
    )
}

/// A fully qualified host name.
pub(super) fn fqdn(_: &mut SchemaGenerator) -> Schema {
    text(
        253,
        &[(
            "self.matches('^([a-zA-Z0-9]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?[.])+[a-zA-Z]([a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?$')",
            "must be a fully qualified host name (FQDN), such as gw.example.com",
        )],
    )
}

const URL_RULES: [(&str, &str); 4] = [
    (
        "isURL(self) && url(self).getScheme() in ['https', 'http'] && url(self).getHostname() != ''",
        "must be an https URL with a host, such as https://live.example.com/tenantui",
    ),
    (
        // The pattern applies to the whole text: what url() returns has no bound, so a pattern on it would
        // cost too much.
        r"!isURL(self) || url(self).getScheme() != 'http' || self.matches('^(?i)http://([^/?#]*@)?(localhost|127[.]0[.]0[.]1|\\[::1\\]|[a-z0-9.-]+[.]svc([.]cluster[.]local)?)(:[0-9]+)?([/?#]|$)')",
        "must be https: http is accepted only for a loopback host (localhost, 127.0.0.1, [::1]) or a cluster-local one (*.svc, *.svc.cluster.local)",
    ),
    (
        "!self.matches('^[^/]*//[^/?#]*@')",
        "must not contain a user name or password",
    ),
    ("!self.contains('#')", "must not contain a fragment (#)"),
];

/// The URL of a single call.
pub(super) fn https_url(_: &mut SchemaGenerator) -> Schema {
    text(2000, &URL_RULES)
}

/// The URL of a token endpoint. The message's example is one too, not a platform's URL.
pub(super) fn token_url(_: &mut SchemaGenerator) -> Schema {
    let mut rules = URL_RULES;
    rules[0].1 = "must be an https URL with a host, such as https://login.microsoftonline.com/<tenantId>/oauth2/v2.0/token";
    text(2000, &rules)
}

/// The address of a Microsoft cloud.
pub(super) fn cloud_url(_: &mut SchemaGenerator) -> Schema {
    let mut rules = URL_RULES;
    rules[0].1 = "must be an https URL with a host, such as https://login.microsoftonline.com";
    with(
        text(2000, &rules),
        &[("!self.contains('?')", "must not contain a query (?)")],
    )
}

/// The base URL of all calls.
pub(super) fn base_url(_: &mut SchemaGenerator) -> Schema {
    with(
        text(2000, &URL_RULES),
        &[("!self.contains('?')", "must not contain a query (?)")],
    )
}

fn interval(shortest: &str, longest: &str) -> Schema {
    let cel = format!(
        "self.matches('^([0-9]{{1,9}}(ms|s|m|h))+$') && duration(self) >= duration('{shortest}') && duration(self) <= duration('{longest}')"
    );
    text(
        32,
        &[(
            &cel,
            &format!(
                "must be a duration from {shortest} to {longest}, written with the units h, m, s and ms, such as 1h30m"
            ),
        )],
    )
}

/// The bounds of `observeInterval`.
pub(super) fn observe_interval(_: &mut SchemaGenerator) -> Schema {
    interval("5s", "24h")
}

/// The bounds of `createGrace`.
pub(super) fn create_grace(_: &mut SchemaGenerator) -> Schema {
    interval("1m", "24h")
}

/// The bounds of `taskDeadline`.
pub(super) fn task_deadline(_: &mut SchemaGenerator) -> Schema {
    interval("1m", "72h")
}

/// A set of country codes.
pub(super) fn countries(_: &mut SchemaGenerator) -> Schema {
    let country = text(
        16,
        &[(
            "self.matches('^[A-Z]{2}$')",
            "must be an ISO 3166 country code of two capital letters, such as NL",
        )],
    );
    json_schema!({ "type": "array", "items": country, "minItems": 1, "maxItems": 300, "x-kubernetes-list-type": "set" })
}

/// A set of channel ids.
pub(super) fn channels(_: &mut SchemaGenerator) -> Schema {
    let channel = json_schema!({ "type": "integer", "format": "int64", "minimum": 1 });
    json_schema!({ "type": "array", "items": channel, "minItems": 1, "maxItems": 300, "x-kubernetes-list-type": "set" })
}

/// A set of customers' tenant ids.
pub(super) fn tenant_ids(generator: &mut SchemaGenerator) -> Schema {
    let tenant = tenant_id(generator);
    json_schema!({ "type": "array", "items": tenant, "maxItems": 1000, "x-kubernetes-list-type": "set" })
}

fn label_value() -> Schema {
    text(
        100,
        &[(
            "!format.labelValue().validate(self).hasValue()",
            "must be a label value: at most 63 letters, digits, -, _ and .",
        )],
    )
}

/// Labels for objects that the operator creates.
pub(super) fn labels(_: &mut SchemaGenerator) -> Schema {
    let labels =
        json_schema!({ "type": "object", "additionalProperties": label_value(), "maxProperties": 32 });
    with(
        labels,
        &[(
            "self.all(k, !format.qualifiedName().validate(k).hasValue())",
            "keys must be label names, such as example.com/team",
        )],
    )
}

const NOT_OURS: (&str, &str) = (
    "self.all(k, !k.startsWith('operatorconnect.dev/'))",
    "keys must not begin with operatorconnect.dev/: only the operator sets those",
);

/// Labels for the services that a policy creates.
pub(super) fn template_labels(generator: &mut SchemaGenerator) -> Schema {
    with(labels(generator), &[NOT_OURS])
}

/// Annotations for the services that a policy creates.
pub(super) fn template_annotations(_: &mut SchemaGenerator) -> Schema {
    let annotations = json_schema!({ "type": "object", "additionalProperties": { "type": "string", "maxLength": 2000 }, "maxProperties": 32 });
    with(
        annotations,
        &[
            (
                "self.all(k, !format.qualifiedName().validate(k).hasValue())",
                "keys must be annotation names, such as example.com/team",
            ),
            NOT_OURS,
        ],
    )
}

/// The name of a condition for leads.
pub(super) fn condition_name(_: &mut SchemaGenerator) -> Schema {
    text(
        63,
        &[(
            "!format.dns1123Label().validate(self).hasValue()",
            "must be a name: lower-case letters, digits and -, beginning and ending with a letter or digit",
        )],
    )
}

/// A CEL expression. The operator compiles it, and reports in a condition what is wrong with it.
pub(super) fn expression(_: &mut SchemaGenerator) -> Schema {
    text(1000, &[("size(self) >= 1", "must not be empty"), NOT_BLANK])
}

/// Custom variables by name.
pub(super) fn variables(_: &mut SchemaGenerator) -> Schema {
    let variables = json_schema!({ "type": "object", "additionalProperties": { "type": "string", "maxLength": 1000 }, "maxProperties": 50 });
    with(
        variables,
        &[
            (
                "self.all(k, k.matches('^[A-Za-z0-9._-]{1,100}$'))",
                "names must consist of 1 to 100 letters, digits, dots, underscores and dashes",
            ),
            (
                "!('ProxySet' in self)",
                "ProxySet has its own field: set advancedSettings.proxySet",
            ),
            (
                "!('OnlinePstnGateway' in self)",
                "OnlinePstnGateway has its own field: set advancedSettings.onlinePstnGateway",
            ),
        ],
    )
}

/// A selector of namespaces.
pub(super) fn label_selector(_: &mut SchemaGenerator) -> Schema {
    selector("namespace")
}

/// A selector of leads.
pub(super) fn lead_selector(_: &mut SchemaGenerator) -> Schema {
    selector("lead")
}

/// A label selector as everywhere in Kubernetes, but with bounds.
fn selector(of: &str) -> Schema {
    let mut key = text(
        400,
        &[(
            "!format.qualifiedName().validate(self).hasValue()",
            "must be a label name, such as example.com/team",
        )],
    );
    key.insert("description".into(), "The label's key.".into());
    let expression = with(
        json_schema!({
            "type": "object",
            "required": ["key", "operator"],
            "properties": {
                "key": key,
                "operator": { "type": "string", "enum": ["In", "NotIn", "Exists", "DoesNotExist"], "description": "How values are compared." },
                "values": {
                    "type": "array", "maxItems": 50, "x-kubernetes-list-type": "atomic", "items": label_value(),
                    "description": "The values, for In and NotIn."
                },
            },
        }),
        &[(
            "(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            "In and NotIn need values; Exists and DoesNotExist take none",
        )],
    );
    json_schema!({
        "type": "object",
        "x-kubernetes-map-type": "atomic",
        "properties": {
            "matchLabels": {
                "type": "object", "maxProperties": 50, "additionalProperties": label_value(),
                "description": format!("Labels that a {of} must have, with these values."),
            },
            "matchExpressions": {
                "type": "array", "maxItems": 50, "x-kubernetes-list-type": "atomic", "items": expression,
                "description": format!("Requirements for the {of}'s labels. All must be met."),
            },
        },
    })
}

/// Conditions, one of each type.
pub(super) fn conditions(_: &mut SchemaGenerator) -> Schema {
    let condition = json_schema!({
        "type": "object",
        "description": "One aspect of the object's state.",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": {
                "type": "string", "maxLength": 316, "pattern": r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$",
                "description": "The condition's type.",
            },
            "status": { "type": "string", "enum": ["True", "False", "Unknown"], "description": "The condition's status." },
            "reason": {
                "type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$",
                "description": "Why, in one word. It shows whose move it is.",
            },
            "message": { "type": "string", "maxLength": 32768, "description": "What happened, in plain words." },
            "lastTransitionTime": { "type": "string", "format": "date-time", "description": "When the status last changed." },
            "observedGeneration": { "type": "integer", "format": "int64", "minimum": 0, "description": "The metadata.generation that the condition describes." },
        },
    });
    json_schema!({ "type": "array", "items": condition, "maxItems": 16, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"] })
}
