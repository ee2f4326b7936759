//! The token endpoint's answers (platform.md 1.1; E5).

use std::time::Duration;

use secrecy::SecretString;

use super::json::{self, Malformed, text};

/// A token, and how long it is good.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The bearer token.
    pub token: SecretString,
    /// `expires_in`, 10 s to 24 h; 5 min when it is missing or unreadable.
    pub lifetime: Duration,
}

/// Reads a token.
///
/// # Errors
/// When there is no bearer token in it.
pub fn grant(body: &[u8]) -> Result<Grant, Malformed> {
    // A token can be longer than a text of an answer that is shown.
    #[derive(serde::Deserialize)]
    struct Answer {
        access_token: String,
    }
    let answer = json::value(body)?;
    if !answer.is_object() {
        return Err(Malformed::Lacks("an access_token"));
    }
    if text(&answer, "token_type", 30).is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
        return Err(Malformed::Lacks("a token of type Bearer"));
    }
    let whole: Answer = serde_json::from_slice(json::without_mark(body)).map_err(|_| Malformed::Lacks("an access_token"))?;
    if whole.access_token.trim().is_empty() {
        return Err(Malformed::Lacks("an access_token"));
    }
    let seconds = json::integer(&answer, "expires_in").unwrap_or(300).clamp(10, 86_400);
    Ok(Grant { token: whole.access_token.into(), lifetime: Duration::from_secs(seconds.unsigned_abs()) })
}

/// Why the token endpoint refused.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    /// `error`, such as `invalid_client`.
    pub error: String,
    /// The code and the first sentence of `error_description`: the rest holds trace ids and times.
    pub description: String,
}

/// Reads a refusal (E5); empty when it is none.
pub fn refusal(body: &[u8]) -> Refusal {
    let Ok(answer) = json::value(body) else { return Refusal::default() };
    Refusal {
        error: text(&answer, "error", 60).map(|text| crate::text::shown(&text)).unwrap_or_default(),
        description: text(&answer, "error_description", 4096).map(|text| crate::text::first_sentence(&text)).unwrap_or_default(),
    }
}

impl Refusal {
    /// What a person can do about it.
    pub fn advice(&self) -> &'static str {
        let code = self.description.split(':').next().unwrap_or_default();
        match code {
            "AADSTS7000215" => "store the secret's value (not its id) of the app registration LiveCloud-APIToken",
            "AADSTS7000222" => "make a new client secret in the app registration LiveCloud-APIToken and store it",
            "AADSTS700016" => "check the client id and the directory, and that the application is installed and consented there",
            "AADSTS90002" | "AADSTS900023" => "check the directory (tenant) id or the token url",
            "AADSTS500011" | "AADSTS70011" | "AADSTS1002012" => "check the scope: api://<application id of the platform>/.default",
            "AADSTS70021" | "AADSTS700211" | "AADSTS700212" | "AADSTS700213" => {
                "check issuer, subject and audience of the app registration's federated credential"
            }
            "AADSTS50034" | "AADSTS7000112" => "the application is disabled: enable it in the directory",
            _ => "check the client id, its secret or federated credential, the scope and the token url",
        }
    }
}
