//! Which platform a `LivePlatform` object points to.

use oc_domain::absence::Account;
use oc_domain::place::Place;

use oc_api::LivePlatform;

/// Identifies the platform an object points to, and the credentials it uses there.
pub fn identity(object: &LivePlatform) -> String {
    let spec = &object.spec;
    format!("{}|{:?}|{:?}", spec.url, spec.authentication, spec.ca_bundle_ref)
}

/// Returns the place of the platform; `None` if the URL does not parse.
pub fn place(object: &LivePlatform) -> Option<Place> {
    let url = reqwest::Url::parse(&object.spec.url).ok()?;
    Some(Place::new(
        url.scheme(),
        url.host_str()?,
        url.port_or_known_default()?,
        url.path(),
    ))
}

/// Returns the account of an object: the platform and the application used there. Another credential of the
/// same application is the same account.
pub fn account(object: &LivePlatform) -> Account {
    let entra = &object.spec.authentication.entra;
    let url = place(object).map_or_else(|| object.spec.url.clone(), |place| place.as_str().to_owned());
    Account {
        url,
        identity: format!("{}/{}", entra.tenant_id, entra.client_id).to_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(url: &str) -> Option<String> {
        let spec = serde_json::json!({
            "url": url,
            "authentication": {"entra": {"tenantId": "22222222-2222-4222-8222-222222222222", "clientId": "22222222-2222-4222-8222-222222222222", "scope": "api://x/.default"}},
        });
        let object = LivePlatform::new("default", serde_json::from_value(spec).unwrap());
        place(&object).map(|place| place.as_str().to_owned())
    }

    #[test]
    fn the_ways_to_write_one_url_are_one_place() {
        let one = Some("https://live.example.com:443/tenantui".to_owned());
        for url in [
            "https://live.example.com/tenantui",
            "https://live.example.com/tenantui/",
            "HTTPS://LIVE.Example.com:443/TenantUI",
            "https://live.example.com.//tenantui",
            "https://live.example.com/x/../tenantui/.",
            "https://live.example.com/x/%2E%2e/%74enantui",
            "https://live%2eexample.com/tenantui",
            "https:\\\\live.example.com\\tenantui",
            " https://live.example.com/tenantui?x=1#y ",
        ] {
            assert_eq!(at(url), one, "{url}");
        }
        assert_eq!(
            at("https://bücher.example/tenantui"),
            at("https://xn--bcher-kva.example/tenantui")
        );
        assert_eq!(
            at("https://BÜCHER.example/tenantui"),
            at("https://xn--bcher-kva.example:443/tenantui")
        );
        assert_eq!(
            at("http://127.1:8080/tenantui"),
            at("http://127.0.0.1:8080/tenantui")
        );
        assert_eq!(
            at("https://[::1]/tenantui"),
            at("https://[0:0::0:1]:443/tenantui")
        );
        for url in [
            "https://live.example.com:8443/tenantui",
            "https://live.example.org/tenantui",
            "https://live.example.com/other",
        ] {
            assert_ne!(at(url), one, "{url}");
        }
        assert_eq!(at("no url"), None);
    }

    fn platform(url: &str, client: &str) -> LivePlatform {
        let entra = serde_json::json!({"tenantId": "33333333-3333-4333-8333-333333333333", "clientId": client, "scope": "x", "workloadIdentity": {}});
        LivePlatform::new(
            "p",
            serde_json::from_value(serde_json::json!({"url": url, "authentication": {"entra": entra}}))
                .unwrap(),
        )
    }

    #[test]
    fn the_same_platform_written_otherwise_is_no_other_account() {
        let client = "44444444-4444-4444-8444-44444444444a";
        let here = account(&platform("https://live.example.com/tenantui", client));
        for url in [
            "https://live.example.com/tenantui/",
            "https://LIVE.example.com:443/tenantui",
        ] {
            assert_eq!(account(&platform(url, &client.to_uppercase())), here, "{url}");
        }
        for (url, client) in [
            ("https://live.example.com/other", client),
            ("https://live.example.com:8443/tenantui", client),
            ("https://stage.example.com/tenantui", client),
            (
                "https://live.example.com/tenantui",
                "55555555-5555-4555-8555-555555555555",
            ),
        ] {
            assert_ne!(account(&platform(url, client)), here, "{url} {client}");
        }
    }
}
