//! Reads the token endpoint's answers (platform-facts.md 1.1; E5).

use std::time::Duration;

use oc_domain::names::TenantId;
use secrecy::SecretString;

use super::json::{self, Malformed, text};
use crate::secrets::Secrets;

/// A token and its lifetime.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The bearer token.
    pub token: SecretString,
    /// `expires_in`, limited to 10 s to 24 h; 5 min when it is missing or unreadable.
    pub lifetime: Duration,
}

/// Reads the answer that grants a token.
///
/// # Errors
/// When it holds no bearer token.
pub fn grant(body: &[u8]) -> Result<Grant, Malformed> {
    // A token can be longer than the bound on texts that are shown.
    #[derive(serde::Deserialize)]
    struct TokenResponse {
        access_token: String,
    }
    let answer = json::value(body)?;
    if !answer.is_object() {
        return Err(Malformed::Lacks("an access_token"));
    }
    if text(&answer, "token_type", 30).is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(Malformed::Lacks("a token of type Bearer"));
    }
    let whole = json::mended(json::without_mark(body), |body| {
        serde_json::from_slice::<TokenResponse>(body).map_err(|_| Malformed::NotJson)
    });
    let whole = whole.map_err(|_| Malformed::Lacks("an access_token"))?;
    if whole.access_token.trim().is_empty() {
        return Err(Malformed::Lacks("an access_token"));
    }
    let seconds = json::integer(&answer, "expires_in")
        .unwrap_or(300)
        .clamp(10, 86_400);
    Ok(Grant {
        token: whole.access_token.into(),
        lifetime: Duration::from_secs(seconds.unsigned_abs()),
    })
}

/// Why the token endpoint refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// `error`, such as `invalid_client`.
    pub error: String,
    /// The code and the first sentence of `error_description`. The rest holds trace ids and times.
    pub description: String,
}

/// Reads a refusal (E5). Empty when the body is not one.
pub fn refusal(body: &[u8], secrets: &Secrets) -> Refusal {
    let Ok(answer) = json::value(body) else {
        return Refusal::default();
    };
    Refusal {
        error: text(&answer, "error", 60)
            .map(|text| secrets.shown(&text))
            .unwrap_or_default(),
        description: text(&answer, "error_description", 4096)
            .map(|text| secrets.first_sentence(&text))
            .unwrap_or_default(),
    }
}

/// Entra codes of temporary trouble: too many requests at once (50196, 90024), a part of Entra that is
/// unavailable (90033). They come with status 400.
const PASSING: [&str; 3] = ["AADSTS50196", "AADSTS90024", "AADSTS90033"];

impl Refusal {
    fn code(&self) -> &str {
        self.description.split(':').next().unwrap_or_default()
    }

    /// Whether it is temporary trouble and not a refusal of the credential.
    pub fn passing(&self) -> bool {
        matches!(self.error.as_str(), "temporarily_unavailable" | "server_error")
            || PASSING.contains(&self.code())
    }

    /// The refusal's words, prefixed with `sign`. Empty when there are none.
    pub(crate) fn said(&self, sign: &str) -> String {
        let texts = [self.error.as_str(), self.description.as_str()];
        let texts: Vec<&str> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        if texts.is_empty() {
            String::new()
        } else {
            format!("{sign}{}", texts.join(", "))
        }
    }

    /// What a person can do about the refusal.
    pub fn advice(&self) -> &'static str {
        match self.code() {
            "AADSTS7000215" => {
                "store the secret's value (not its id) of the app registration LiveCloud-APIToken"
            }
            "AADSTS7000222" => {
                "create a new client secret in the app registration LiveCloud-APIToken and store it"
            }
            "AADSTS700016" => {
                "check the client id and the directory, and that the application is installed there and has consent"
            }
            "AADSTS7000229" => {
                "the application has no service principal in this directory: add it there as an enterprise application and consent to it"
            }
            "AADSTS501051" => {
                "the application has no role of the platform's application: assign one under Users and groups or API permissions"
            }
            "AADSTS53003" => {
                "a Conditional Access policy of the directory blocks the application: allow this application, or the address from which this cluster calls"
            }
            "AADSTS90002" | "AADSTS900023" => {
                "check the directory (tenant) id or the token url, and that the token url belongs to the right Microsoft cloud"
            }
            "AADSTS500011" | "AADSTS70011" | "AADSTS1002012" => {
                "check the scope: api://<application id of the platform>/.default"
            }
            "AADSTS70021" | "AADSTS700211" | "AADSTS700212" | "AADSTS700213" => {
                "check issuer, subject and audience of the app registration's federated credential; a new one can take some minutes to become known everywhere"
            }
            "AADSTS700024" => {
                "the projected token has expired or is not yet valid: check the node's clock, and that the pod's projected token is renewed"
            }
            "AADSTS50034" | "AADSTS7000112" => "the application is disabled: enable it in the directory",
            _ => "check the client id, its secret or federated credential, the scope and the token url",
        }
    }
}

/// Reads a tenant's OpenID configuration, and checks that it is this tenant's (platform-facts-3.md 3).
///
/// # Errors
/// When it is not.
pub fn issuer_has(body: &[u8], tenant: &TenantId) -> Result<(), Malformed> {
    let answer = json::value(body)?;
    match text(&answer, "issuer", 2000) {
        Some(issuer) if issuer.to_lowercase().contains(&tenant.to_string()) => Ok(()),
        _ => Err(Malformed::Lacks("an issuer with the tenant's id")),
    }
}
