//! Microsoft's public directory, which needs no token.

use oc_domain::names::TenantId;
use reqwest::Method;
use url::Url;

use super::Client;
use crate::error::Error;
use crate::observer::Endpoint;
use crate::secrets::Secrets;
use crate::settings::check_url;
use crate::transport::{HttpCall, Purpose, Reply, unreadable};
use crate::wire;

/// The directory's words for a tenant that it does not have (platform-facts-3.md 3; the second is inferred).
const NO_TENANT: [&str; 2] = ["AADSTS90002", "invalid_tenant"];

impl Client {
    /// Whether Microsoft's public directory at `cloud` has a tenant: GET
    /// `<cloud>/<tenant>/.well-known/openid-configuration`, without a token (platform-facts-3.md 3). A tenant
    /// of another Microsoft cloud counts as missing.
    ///
    /// # Errors
    /// [`crate::ErrorKind::Settings`] when the URL is neither https nor local;
    /// [`crate::ErrorKind::BadAnswer`] when the answer is not about this tenant.
    pub async fn tenant_exists(&self, cloud: &Url, tenant: &TenantId) -> Result<bool, Error> {
        check_url(
            cloud,
            "spec.tenantLookup.url",
            "https://login.microsoftonline.com",
        )?;
        let mut url = cloud.clone();
        let base = cloud.path().trim_end_matches('/');
        url.set_path(&format!("{base}/{tenant}/.well-known/openid-configuration"));
        let call = HttpCall {
            endpoint: Endpoint::OpenIdConfiguration,
            method: Method::GET,
            url,
            body: None,
            purpose: Purpose::Read,
            bearer: false,
            secrets: Secrets::none(),
        };
        match self.transport.ask_raw(&call).await? {
            Reply::Success(answer) => wire::token::issuer_has(&answer.body, tenant)
                .map(|()| true)
                .map_err(|why| unreadable(call.endpoint, answer.status, why)),
            Reply::Refusal(error, _) if NO_TENANT.iter().any(|said| error.message().contains(said)) => {
                Ok(false)
            }
            Reply::Refusal(error, _) => Err(error),
        }
    }
}
