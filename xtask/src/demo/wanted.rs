//! The expected final state of the objects of `examples/`.

use std::collections::BTreeMap;

use anyhow::Result;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use oc_api::{Lead, LeadPolicy, LivePlatform, OcEssentialService};
use serde_json::{Value, json};

/// Kind and name, value and reason of `Ready`, and the License Type where there is one.
const WANTED: [(&str, &str, &str, &str, Option<&str>); 16] = [
    ("LivePlatform", "default", "True", "Succeeded", None),
    ("Lead", "contoso", "True", "Succeeded", Some("OC Essential")),
    ("Lead", "fabrikam", "True", "Succeeded", Some("OC Essential")),
    ("Lead", "northwind", "True", "Succeeded", Some("OC Essential")),
    ("Lead", "tailspin", "False", "LeadNotActive", Some("None")),
    ("Lead", "wingtip", "True", "Succeeded", Some("None")),
    ("Lead", "adatum", "True", "Succeeded", Some("None")),
    ("Lead", ARRIVED, "True", "Succeeded", Some("OC Essential")),
    ("LeadPolicy", "belgium", "True", "Succeeded", None),
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
    (
        "OcEssentialService",
        ARRIVED,
        "True",
        "Succeeded",
        Some("OC Essential"),
    ),
];

/// The name of the lead that arrives while the demo runs, and of the service that a policy makes of it.
const ARRIVED: &str = "adventure-works-a7a7a7a7";

/// That lead, as Microsoft sends it.
pub fn arriving() -> Value {
    json!({"tenantId": "a7a7a7a7-a7a7-4a70-8a70-a7a7a7a7a7a7", "companyName": "Adventure Works", "countries": ["BE"]})
}

/// The state of one object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stand {
    ready: String,
    reason: String,
    license: Option<String>,
}

/// The state of all objects, by kind and name.
pub type State = BTreeMap<(&'static str, String), Stand>;

fn stand(conditions: &[oc_api::Condition], license: Option<String>) -> Stand {
    let ready = conditions.iter().find(|condition| condition.type_ == "Ready");
    Stand {
        ready: ready.map(|of| of.status.to_string()).unwrap_or_default(),
        reason: ready.map(|of| of.reason.to_string()).unwrap_or_default(),
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
    for object in Api::<LeadPolicy>::all(client.clone()).list(&all).await? {
        let status = object.status.clone().unwrap_or_default();
        state.insert(("LeadPolicy", object.name_any()), stand(&status.conditions, None));
    }
    for object in Api::<OcEssentialService>::all(client.clone()).list(&all).await? {
        let status = object.status.clone().unwrap_or_default();
        state.insert(
            ("OcEssentialService", object.name_any()),
            stand(&status.conditions, status.license_type.map(String::from)),
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

/// Whether a service is Ready.
pub fn some_ready(state: &State) -> bool {
    let service = |((kind, _), stand): (&(&str, String), &Stand)| {
        *kind == "OcEssentialService" && stand.ready == "True"
    };
    state.iter().any(service)
}

/// Whether work is in progress: a service is being converted.
pub fn in_the_middle(state: &State) -> bool {
    state.values().any(|stand| stand.reason == "Converting")
}
