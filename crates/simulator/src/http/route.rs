//! Finds the endpoint of a request.

use crate::platform::endpoint::Endpoint;
use crate::platform::settings::DoubledPrefix;

/// The route of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The endpoint.
    pub endpoint: Endpoint,
    /// The guid or id in the path.
    pub key: String,
    /// 404 or 405, when nothing is served there.
    pub missing: Option<u16>,
}

fn at(endpoint: Endpoint, key: &str) -> Route {
    Route {
        endpoint,
        key: key.to_owned(),
        missing: None,
    }
}

fn nowhere(status: u16) -> Route {
    Route {
        endpoint: Endpoint::Other,
        key: String::new(),
        missing: Some(status),
    }
}

/// Finds the route. Paths are compared in any case, and trailing slashes do not matter (C-26).
pub fn find(method: &str, path: &str, doubled: DoubledPrefix, tenant_filter: bool) -> Route {
    let raw: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let lower: Vec<String> = raw.iter().map(|part| part.to_lowercase()).collect();
    let parts: Vec<&str> = lower.iter().map(String::as_str).collect();
    if let ([directory, "oauth2", "v2.0", "token"], "POST") = (parts.as_slice(), method) {
        return at(Endpoint::Token, directory);
    }
    if let ([tenant, ".well-known", "openid-configuration"], "GET") = (parts.as_slice(), method) {
        return at(Endpoint::OpenIdConfiguration, tenant);
    }
    let prefixes = parts.iter().take_while(|part| **part == "tenantui").count();
    let key = |from_start: usize| raw.get(prefixes + from_start).copied().unwrap_or_default();
    let parts = &parts[prefixes..];
    let is_task = matches!(parts, ["api", "v2", "task", _]);
    let served = match prefixes {
        1 => !is_task || doubled != DoubledPrefix::Only,
        2 => is_task && doubled != DoubledPrefix::Never,
        _ => false,
    };
    if !served {
        return nowhere(404);
    }
    match parts {
        ["api", "ovoc", "v1", "topology", rest @ ..] => topology(method, rest, key(5)),
        ["api", "v2", rest @ ..] => second(method, rest, key(3), tenant_filter),
        ["api", "v3", rest @ ..] => third(method, rest, key(3)),
        _ => nowhere(404),
    }
}

fn second(method: &str, parts: &[&str], key: &str, tenant_filter: bool) -> Route {
    match (parts, method) {
        (["oc", "lead"], "GET") => at(
            if tenant_filter {
                Endpoint::LeadsGet
            } else {
                Endpoint::LeadsList
            },
            "",
        ),
        (["oc", "lead"], "POST") => at(Endpoint::LeadsCreate, ""),
        (["oc", "lead"], "DELETE") => at(Endpoint::LeadsDelete, ""),
        (["oc", "lead"], "PATCH") => at(Endpoint::LeadsConvert, ""),
        (["oc", "numbers"], "GET") => at(Endpoint::NumbersList, ""),
        (["customer"], "GET") => at(Endpoint::ServicesListV2, ""),
        (["customer", _], "GET") => at(Endpoint::ServicesGetV2, key),
        (["customer", _], "DELETE") => at(Endpoint::ServicesDelete, key),
        (["customer", _, "action", "upgrade"], "POST") => at(Endpoint::ServicesUpgrade, key),
        (["task", _], "GET") => at(Endpoint::TasksGet, key),
        (["sitelocation", _], "GET") => at(Endpoint::SiteLocationsGet, key),
        (["oc", "lead" | "numbers"] | ["customer" | "task" | "sitelocation", _] | ["customer"], _) => {
            nowhere(405)
        }
        _ => nowhere(404),
    }
}

fn third(method: &str, parts: &[&str], key: &str) -> Route {
    match (parts, method) {
        (["customer"], "GET") => at(Endpoint::ServicesList, ""),
        (["customer"], "POST") => at(Endpoint::ServicesCreate, ""),
        (["customer", _], "GET") => at(Endpoint::ServicesGet, key),
        (["ovoc", "channel", "action", "assign"], "PUT") => at(Endpoint::ChannelsAssign, ""),
        (["ovoc", "channel", "action", "remove"], "PUT") => at(Endpoint::ChannelsRemove, ""),
        (["customer"] | ["customer", _] | ["ovoc", "channel", "action", "assign" | "remove"], _) => {
            nowhere(405)
        }
        _ => nowhere(404),
    }
}

fn topology(method: &str, parts: &[&str], key: &str) -> Route {
    match (parts, method) {
        (["channels"], "GET") => at(Endpoint::ChannelsList, ""),
        (["channels"], "POST") => at(Endpoint::ChannelsCreate, ""),
        (["channels", _], "GET") => at(Endpoint::ChannelsGet, key),
        (["customers" | "lccustomers", _], "GET") | (["customers", _], "PUT") => {
            at(Endpoint::LcCustomersGet, key)
        }
        (["customers", _], "POST") => at(Endpoint::LcCustomersAssign, key),
        (["lccustomers"], "GET") => at(Endpoint::LcCustomersList, ""),
        (["services"], "GET") => at(Endpoint::TopologyServices, ""),
        (["channels" | "customers" | "lccustomers", _] | ["channels" | "lccustomers" | "services"], _) => {
            nowhere(405)
        }
        _ => nowhere(404),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_and_case() {
        for path in [
            "/tenantui/api/v3/customer",
            "/tenantui/api/v3/customer/",
            "/TenantUI/api/V3/Customer",
        ] {
            assert_eq!(
                find("GET", path, DoubledPrefix::Both, false),
                at(Endpoint::ServicesList, ""),
                "{path}"
            );
        }
        let task = find(
            "GET",
            "/tenantui/api/v2/task/wst_AbC/",
            DoubledPrefix::Both,
            false,
        );
        assert_eq!(task, at(Endpoint::TasksGet, "wst_AbC"));
        assert_eq!(
            find("GET", "/api/v3/customer", DoubledPrefix::Both, false),
            nowhere(404)
        );
        assert_eq!(
            find("PUT", "/tenantui/api/v3/customer", DoubledPrefix::Both, false),
            nowhere(405)
        );
    }

    #[test]
    fn the_doubled_prefix_is_for_tasks_alone() {
        let (single, double) = ("/tenantui/api/v2/task/a", "/tenantui/tenantui/api/v2/task/a");
        let served = |path, mode| find("GET", path, mode, false).missing.is_none();
        assert!(served(single, DoubledPrefix::Both) && served(double, DoubledPrefix::Both));
        assert!(!served(single, DoubledPrefix::Only) && served(double, DoubledPrefix::Only));
        assert!(served(single, DoubledPrefix::Never) && !served(double, DoubledPrefix::Never));
        assert!(!served("/tenantui/tenantui/api/v3/customer", DoubledPrefix::Both));
    }
}
