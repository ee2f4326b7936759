//! Policies for leads: a lead becomes a service by a rule, once, within limits; and what each policy says.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use oc_api::service::Mode;
use oc_api::{Lead, LeadPolicy, LeadPolicyStatus, OcEssentialService};
use serde_json::{Value, json};

use super::stage::{Own, Scene, message, ready_is};

const MARK: &str = "operatorconnect.dev/onboarded-by";
const LABEL: &str = "operatorconnect.dev/lead-policy";

/// Creates or replaces a policy; its template is in mode Apply unless `spec` says otherwise.
async fn policy(scene: &Scene, name: &str, mut spec: Value) -> Result<()> {
    spec["platform"] = json!(scene.platform);
    if spec["template"].is_null() {
        spec["template"] = json!({"spec": {"mode": "Apply"}});
    }
    let metadata = json!({"name": name, "namespace": scene.namespace});
    scene.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "LeadPolicy", "metadata": metadata, "spec": spec})).await
}

/// Creates a lead on the platform, and its object.
async fn lead(scene: &Scene, name: &str, tenant: u32, company: &str, countries: &[&str]) -> Result<()> {
    scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(tenant), "companyName": company, "countries": countries})).await?;
    scene.lead(name, tenant, json!({})).await
}

fn status(policy: &LeadPolicy) -> LeadPolicyStatus {
    policy.status.clone().unwrap_or_default()
}

/// Waits until the status of a policy is as wanted.
async fn until(scene: &Scene, name: &str, wanted: impl Fn(&LeadPolicyStatus) -> bool) -> Result<LeadPolicy> {
    let current = |policy: &LeadPolicy| policy.status.as_ref().is_some_and(|status| status.observed_generation == policy.metadata.generation);
    scene.until(name, |policy: &LeadPolicy| current(policy) && wanted(&status(policy))).await
}

/// The reason and the message of a refusal.
fn refusal<'a>(status: &'a LeadPolicyStatus, lead: &str) -> Result<(&'a str, &'a str)> {
    let found = status.refusals.iter().find(|refusal| refusal.lead == lead);
    let found = found.with_context(|| format!("no refusal of {lead}: {:?}", status.refusals))?;
    Ok((&found.reason, &found.message))
}

async fn services(scene: &Scene) -> Result<Vec<OcEssentialService>> {
    Ok(OcEssentialService::api(scene).list(&ListParams::default()).await?.items)
}

/// Waits long enough for several runs, in which nothing must happen.
async fn rest() {
    tokio::time::sleep(Duration::from_secs(3)).await;
}

/// The whole way: Microsoft has a new lead, discovery makes an object of it, and the policy a service, which becomes Ready.
pub async fn a_lead_that_appears_becomes_a_service_by_a_rule(scene: Scene) -> Result<()> {
    scene.connect(json!({"leadDiscovery": {"namespace": scene.namespace}})).await?;
    let benelux = json!([{"name": "from-the-benelux", "expression": r#"lead.status.countries.exists(c, c in ["NL", "BE", "LU"])"#}]);
    let template = json!({"metadata": {"labels": {"team": "voice"}, "annotations": {"example.com/why": "benelux"}}, "spec": {"mode": "Apply"}});
    policy(&scene, "benelux", json!({"matchConditions": benelux, "template": template})).await?;
    let none = until(&scene, "benelux", |status| status.matched == 0 && !status.conditions.is_empty()).await?;
    ensure!(ready_is(&none, "True", "Succeeded") || ready_is(&none, "False", "Progressing"), "{:?}", none.status);
    for (tenant, company, country) in [(1, "Contoso Ltd", "NL"), (2, "Fabrikam GmbH", "DE")] {
        scene.simulate("POST", "leads", json!({"tenantId": scene.tenant(tenant), "companyName": company, "countries": [country]})).await?;
    }
    let name = scene.found("contoso-ltd", 1);
    let service: OcEssentialService = scene.ready(&name, "True", "Succeeded").await?;
    let meta = &service.metadata;
    ensure!(service.labels().get(LABEL).is_some_and(|label| label == "benelux") && service.labels()["team"] == "voice", "{meta:?}");
    ensure!(service.annotations()["example.com/why"] == "benelux" && meta.owner_references.is_none(), "{meta:?}");
    ensure!(service.spec.lead_ref.as_ref().is_some_and(|lead| lead.name == name), "{:?}", service.spec);
    ensure!(service.spec.short_name.starts_with("Contoso") && service.spec.full_name == "Contoso Ltd", "{:?}", service.spec);
    let policy = until(&scene, "benelux", |status| status.ready == 1).await?;
    let said = status(&policy);
    ensure!([said.matched, said.made, said.waiting, said.refused] == [1, 1, 0, 0] && said.last_made_time.is_some(), "{said:?}");
    ensure!(ready_is(&policy, "True", "Succeeded"), "{said:?}");
    let done = |service: &OcEssentialService| !service.finalizers().iter().any(|name| name == "operatorconnect.dev/onboarding");
    scene.until(&name, done).await?;
    let lead: Lead = scene.until(&name, |lead: &Lead| lead.annotations().contains_key(MARK)).await?;
    let begins = format!("benelux/{}/", policy.metadata.uid.as_deref().unwrap_or_default());
    ensure!(lead.annotations()[MARK].starts_with(&begins), "{:?}", lead.annotations());
    rest().await;
    ensure!(services(&scene).await?.len() == 1 && scene.calls("services.create").await? == 1, "one lead of two");
    // The policy owns nothing.
    scene.delete::<LeadPolicy>("benelux").await?;
    scene.gone::<LeadPolicy>("benelux").await?;
    rest().await;
    scene.ready::<OcEssentialService>(&name, "True", "Succeeded").await?;
    Ok(())
}

/// A policy plans first, which is its default. Changed to Apply, it changes the plans that nobody else has changed.
pub async fn a_policy_plans_first_and_then_applies(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    for (name, tenant) in [("one", 1), ("two", 2), ("three", 3)] {
        lead(&scene, name, tenant, &format!("Company {name}"), &["NL"]).await?;
    }
    policy(&scene, "all", json!({"template": {}})).await?;
    for name in ["one", "two", "three"] {
        scene.ready::<OcEssentialService>(name, "False", "PlanReady").await?;
    }
    let planned = until(&scene, "all", |status| status.made == 3).await?;
    ensure!(ready_is(&planned, "True", "Succeeded"), "{:?}", planned.status);
    ensure!(scene.changes().await? == 0, "a plan changes nothing on the platform");
    // Somebody has taken this one over.
    scene.change::<OcEssentialService>("three", json!({"fullName": "Company Three B.V."})).await?;
    scene.change::<LeadPolicy>("all", json!({"template": {"spec": {"mode": "Apply"}}})).await?;
    for name in ["one", "two"] {
        scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?;
    }
    rest().await;
    let three: OcEssentialService = scene.ready("three", "False", "PlanReady").await?;
    ensure!(three.spec.mode == Mode::Plan && scene.calls("services.create").await? == 2, "{:?}", three.spec);
    Ok(())
}

/// Two policies want one lead: the older one has it, also while it is suspended, and the younger one names it.
pub async fn of_two_policies_the_older_one_has_the_lead(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    policy(&scene, "first", json!({"selector": {"matchLabels": {"team": "voice"}}, "suspend": true})).await?;
    // Creation times have no milliseconds.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    policy(&scene, "second", json!({})).await?;
    for (name, tenant) in [("shared", 1), ("other", 2)] {
        scene.consented(&[tenant]).await?;
        let labels = if name == "shared" { json!({"team": "voice"}) } else { json!({}) };
        let metadata = json!({"name": name, "namespace": scene.namespace, "labels": labels});
        let spec = json!({"platform": scene.platform, "msTenantId": scene.tenant(tenant)});
        scene.apply(json!({"apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead", "metadata": metadata, "spec": spec})).await?;
    }
    let second = until(&scene, "second", |status| status.refused == 1 && status.made == 1).await?;
    let said = status(&second);
    let (reason, message) = refusal(&said, "shared")?;
    ensure!(reason == "Conflict" && message.contains("The LeadPolicy first selects this lead too and is older"), "{reason}: {message}");
    ensure!(ready_is(&second, "True", "Succeeded"), "a refused lead is no fault of the policy: {said:?}");
    rest().await;
    ensure!(services(&scene).await?.len() == 1, "the older one has it, though it is suspended");
    scene.change::<LeadPolicy>("first", json!({"suspend": false})).await?;
    for (name, by) in [("shared", "first"), ("other", "second")] {
        let service: OcEssentialService = scene.ready(name, "True", "Succeeded").await?;
        ensure!(service.labels().get(LABEL).is_some_and(|label| label == by), "{name} by {:?}", service.labels());
    }
    // Nothing is left to a person.
    until(&scene, "second", |status| status.refused == 0 && status.ready == 1).await?;
    let first = until(&scene, "first", |status| status.ready == 1).await?;
    ensure!(status(&first).refused == 0 && services(&scene).await?.len() == 2, "{:?}", first.status);
    Ok(())
}

/// Two companies of one name: the second gets a number, or is refused if the policy says so.
pub async fn a_short_name_that_is_taken_is_numbered_or_refused(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    for (name, tenant) in [("one", 1), ("two", 2)] {
        lead(&scene, name, tenant, "Northwind", &["NL"]).await?;
    }
    policy(&scene, "numbers", json!({"names": {"onCollision": "Number"}})).await?;
    let mut names = Vec::new();
    for name in ["one", "two"] {
        names.push(scene.ready::<OcEssentialService>(name, "True", "Succeeded").await?.spec.short_name);
    }
    names.sort();
    ensure!(names == ["Northwind", "Northwind_2"], "{names:?}");
    scene.change::<LeadPolicy>("numbers", json!({"names": {"onCollision": "Refuse"}})).await?;
    lead(&scene, "three", 3, "Northwind", &["NL"]).await?;
    let refused = until(&scene, "numbers", |status| status.refused == 1).await?;
    let said = status(&refused);
    let (reason, message) = refusal(&said, "three")?;
    ensure!(reason == "ShortNameTaken" && message.contains("Northwind"), "{reason}: {message}");
    rest().await;
    ensure!(services(&scene).await?.len() == 2);
    Ok(())
}

/// A service that a person deletes is not made again, unless the annotation on the lead is removed.
pub async fn a_deleted_service_is_made_again_only_when_asked(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    lead(&scene, "one", 1, "Contoso", &["NL"]).await?;
    policy(&scene, "all", json!({"template": {}})).await?;
    let first: OcEssentialService = scene.ready("one", "False", "PlanReady").await?;
    scene.until("one", |lead: &Lead| lead.annotations().get(MARK).is_some_and(|mark| !mark.ends_with("/begun"))).await?;
    let done = |service: &OcEssentialService| !service.finalizers().iter().any(|name| name == "operatorconnect.dev/onboarding");
    scene.until("one", done).await?;
    scene.delete::<OcEssentialService>("one").await?;
    scene.gone::<OcEssentialService>("one").await?;
    let all = until(&scene, "all", |status| status.made == 0).await?;
    ensure!(status(&all).refused == 0, "{:?}", all.status);
    rest().await;
    ensure!(services(&scene).await?.is_empty(), "it was made again");
    let none = Patch::Merge(json!({"metadata": {"annotations": {MARK: null}}}));
    Lead::api(&scene).patch("one", &PatchParams::default(), &none).await?;
    let anew = |service: &OcEssentialService| service.metadata.uid != first.metadata.uid;
    scene.until("one", anew).await?;
    Ok(())
}

/// An expression that fails for one lead refuses that one alone.
pub async fn an_expression_that_fails_for_a_lead_refuses_it_alone(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    lead(&scene, "one", 1, "Contoso", &["NL"]).await?;
    lead(&scene, "two", 2, "Fabrikam", &["NL"]).await?;
    Lead::api(&scene).patch("one", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"labels": {"size": "12"}}}))).await?;
    let large = json!([{"name": "large", "expression": "int(lead.metadata.labels.size) > 10"}]);
    policy(&scene, "large", json!({"matchConditions": large})).await?;
    scene.ready::<OcEssentialService>("one", "True", "Succeeded").await?;
    let large = until(&scene, "large", |status| status.refused == 1).await?;
    let said = status(&large);
    let (reason, message) = refusal(&said, "two")?;
    let expected = "spec.matchConditions[0].expression (large) fails for this lead: the lead has no field size there; test it with has() first.";
    ensure!(reason == "InvalidSpec" && message.starts_with(expected), "{reason}: {message}");
    ensure!(ready_is(&large, "True", "Succeeded") && services(&scene).await?.len() == 1, "{said:?}");
    // The lead gets what the expression needs.
    Lead::api(&scene).patch("two", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"labels": {"size": "250"}}}))).await?;
    scene.ready::<OcEssentialService>("two", "True", "Succeeded").await?;
    until(&scene, "large", |status| status.refused == 0 && status.refusals.is_empty()).await?;
    Ok(())
}

/// An expression that is wrong is told with its place, and nothing is created.
pub async fn a_wrong_expression_is_told_with_its_place(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    lead(&scene, "one", 1, "Contoso", &["NL"]).await?;
    let condition = |expression: &str| json!({"matchConditions": [{"name": "wrong", "expression": expression}]});
    let table = [
        (condition("lead.status.companyName =="), "spec.matchConditions[0].expression (wrong), line 1, column 27: "),
        (condition("lead.status.companyName == company"), "spec.matchConditions[0].expression (wrong), line 1, column 28: there is no variable company;"),
        (
            condition("lead.status.companyName.lower() == 'contoso'"),
            "spec.matchConditions[0].expression (wrong), line 1, column 25: there is no function lower;",
        ),
        (condition("lead.state.companyName == 'x'"), "spec.matchConditions[0].expression (wrong), line 1, column 6: lead has no field state;"),
        (condition("size(lead.status.companyName)"), "spec.matchConditions[0].expression (wrong): it returns a value of type int, and must return a bool."),
        (
            condition("lead.status.countries.all(a, lead.status.countries.all(b, lead.status.countries.all(c, a == b || b == c)))"),
            "spec.matchConditions[0].expression (wrong): it can take too many steps",
        ),
        (
            json!({"names": {"shortName": "lead.status.companyName.size() > 3"}}),
            "spec.names.shortName: it returns a value of type bool, and must return a string.",
        ),
    ];
    for (spec, begins) in table {
        policy(&scene, "wrong", spec).await?;
        let told = until(&scene, "wrong", |status| status.conditions.iter().any(|ready| ready.type_ == "Ready" && ready.message.starts_with(begins))).await;
        let now: LeadPolicy = LeadPolicy::api(&scene).get("wrong").await?;
        let told = told.with_context(|| format!("{begins}: {}", message(&now)))?;
        ensure!(ready_is(&told, "False", "InvalidSpec"), "{:?}", told.status);
        let stalled = status(&told).conditions.iter().any(|condition| condition.type_ == "Stalled");
        ensure!(stalled, "a person must act");
    }
    ensure!(services(&scene).await?.is_empty());
    // Corrected, it is followed at once.
    policy(&scene, "wrong", condition("lead.status.companyName == 'Contoso'")).await?;
    scene.ready::<OcEssentialService>("one", "True", "Succeeded").await?;
    until(&scene, "wrong", |status| status.ready == 1).await?;
    Ok(())
}

/// Never more than `limits.inProgress` services are not Ready, counted at the API server; and nothing is created beyond `limits.perDay`.
pub async fn a_policy_keeps_its_limits(scene: Scene) -> Result<()> {
    const ALL: u32 = 12;
    const AT_ONCE: usize = 3;
    const A_DAY: u32 = 9;
    scene.connect(json!({})).await?;
    scene.simulate("PATCH", "settings", json!({"taskDuration": 700})).await?;
    for tenant in 1..=ALL {
        lead(&scene, &format!("lead-{tenant}"), tenant, &format!("Company {tenant}"), &["NL"]).await?;
    }
    policy(&scene, "few", json!({"limits": {"inProgress": AT_ONCE, "perDay": A_DAY}})).await?;
    let (mut most, mut ready) = (0, 0);
    for _ in 0..600 {
        let services = services(&scene).await?;
        let open = services.iter().filter(|service| !ready_is(*service, "True", "Succeeded")).count();
        (most, ready) = (most.max(open), services.len() - open);
        if ready == A_DAY as usize {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    ensure!(ready == A_DAY as usize, "{ready} are Ready after 30 s");
    ensure!(most == AT_ONCE, "{most} were in progress at once");
    rest().await;
    let few = until(&scene, "few", |status| status.ready == A_DAY).await?;
    let said = status(&few);
    ensure!([said.matched, said.made, said.waiting, said.refused] == [ALL, A_DAY, ALL - A_DAY, 0], "{said:?}");
    ensure!(ready_is(&few, "True", "Succeeded") && message(&few).contains("spec.limits.perDay"), "{}", message(&few));
    ensure!(services(&scene).await?.len() == A_DAY as usize, "more than a day's");
    // Raised, the rest follows at once.
    scene.change::<LeadPolicy>("few", json!({"limits": {"perDay": 50}})).await?;
    until(&scene, "few", |status| status.ready == ALL && status.waiting == 0).await?;
    Ok(())
}

/// A suspended policy creates nothing, and goes on when it is told to.
pub async fn a_suspended_policy_creates_nothing(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    lead(&scene, "one", 1, "Contoso", &["NL"]).await?;
    policy(&scene, "all", json!({"suspend": true})).await?;
    let all = until(&scene, "all", |status| status.matched == 1 && status.conditions.iter().any(|ready| ready.reason == "Suspended")).await?;
    ensure!(ready_is(&all, "False", "Suspended"), "{:?}", all.status);
    rest().await;
    ensure!(services(&scene).await?.is_empty());
    scene.change::<LeadPolicy>("all", json!({"suspend": false})).await?;
    scene.ready::<OcEssentialService>("one", "True", "Succeeded").await?;
    Ok(())
}

/// A tenant that has a service on the platform gets none: the Lead says how to import it, and the policy counts it.
pub async fn a_tenant_with_a_service_is_left_to_an_import(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    lead(&scene, "old", 1, "Contoso", &["NL"]).await?;
    scene.simulate("POST", "services", json!({"tenantId": scene.tenant(1), "shortName": "OldContoso", "fullName": "Contoso"})).await?;
    lead(&scene, "new", 2, "Fabrikam", &["NL"]).await?;
    policy(&scene, "all", json!({})).await?;
    scene.ready::<OcEssentialService>("new", "True", "Succeeded").await?;
    let all = until(&scene, "all", |status| status.ready == 1 && status.not_eligible == 1).await?;
    ensure!(status(&all).matched == 2 && status(&all).refused == 0 && ready_is(&all, "True", "Succeeded"), "{:?}", all.status);
    let told = |lead: &Lead| {
        let conditions = lead.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
        conditions.iter().any(|condition| condition.type_ == "LeadEligible" && condition.message.contains("To import it"))
    };
    scene.until("old", told).await?;
    ensure!(services(&scene).await?.len() == 1 && scene.calls("services.create").await? == 1);
    Ok(())
}

/// What the cluster refuses for one lead, or for all, is told in its words; a quota holds until it is raised.
pub async fn what_the_cluster_refuses_is_told(scene: Scene) -> Result<()> {
    scene.connect(json!({})).await?;
    let quotas = Api::<ResourceQuota>::namespaced(scene.client.clone(), &scene.namespace);
    let hard = |count: usize| json!({"count/ocessentialservices.operatorconnect.dev": count.to_string()});
    let metadata = json!({"name": "few", "namespace": scene.namespace});
    scene.apply(json!({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": metadata, "spec": {"hard": hard(0)}})).await?;
    // What the controller manager would fill in; the API server counts from there.
    quotas.patch_status("few", &PatchParams::default(), &Patch::Merge(json!({"status": {"hard": hard(0), "used": hard(0)}}))).await?;
    lead(&scene, "one", 1, "Contoso", &["NL"]).await?;
    policy(&scene, "all", json!({})).await?;
    let refused = until(&scene, "all", |status| status.refused == 1).await?;
    let said = status(&refused);
    let (reason, message) = refusal(&said, "one")?;
    ensure!(reason == "ClusterRefused" && message.contains("exceeded quota"), "{reason}: {message}");
    ensure!(services(&scene).await?.is_empty());
    let roomy = Patch::Merge(json!({"spec": {"hard": hard(5)}}));
    quotas.patch("few", &PatchParams::default(), &roomy).await?;
    quotas.patch_status("few", &PatchParams::default(), &Patch::Merge(json!({"status": {"hard": hard(5), "used": hard(0)}}))).await?;
    scene.annotate::<LeadPolicy>("all", "operatorconnect.dev/reconcile-requested-at", "now").await?;
    scene.ready::<OcEssentialService>("one", "True", "Succeeded").await?;
    let all = until(&scene, "all", |status| status.refused == 0 && status.ready == 1).await?;
    ensure!(status(&all).last_handled_reconcile_at.as_deref() == Some("now"), "{:?}", all.status);
    Ok(())
}
