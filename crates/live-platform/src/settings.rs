//! The address and limits of a platform, and our identity there.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::{Host, Url};

use crate::error::{Error, ErrorKind, RequestSent};

/// The connection settings of one Live Platform: its addresses, our identity, and limits.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// `https://<service provider>/tenantui` (platform-facts.md 1.2), with or without a trailing slash. Plain
    /// http only to a loopback or cluster-local host.
    pub base_url: Url,
    /// The token endpoint (platform-facts.md 1.1), with the same rule for its scheme.
    pub token_url: Url,
    /// The application's id (platform-facts.md 1.1).
    pub client_id: String,
    /// `api://<application id of the platform>/.default` (platform-facts.md 1.1).
    pub scope: String,
    /// PEM certificates to trust in addition to the system's.
    pub ca_bundle_pem: Option<Vec<u8>>,
    /// How long one call may take: token, connection, retries of a GET and the whole answer. For a paged list
    /// it applies to each page. Default 30 s.
    pub deadline: Duration,
    /// How many bytes of one page of a list are read. Default 32 MiB. Other answers are read up to 1 MiB, or
    /// up to this limit when it is lower.
    pub answer_limit: usize,
    /// How many leads are requested per page: 1 to 20,000 (platform-facts.md 1.3). Default 1000.
    pub page_size: u32,
    /// How many calls the caller makes at once: as many idle connections are kept for reads. Default 4.
    pub in_flight: usize,
    /// Whether the names, mail addresses and telephone numbers of customers' contacts are read. Default false: they
    /// are personal data, and are not kept then.
    pub contact_details: bool,
}

impl ClientSettings {
    /// Returns settings with defaults for everything else.
    pub fn new(
        base_url: Url,
        token_url: Url,
        client_id: impl Into<String>,
        scope: impl Into<String>,
    ) -> Self {
        Self {
            base_url,
            token_url,
            client_id: client_id.into(),
            scope: scope.into(),
            ca_bundle_pem: None,
            deadline: Duration::from_secs(30),
            answer_limit: 32 << 20,
            page_size: 1000,
            in_flight: 4,
            contact_details: false,
        }
    }

    pub(crate) fn check(&self) -> Result<(), Error> {
        check_url(
            &self.base_url,
            "the platform's url",
            "https://live.example.com/tenantui",
        )?;
        check_url(
            &self.token_url,
            "the token url",
            "https://login.microsoftonline.com/<tenantId>/oauth2/v2.0/token",
        )?;
        if self.client_id.trim().is_empty() {
            return Err(bad("the client id is empty; set the id of the app registration"));
        }
        if self.scope.trim().is_empty() {
            return Err(bad(
                "the scope is empty; set api://<application id of the platform>/.default",
            ));
        }
        if self.deadline.is_zero() || self.deadline > Duration::from_secs(3600) {
            return Err(bad("the deadline of a call must be over 0 s and at most 1 h"));
        }
        if self.answer_limit < 1024 {
            return Err(bad("the limit of an answer must be at least 1024 bytes"));
        }
        if !(1..=20_000).contains(&self.page_size) {
            return Err(bad("the page size must be 1 to 20000"));
        }
        Ok(())
    }
}

/// Our credential at the token endpoint.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A client secret (platform-facts.md 1.1).
    ClientSecret(SecretString),
    /// Workload identity: the client assertion is a token in a file that is projected into the pod.
    FederatedToken {
        /// The file. It is read for each token request, since its content rotates.
        file: PathBuf,
    },
}

fn bad(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Settings, RequestSent::No, message)
}

/// Checks that a token, or the call it is for, may go to this URL. Errors name it as `what` and suggest the
/// `example`.
pub(crate) fn check_url(url: &Url, what: &str, example: &str) -> Result<(), Error> {
    if url.host().is_none() {
        return Err(bad(format!("{what} names no host; use one such as {example}")));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(bad(format!(
            "{what} must not contain a user name or password; put them into the credential"
        )));
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_local(url) => Ok(()),
        "http" => Err(bad(format!(
            "{what} must begin with https://; http is allowed only for a loopback or cluster-local host (.svc, .svc.cluster.local)"
        ))),
        _ => Err(bad(format!("{what} must begin with https://"))),
    }
}

/// Whether the host is loopback or a service of the cluster.
pub(crate) fn is_local(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            name == "localhost"
                || [".localhost", ".svc", ".svc.cluster.local"]
                    .iter()
                    .any(|end| name.ends_with(end))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn https_or_local_http_only() {
        for good in [
            "https://live.example.com/tenantui",
            "http://127.0.0.1:8080",
            "http://[::1]/x",
            "http://localhost/tenantui",
            "http://sim.demo.svc/tenantui",
            "http://sim.demo.svc.cluster.local:80",
        ] {
            assert!(check_url(&url(good), "u", "e").is_ok(), "{good}");
        }
        for bad in [
            "http://live.example.com",
            "http://10.0.0.1",
            "http://svc",
            "http://xsvc.example",
            "ftp://localhost",
            "https://user:pw@live.example.com",
            "http://evil.com/.svc",
            "data:text/plain,x",
        ] {
            let error = check_url(&url(bad), "u", "e").unwrap_err();
            assert_eq!(error.kind, ErrorKind::Settings, "{bad}");
            assert!(!error.to_string().contains("pw@"), "{error}");
        }
    }

    #[test]
    fn a_credential_does_not_print() {
        let credential = Credential::ClientSecret("hunter2".into());
        assert!(!format!("{credential:?}").contains("hunter2"));
    }
}
