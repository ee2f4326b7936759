//! The HTTP clients that calls use, one for each kind of call.

use std::sync::OnceLock;
use std::time::Duration;

use url::Url;

use crate::error::Error;
use crate::settings::{ClientSettings, is_local};
use crate::tls;

/// How long an idle connection is kept: from one look at a task to the next, and not from one observation to
/// the next.
const IDLE: Duration = Duration::from_secs(15);

/// The HTTP clients, by address and kind of call.
///
/// Calls to a local address never use a proxy: they may be plain HTTP, and a proxy would see the token and
/// the secret. Changes use a connection of their own: the server may close an idle connection at the moment
/// it is reused, and then nobody knows whether the change was made (hyperium/hyper#2136). A token request
/// does too: it comes once an hour, when no connection is left.
pub(super) struct Http {
    pub(super) roots: Vec<reqwest::Certificate>,
    connect: Duration,
    /// How many idle connections are kept for reads. One that has read a long list has a buffer of 100 KiB and more,
    /// but is then the first to be used again.
    idle: usize,
    /// Each is built when first needed; those for the platform and the token endpoint at once.
    made: [OnceLock<reqwest::Client>; 4],
}

impl Http {
    pub(super) fn new(settings: &ClientSettings) -> Result<Self, Error> {
        let roots = settings
            .ca_bundle_pem
            .as_deref()
            .map(tls::roots)
            .transpose()?
            .unwrap_or_default();
        let connect = Duration::from_secs(10).min(settings.deadline / 2);
        let http = Self {
            roots,
            connect,
            idle: settings.in_flight,
            made: Default::default(),
        };
        for (url, change) in [
            (&settings.base_url, false),
            (&settings.base_url, true),
            (&settings.token_url, true),
        ] {
            http.to(url, change)?;
        }
        Ok(http)
    }

    pub(super) fn to(&self, url: &Url, change: bool) -> Result<&reqwest::Client, Error> {
        let near = is_local(url);
        let [near_read, near_change, far_read, far_change] = &self.made;
        let place = match (near, change) {
            (true, false) => near_read,
            (true, true) => near_change,
            (false, false) => far_read,
            (false, true) => far_change,
        };
        match place.get() {
            Some(client) => Ok(client),
            None => {
                let client = self.make(near, change)?;
                Ok(place.get_or_init(|| client))
            }
        }
    }

    fn make(&self, near: bool, change: bool) -> Result<reqwest::Client, Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("oc-essentials-operator/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(self.connect);
        if near {
            builder = builder.no_proxy();
        }
        let idle = if change { 0 } else { self.idle };
        builder = builder.pool_max_idle_per_host(idle).pool_idle_timeout(IDLE);
        if !self.roots.is_empty() {
            builder = builder.tls_certs_merge(self.roots.clone());
        }
        builder.build().map_err(|error| tls::unusable(&self.roots, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_address_is_called_without_a_proxy_whatever_the_other_one_is() {
        let url = |text: &str| Url::parse(text).unwrap();
        let settings = ClientSettings::new(
            url("http://platform.customers.svc"),
            url("https://login.microsoftonline.com/x/oauth2/v2.0/token"),
            "id",
            "scope",
        );
        let http = Http::new(&settings).unwrap();
        let is = |address: &Url, change, place: usize| {
            std::ptr::eq(http.to(address, change).unwrap(), http.made[place].get().unwrap())
        };
        assert!(
            is(&settings.base_url, false, 0)
                && is(&settings.base_url, true, 1)
                && is(&settings.token_url, true, 3)
        );
        assert!(is(&url("http://127.0.0.1:8080/run"), true, 1));
        assert!(http.made[2].get().is_none(), "no read goes beyond");
    }
}
