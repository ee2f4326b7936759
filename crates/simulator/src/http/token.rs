//! The token endpoint of Microsoft Entra ID (platform-facts.md 1.1, E5).

use super::bind::Query;
use super::reply::Reply;
use crate::platform::chance::Chance;
use crate::platform::time::Millis;
use serde_json::json;
use std::collections::HashMap;

/// The credentials that may request tokens.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The service provider's directory.
    pub directory: String,
    /// The application.
    pub client_id: String,
    /// The application's secret.
    pub client_secret: String,
}

/// The issued tokens, with their expiry.
#[derive(Debug, Default)]
pub struct Tokens(HashMap<String, Millis>);

impl Tokens {
    /// Whether a token is valid.
    pub fn accepts(&self, token: Option<&str>, now: Millis) -> bool {
        token
            .and_then(|token| self.0.get(token))
            .is_some_and(|until| now < *until)
    }

    /// Revokes a token.
    pub fn revoke(&mut self, token: Option<&str>) {
        if let Some(token) = token {
            self.0.remove(token);
        }
    }

    fn issue(&mut self, now: Millis, lifetime: u64, chance: &mut Chance) -> String {
        self.0.retain(|_, until| now < *until);
        let token = format!("simulated.{}", chance.hex(64));
        self.0.insert(token.clone(), now + lifetime * 1_000);
        token
    }
}

/// Answers with a tenant's public OpenID configuration, unless the directory has no such tenant
/// (platform-facts-3.md 3).
pub fn open_id_configuration(missing: &[String], tenant: &str) -> Reply {
    if missing.iter().any(|other| other.eq_ignore_ascii_case(tenant)) {
        let text = format!("AADSTS90002: Tenant '{tenant}' not found.");
        return refused(400, "invalid_tenant", &text);
    }
    let host = "https://login.microsoftonline.com";
    let body = json!({"token_endpoint": format!("{host}/{tenant}/oauth2/token"), "issuer": format!("https://sts.windows.net/{tenant}/")});
    Reply::json(200, &body)
}

/// A refusal of the token endpoint (E5).
pub fn refused(status: u16, error: &str, description: &str) -> Reply {
    Reply::json(status, &json!({"error": error, "error_description": description}))
}

impl Credentials {
    fn refusal(&self, directory: &str, form: &Query) -> Option<Reply> {
        if !directory.eq_ignore_ascii_case(&self.directory) {
            let text = format!("AADSTS90002: Tenant '{directory}' not found.");
            return Some(refused(400, "invalid_request", &text));
        }
        if form.get("grant_type") != Some("client_credentials") {
            return Some(refused(
                400,
                "unsupported_grant_type",
                "AADSTS70003: The app requested an unsupported grant type.",
            ));
        }
        if !form
            .get("scope")
            .is_some_and(|scope| scope.ends_with("/.default"))
        {
            let text = "AADSTS1002012: The provided value for scope is not valid. Client credential flows must have \
                        a scope value with /.default suffixed to the resource identifier.";
            return Some(refused(400, "invalid_scope", text));
        }
        let client = form.get("client_id").unwrap_or_default();
        if client != self.client_id {
            let text = format!(
                "AADSTS700016: Application with identifier '{client}' was not found in the directory '{directory}'."
            );
            return Some(refused(400, "unauthorized_client", &text));
        }
        (!self.proves(form)).then(|| {
            refused(
                401,
                "invalid_client",
                "AADSTS7000215: Invalid client secret provided.",
            )
        })
    }

    fn proves(&self, form: &Query) -> bool {
        if form
            .get("client_secret")
            .is_some_and(|secret| secret == self.client_secret)
        {
            return true;
        }
        // Federated identity: the signature cannot be verified here, only that it looks like a JWT.
        let kind = form.get("client_assertion_type");
        let jwt = form
            .get("client_assertion")
            .is_some_and(|jwt| jwt.split('.').filter(|part| !part.is_empty()).count() == 3);
        kind == Some("urn:ietf:params:oauth:client-assertion-type:jwt-bearer") && jwt
    }

    /// Answers a request for a token.
    pub fn answer(
        &self,
        tokens: &mut Tokens,
        chance: &mut Chance,
        now: Millis,
        lifetime: u64,
        directory: &str,
        form: &Query,
    ) -> Reply {
        if let Some(refusal) = self.refusal(directory, form) {
            return refusal;
        }
        let token = tokens.issue(now, lifetime, chance);
        let body = json!({"token_type": "Bearer", "expires_in": lifetime, "ext_expires_in": lifetime, "access_token": token});
        Reply::json(200, &body)
    }
}
