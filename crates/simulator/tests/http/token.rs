use crate::world::{DIRECTORY, world, world_with};
use serde_json::json;

const GOOD: [(&str, &str); 4] = [
    ("grant_type", "client_credentials"),
    ("client_id", "44444444-4444-4444-8444-444444444444"),
    ("client_secret", "simulator-secret"),
    ("scope", "api://simulator/.default"),
];

fn but(name: &'static str, value: &'static str) -> Vec<(&'static str, &'static str)> {
    GOOD.into_iter().map(|pair| if pair.0 == name { (name, value) } else { pair }).collect()
}

#[tokio::test]
async fn a_token_as_platform_md_1_1_has_it() {
    let world = world().await;
    let answer = world.token_form(&GOOD).await;
    let mut body = answer.json();
    assert!(body["access_token"].as_str().is_some_and(|token| token.len() > 20));
    body["access_token"] = json!("x");
    assert_eq!(body, json!({"token_type": "Bearer", "expires_in": 3599, "ext_expires_in": 3599, "access_token": "x"}));
}

#[tokio::test]
async fn refusals_have_form_e5() {
    let world = world().await;
    let unknown = world.token_form(&but("client_id", "stranger")).await;
    unknown.is(
        400,
        json!({"error": "unauthorized_client", "error_description": format!(
        "AADSTS700016: Application with identifier 'stranger' was not found in the directory '{DIRECTORY}'.")}),
    );
    let secret = world.token_form(&but("client_secret", "wrong")).await;
    secret.is(
        401,
        json!({"error": "invalid_client",
        "error_description": "AADSTS7000215: Invalid client secret provided."}),
    );
    assert_eq!(world.token_form(&but("scope", "api://simulator")).await.json()["error"], "invalid_scope");
    assert_eq!(world.token_form(&but("grant_type", "password")).await.json()["error"], "unsupported_grant_type");
}

#[tokio::test]
async fn federated_identity_needs_no_secret() {
    let world = world().await;
    let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
    let mut form: Vec<(&str, &str)> = GOOD.into_iter().filter(|(name, _)| *name != "client_secret").collect();
    assert_eq!(world.token_form(&form).await.status, 401);
    form.extend([("client_assertion_type", kind), ("client_assertion", "aaa.bbb.ccc")]);
    assert_eq!(world.token_form(&form).await.status, 200);
    form.pop();
    form.push(("client_assertion", "notajwt"));
    assert_eq!(world.token_form(&form).await.status, 401);
}

#[tokio::test]
async fn no_call_without_a_good_token() {
    let mut world = world_with(json!({"tokenLifetime": 1})).await;
    assert_eq!(world.get("/api/v3/customer").await.status, 200);
    tokio::time::sleep(std::time::Duration::from_millis(1_050)).await;
    let expired = world.get("/api/v3/customer").await;
    assert_eq!((expired.status, expired.header("www-authenticate"), expired.text.as_str()), (401, Some("Bearer"), ""));
    world.token = "simulated.made-up".into();
    assert_eq!(world.get("/api/v2/oc/lead").await.status, 401);
    world.renew().await;
    assert_eq!(world.get("/api/v2/oc/lead").await.status, 200);
}
