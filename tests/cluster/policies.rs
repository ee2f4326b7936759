//! The chart's admission policies on a real API server.

use anyhow::{Context, Result, bail, ensure};
use control_plane::{ControlPlane, Options, RELEASE, audit};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use oc_api::{Lead, LeadPolicy, OcEssentialService};
use serde_json::{Value, json};

use super::ground;
use super::stage::Scene;

/// A user in the customer's namespace, with the cluster's own role `edit` there, which includes the chart's rights.
const USER: &str = "alice";

/// Another user there, with nothing but `edit`.
const EDITOR: &str = "bob";

async fn bind(scene: &Scene, role: &str) -> Result<()> {
    bind_to(scene, role, USER).await
}

async fn bind_to(scene: &Scene, role: &str, user: &str) -> Result<()> {
    let api = "rbac.authorization.k8s.io";
    scene
        .apply(json!({
            "apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": {"name": format!("{user}-{role}"), "namespace": scene.namespace},
            "roleRef": {"apiGroup": api, "kind": "ClusterRole", "name": role}, "subjects": [{"apiGroup": api, "kind": "User", "name": user}],
        }))
        .await
}

/// The API server's message when it forbids a request.
fn refusal<T>(answer: kube::Result<T>) -> Result<Option<String>> {
    match answer {
        Ok(_) => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 403 => Ok(Some(status.message)),
        Err(error) => Err(error.into()),
    }
}

async fn order(alice: &Client, scene: &Scene, name: &str, policy: &str, dry: bool) -> Result<Option<String>> {
    let object: OcEssentialService = serde_json::from_value(json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": {"name": name},
        "spec": {"platform": scene.platform, "msTenantId": scene.tenant(1), "shortName": name, "fullName": "A customer", "deletionPolicy": policy},
    }))?;
    let params = PostParams { dry_run: dry, ..PostParams::default() };
    refusal(Api::namespaced(alice.clone(), &scene.namespace).create(&params, &object).await)
}

fn dry() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

fn by_lead(lead: &str) -> Result<OcEssentialService> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "OcEssentialService", "metadata": {"name": "by-lead"},
        "spec": {"leadRef": {"name": lead}, "shortName": "ByLead", "fullName": "A customer"},
    }))?)
}

/// A right, or a policy, takes effect a moment after it was granted.
async fn until(what: &str, mut so: impl AsyncFnMut() -> Result<Option<String>>, wanted: Option<&str>) -> Result<()> {
    let mut last = None;
    for _ in 0..150 {
        last = so().await?;
        if match (&last, wanted) {
            (Some(said), Some(wanted)) => said.contains(wanted),
            (None, None) => true,
            _ => false,
        } {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
    bail!("{what}: after 30 s the API server says {last:?}")
}

fn rule(scene: &Scene, name: &str, change: Value) -> Result<LeadPolicy> {
    let mut spec = json!({"platform": scene.platform, "template": {"spec": {"mode": "Apply"}}});
    for (key, value) in change.as_object().into_iter().flatten() {
        spec[key.as_str()] = value.clone();
    }
    Ok(serde_json::from_value(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LeadPolicy", "metadata": {"name": name}, "spec": spec}))?)
}

/// The author of a policy for leads needs the rights that its template uses, when it is created and when it changes. What the policy then creates is not checked
/// again: the operator has these rights from the author.
async fn authors_of_policies_need_what_their_templates_use(scene: &Scene, (alice, bob): (&Client, &Client), found: &str) -> Result<()> {
    let try_it = async |who: &Client, change: Value| {
        let policies = Api::<LeadPolicy>::namespaced(who.clone(), &scene.namespace);
        refusal(policies.create(&dry(), &rule(scene, "trial", change)?).await)
    };
    let of = |fields: Value| json!({"template": {"spec": fields}});
    until("a platform that he may not use", async || try_it(bob, json!({})).await, Some("spec.platform: bob may not use LivePlatform")).await?;
    until("a platform that she may use", async || try_it(alice, json!({})).await, None).await?;
    for (fields, words) in [
        (json!({"deletionPolicy": "Delete"}), "spec.template.spec.deletionPolicy: alice may not set Delete"),
        (json!({"deletionGuard": "None"}), "spec.template.spec.deletionGuard: alice may not set None"),
    ] {
        let said = try_it(alice, of(fields)).await?.context("refused")?;
        ensure!(said.contains(words), "{said}");
    }
    // The administrator has written one that deletes, for no lead yet. Neither may widen it: bob not even without Delete.
    let nobody = json!([{"name": "nobody", "expression": "false"}]);
    let deletes = json!({"matchConditions": nobody, "template": {"spec": {"mode": "Plan", "deletionPolicy": "Delete"}}});
    Api::<LeadPolicy>::namespaced(scene.client.clone(), &scene.namespace).create(&PostParams::default(), &rule(scene, "deletes", deletes)?).await?;
    let change = async |who: &Client, spec: Value| {
        let policies = Api::<LeadPolicy>::namespaced(who.clone(), &scene.namespace);
        refusal(policies.patch("deletes", &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await)
    };
    let wider = json!([{"name": "one", "expression": format!("lead.metadata.name == '{found}'")}]);
    let said = change(alice, json!({"matchConditions": wider.clone()})).await?.context("refused")?;
    ensure!(said.contains("spec.template.spec.deletionPolicy: alice may not set Delete"), "{said}");
    let said = change(bob, json!({"template": {"spec": {"deletionPolicy": "Retain"}}})).await?.context("refused")?;
    ensure!(said.contains("spec.platform: bob may not use LivePlatform"), "{said}");
    // Whoever may write it may stop it.
    ensure!(change(bob, json!({"suspend": true})).await?.is_none(), "bob may suspend it");
    // Two policies refuse this, and the API server shows the words of either.
    let said = change(bob, json!({"suspend": false})).await?.context("refused")?;
    ensure!(said.contains("bob may not use LivePlatform") || said.contains("bob may not set Delete"), "{said}");
    // With the administrator's hand on it, the operator creates what the template says.
    let policies = Api::<LeadPolicy>::namespaced(scene.client.clone(), &scene.namespace);
    let widened = json!({"spec": {"suspend": false, "matchConditions": wider}});
    policies.patch("deletes", &PatchParams::default(), &Patch::Merge(widened)).await?;
    let made: OcEssentialService = scene.ready(found, "False", "PlanReady").await?;
    ensure!(made.spec.deletion_policy == oc_api::DeletionPolicy::Delete, "{:?}", made.spec);
    policies.delete("deletes", &Default::default()).await?;
    scene.delete::<OcEssentialService>(found).await?;
    scene.gone::<OcEssentialService>(found).await
}

pub async fn refuse_whoever_has_no_right_and_hinder_nobody_else() -> Result<()> {
    let cluster = ControlPlane::start(Options::default()).await?;
    let mut values = control_plane::reads_anywhere();
    values["admissionPolicies"] = json!({"enabled": true});
    let release = cluster.install(&values).await?;
    let begin = cluster.audit_log().map(|log| audit::end(&log)).transpose()?;
    let scene = ground::scene(&cluster, "policies").await?;
    let alice = cluster.client_as(USER).await?;
    let mut operator = ground::operator(&release, &scene, "operator")?;
    scene.consented(&[1]).await?;
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(9), "companyName": "Found", "countries": ["NL"]})).await?;
    // The operator creates the leads that it finds, because an administrator told it to.
    scene.connect(json!({"leadDiscovery": {"namespace": scene.namespace, "countries": ["NL"]}})).await?;

    bind(&scene, "edit").await?;
    let try_it = async |policy: &str| order(&alice, &scene, "trial", policy, true).await;
    until("a platform that she may not use", async || try_it("Retain").await, Some("spec.platform: alice may not use LivePlatform")).await?;
    bind(&scene, &format!("{RELEASE}-platform-user")).await?;
    until("a platform that she may use", async || try_it("Retain").await, None).await?;
    // A lead found by the operator belongs to nobody: only those who may use the platform may order for it.
    let found = scene.found("found", 9);
    scene.ready::<Lead>(&found, "True", "Succeeded").await?;
    let for_lead = async |who: &Client| refusal(Api::namespaced(who.clone(), &scene.namespace).create(&dry(), &by_lead(&found)?).await);
    until("a lead that she may order for", async || for_lead(&alice).await, None).await?;
    let bob = cluster.client_as(EDITOR).await?;
    bind_to(&scene, "edit", EDITOR).await?;
    until("a lead that he may not order for", async || for_lead(&bob).await, Some("spec.leadRef: bob may not order a service for lead")).await?;
    authors_of_policies_need_what_their_templates_use(&scene, (&alice, &bob), &found).await?;
    until("a deletion that she may not order", async || try_it("Delete").await, Some("spec.deletionPolicy: alice may not set Delete")).await?;
    // Created without `Delete`, it cannot be changed to it either; everything else of it can be changed.
    ensure!(order(&alice, &scene, "contoso", "Retain", false).await?.is_none(), "ordered with Retain");
    let services = Api::<OcEssentialService>::namespaced(alice.clone(), &scene.namespace);
    let change = async |spec: Value| refusal(services.patch("contoso", &PatchParams::default(), &Patch::Merge(json!({"spec": spec}))).await);
    let said = change(json!({"deletionPolicy": "Delete"})).await?.context("refused")?;
    ensure!(said.contains("may not set Delete"), "{said}");
    let said = change(json!({"deletionGuard": "None"})).await?.context("refused")?;
    ensure!(said.contains("spec.deletionGuard: alice may not set None"), "{said}");
    ensure!(change(json!({"fullName": "A customer of ours"})).await?.is_none(), "another field");
    scene.ready::<OcEssentialService>("contoso", "True", "Succeeded").await?;
    bind(&scene, &format!("{RELEASE}-admin")).await?;
    until("a deletion that she may order", async || change(json!({"deletionPolicy": "Delete"})).await, None).await?;

    // The policies do not hinder the operator: it marks the object, writes its status, deletes on the platform, and removes the finalizer.
    services.delete("contoso", &Default::default()).await?;
    scene.gone::<OcEssentialService>("contoso").await?;
    ensure!(scene.calls("services.delete").await? == 1, "deleted at the platform");
    operator.check()?;
    if let (Some(log), Some(begin)) = (cluster.audit_log(), begin) {
        let refused: Vec<_> =
            audit::since(&log, begin)?.into_iter().filter(|request| request.user == release.user() && request.code >= 400 && request.code != 404).collect();
        ensure!(refused.iter().all(|request| request.code == 409), "the operator was refused: {refused:?}");
    }
    ground::end(operator).await?;
    scene.rules_are_kept().await
}
