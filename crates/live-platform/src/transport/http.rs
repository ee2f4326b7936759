//! The HTTP clients that calls use, one for each kind of call.

use std::sync::OnceLock;
use std::time::Duration;

use url::Url;

use crate::error::Error;
use crate::settings::{ClientSettings, is_local};
use crate::tls;

/// How many idle connections are kept for lists. One that has read a page of 1,000 leads keeps a buffer of 512 KiB,
/// and a second list at the same time is rare.
const IDLE_FOR_LISTS: usize = 1;

/// How long an idle connection is kept: from one look at a task to the next, and not from one observation to
/// the next.
const IDLE: Duration = Duration::from_secs(15);

/// What a call is for, and with it the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Lists.
    List,
    /// Other reads.
    Read,
    /// Changes, the run of a job, and the request of a token: sent once.
    Change,
}

/// The HTTP clients, by address and purpose.
///
/// Calls to a local address never use a proxy: they may be plain HTTP, and a proxy would see the token and
/// the secret. Changes use a connection of their own: the server may close an idle connection at the moment
/// it is reused, and then nobody knows whether the change was made (hyperium/hyper#2136). A token request
/// does too: it comes once an hour, when no connection is left.
pub(super) struct Http {
    pub(super) roots: Vec<reqwest::Certificate>,
    connect: Duration,
    /// How many idle connections are kept for reads: as many as may run at once.
    idle: usize,
    /// By purpose, near and far. Each is built when first needed; those that tell whether the settings can be used,
    /// at once.
    made: [[OnceLock<reqwest::Client>; 3]; 2],
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
        for url in [&settings.base_url, &settings.token_url] {
            http.to(url, Purpose::Change)?;
        }
        Ok(http)
    }

    pub(super) fn to(&self, url: &Url, purpose: Purpose) -> Result<&reqwest::Client, Error> {
        let near = is_local(url);
        let place = &self.made[usize::from(near)][purpose as usize];
        match place.get() {
            Some(client) => Ok(client),
            None => {
                let client = self.make(near, purpose)?;
                Ok(place.get_or_init(|| client))
            }
        }
    }

    fn make(&self, near: bool, purpose: Purpose) -> Result<reqwest::Client, Error> {
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("oc-essentials-operator/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .connect_timeout(self.connect);
        if near {
            builder = builder.no_proxy();
        }
        let idle = match purpose {
            Purpose::List => IDLE_FOR_LISTS,
            Purpose::Read => self.idle,
            Purpose::Change => 0,
        };
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
        let is = |address: &Url, near: usize| {
            let made = http.made[near][Purpose::Change as usize].get();
            std::ptr::eq(http.to(address, Purpose::Change).unwrap(), made.unwrap())
        };
        assert!(is(&settings.base_url, 1) && is(&settings.token_url, 0));
        assert!(is(&url("http://127.0.0.1:8080/run"), 1));
        assert!(
            http.made[0][Purpose::Read as usize].get().is_none(),
            "no read goes beyond"
        );
    }
}
