//! The expected final state of the objects of `examples/`.

use std::collections::BTreeMap;

use anyhow::Result;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use oc_api::{Lead, LivePlatform, OcEssentialService};

/// Kind and name, value and reason of `Ready`, and the License Type where there is one.
const WANTED: [(&str, &str, &str, &str, Option<&str>); 13] = [
    ("LivePlatform", "default", "True", "Succeeded", None),
    ("Lead", "contoso", "True", "Succeeded", Some("OC Essential")),
    ("Lead", "fabrikam", "True", "Succeeded", Some("OC Essential")),
    ("Lead", "northwind", "True", "Succeeded", Some("OC Essential")),
    ("Lead", "tailspin", "False", "LeadNotActive", Some("None")),
    ("Lead", "wingtip", "True", "Succeeded", Some("None")),
    ("Lead", "adatum", "True", "Succeeded", Some("None")),
    (
        "OcEssentialService",
        "contoso",
        "True",
        "Succeeded",
        Some("OC Essential"),
    ),
    (
        "OcEssentialService",
        "fabrikam",
        "True",
        "Succeeded",
        Some("OC Essential"),
    ),
    (
        "OcEssentialService",
        "northwind",
        "True",
        "Succeeded",
        Some("OC Essential"),
    ),
    ("OcEssentialService", "tailspin", "False", "LeadNotActive", None),
    ("OcEssentialService", "wingtip", "False", "ChannelMismatch", None),
    ("OcEssentialService", "adatum", "False", "ShortNameTaken", None),
];

/// The state of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    ready: String,
    reason: String,
    license: Option<String>,
}

/// The state of all objects, by kind and name.
pub type State = BTreeMap<(&'static str, String), Stand>;

fn stand(
    conditions: &[k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition],
    license: Option<String>,
) -> Stand {
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    let text = |of: fn(&k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition) -> &String| {
        ready.map(of).cloned().unwrap_or_default()
    };
    Stand {
        ready: text(|condition| &condition.status),
        reason: text(|condition| &condition.reason),
        license,
    }
}

/// Reads the state of all objects.
///
/// # Errors
/// When the API server does not answer.
pub async fn read(client: &Client) -> Result<State> {
    let all = ListParams::default();
    let mut state = State::new();
    for object in Api::<LivePlatform>::all(client.clone()).list(&all).await? {
        let status = object.status.clone().unwrap_or_default();
        state.insert(
            ("LivePlatform", object.name_any()),
            stand(&status.conditions, None),
        );
    }
    for object in Api::<Lead>::all(client.clone()).list(&all).await? {
        let status = object.status.clone().unwrap_or_default();
        state.insert(
            ("Lead", object.name_any()),
            stand(&status.conditions, status.license_type),
        );
    }
    for object in Api::<OcEssentialService>::all(client.clone()).list(&all).await? {
        let status = object.status.clone().unwrap_or_default();
        state.insert(
            ("OcEssentialService", object.name_any()),
            stand(&status.conditions, status.license_type),
        );
    }
    Ok(state)
}

/// Returns what differs from the expected state.
pub fn differences(state: &State) -> Vec<String> {
    let mut lines = Vec::new();
    for (kind, name, ready, reason, license) in WANTED {
        let wanted = Stand {
            ready: ready.into(),
            reason: reason.into(),
            license: license.map(str::to_owned),
        };
        match state.get(&(kind, name.to_owned())) {
            Some(stand) if *stand == wanted => {}
            Some(stand) => lines.push(format!("{kind} {name}: expected {wanted:?}, found {stand:?}")),
            None => lines.push(format!("{kind} {name} does not exist")),
        }
    }
    lines
}

/// Whether all objects are in their expected state.
pub fn all_stand(state: &State) -> bool {
    differences(state).is_empty()
}

/// Whether work is in progress: a service is being converted.
pub fn in_the_middle(state: &State) -> bool {
    state.values().any(|stand| stand.reason == "Converting")
}
