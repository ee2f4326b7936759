//! A simulator and a client with a token.

use live_platform_simulator::{Options, Settings, Simulator};
use reqwest::header::HeaderMap;
use reqwest::{Client, Method, RequestBuilder};
use serde_json::{Value, json};
use std::time::Duration;

pub const TENANT: &str = "22222222-2222-4222-8222-222222222222";
pub const OTHER: &str = "66666666-6666-4666-8666-666666666666";
pub const DIRECTORY: &str = "33333333-3333-4333-8333-333333333333";

/// An answer, read whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().expect("text"))
    }

    /// Holds it to a status and a JSON value.
    pub fn is(&self, status: u16, body: Value) {
        assert_eq!((self.status, self.json()), (status, body));
    }
}

pub struct World {
    pub simulator: Simulator,
    pub client: Client,
    pub token: String,
}

/// A client without a pool, so that each call has a connection of its own.
pub fn client() -> Client {
    Client::builder().pool_max_idle_per_host(0).timeout(Duration::from_secs(20)).build().expect("a client")
}

/// Tasks take 40 ms.
pub async fn world() -> World {
    world_with(json!({})).await
}

pub async fn world_with(settings: Value) -> World {
    let start = Settings { task_duration: 40, ..Settings::default() };
    let simulator = Simulator::start(Options { settings: start, ..Options::default() }).await;
    let mut world = World { simulator, client: client(), token: String::new() };
    world.control("PATCH", "/settings", settings).await;
    world.renew().await;
    world
}

impl World {
    pub async fn token_form(&self, form: &[(&str, &str)]) -> Answer {
        let encoded: Vec<String> = form.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = self.client.post(self.simulator.token_url());
        let request = request.header("content-type", "application/x-www-form-urlencoded").body(encoded.join("&"));
        answer(request).await.expect("an answer")
    }

    pub async fn renew(&mut self) {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", "44444444-4444-4444-8444-444444444444"),
            ("client_secret", "simulator-secret"),
            ("scope", "api%3A%2F%2Fsimulator%2F.default"),
        ];
        let answer = self.token_form(&form).await;
        self.token = answer.json()["access_token"].as_str().expect("a token").to_owned();
    }

    pub fn request(&self, method: &str, path: &str, body: Option<Value>) -> RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("{}{path}", self.simulator.base_url()));
        let request = request.bearer_auth(&self.token);
        match body {
            Some(body) => request.json(&body),
            None => request,
        }
    }

    pub async fn attempt(&self, method: &str, path: &str, body: Option<Value>) -> Result<Answer, reqwest::Error> {
        answer(self.request(method, path, body)).await
    }

    pub async fn call(&self, method: &str, path: &str, body: Option<Value>) -> Answer {
        self.attempt(method, path, body).await.expect("an answer")
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, None).await
    }

    /// A control call that has to go well.
    pub async fn control(&self, method: &str, path: &str, body: Value) -> Value {
        let answer = self.try_control(method, path, body).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    pub async fn try_control(&self, method: &str, path: &str, body: Value) -> Answer {
        let method = Method::from_bytes(method.as_bytes()).expect("a method");
        let request = self.client.request(method, format!("{}/simulator{path}", self.simulator.url()));
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        answer(request).await.expect("an answer")
    }

    pub async fn lead(&self, tenant: &str) {
        self.control("POST", "/leads", json!({"tenantId": tenant})).await;
    }

    pub async fn fault(&self, fault: Value) {
        self.control("POST", "/faults", fault).await;
    }

    pub async fn calls(&self) -> Value {
        self.control("GET", "/calls", Value::Null).await
    }

    /// The task's JSON at its end.
    pub async fn end_of(&self, task: &str) -> Value {
        for _ in 0..200 {
            let task = self.get(&format!("/api/v2/task/{task}")).await.json();
            if task["status"] != "InProgress" && task["status"] != "In Progress" {
                return task;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("task {task} does not end");
    }

    /// Creates a service for a tenant over V3, to the end; its guid.
    pub async fn serve(&self, tenant: &str, name: &str) -> String {
        let accepted = self.call("POST", "/api/v3/customer", Some(tenant_create(tenant, name))).await;
        assert_eq!(accepted.status, 200, "{accepted:?}");
        let task = self.end_of(accepted.json()["jobId"].as_str().expect("a job id")).await;
        task["outputData"]["umpCustomerGuid"].as_str().expect("a guid").to_owned()
    }
}

/// platform-facts.md 12.2, createV3Tenant.
pub fn tenant_create(tenant: &str, name: &str) -> Value {
    json!({"configurationName": "OcEssential_TENANT_TYPE", "customerShortName": name,
        "customerFullName": "Example BV", "msTenantID": tenant})
}

async fn answer(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let bytes = response.bytes().await?;
    Ok(Answer { status, headers, text: String::from_utf8_lossy(&bytes).into_owned() })
}

/// Whether a text is a GUID.
pub fn is_guid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|letter| letter == '-' || letter.is_ascii_hexdigit())
}

/// Takes what differs from run to run out of an E1 or E2 body, having looked at it.
pub fn without_trace(mut body: Value) -> Value {
    let trace = body["traceId"].as_str().expect("a trace id").to_owned();
    let parts: Vec<usize> = trace.split('-').map(str::len).collect();
    assert_eq!(parts, [2, 32, 16, 2], "{trace}");
    let fields = body.as_object_mut().expect("an object");
    fields.remove("traceId");
    if let Some(ticket) = fields.remove("errorTicket") {
        assert!(is_guid(ticket.as_str().expect("a ticket")));
    }
    body
}

/// E1 for one field, without its trace id.
pub fn validation(field: &str, message: &str) -> Value {
    json!({"errors": {field: [message]}, "type": "https://tools.ietf.org/html/rfc7231#section-6.5.1",
        "title": "One or more validation errors occurred.", "status": 400})
}
