//! Reads the requests of the two creates (platform-facts.md 3.2, 3.3, C-4).

use super::bind::Fields;
use super::vendor::Call;
use crate::platform::Platform;
use crate::platform::create::{Create, Kept, LeadKey};
use crate::platform::refusal::Refusal;
use std::collections::BTreeMap;

const SCRIPTS: [&str; 4] = [
    "sbcOnboardingScript",
    "sbcCleanupScript",
    "sbcOcUploadNumberScript",
    "sbcOcReleaseNumberScript",
];

fn short_name(body: &Fields, lenient: bool) -> Result<String, Refusal> {
    let alias = || if lenient { body.text("shortname") } else { None };
    body.text("customershortname")
        .or_else(alias)
        .ok_or_else(|| Refusal::required("CustomerShortName"))
}

fn full_name(body: &Fields, lenient: bool) -> Result<String, Refusal> {
    let alias = || {
        let aliases = ["customerfulname", "fullname"];
        if lenient {
            aliases.iter().find_map(|name| body.filled(name))
        } else {
            None
        }
    };
    body.filled("customerfullname")
        .or_else(alias)
        .ok_or_else(|| Refusal::required("CustomerFullName"))
}

/// Reads PATCH lead (V2), which has no parameters beyond the names.
pub fn convert(platform: &Platform, call: &Call<'_>) -> Result<Create, Refusal> {
    let body = Fields::parse(call.body)?;
    let change = body.text("statuschange").unwrap_or_default();
    if !change.eq_ignore_ascii_case("OCEssential") {
        return Err(Refusal::field(
            "StatusChange",
            format!("The value '{change}' is not valid."),
        ));
    }
    let by_lead = || call.query.filled("leadid").or_else(|| call.query.filled("id"));
    let lead = match (call.query.filled("mstenantid"), by_lead()) {
        (Some(tenant), _) => LeadKey::Tenant(tenant.to_owned()),
        (None, Some(id)) => LeadKey::Lead(id.to_owned()),
        (None, None) => return Err(Refusal::required("MsTenantId")),
    };
    let lenient = platform.settings.lenient_aliases;
    Ok(Create {
        lead,
        v3: false,
        short_name: short_name(&body, lenient)?,
        full_name: full_name(&body, lenient)?,
        kept: Kept::default(),
        site_name: None,
        sbc: None,
        scripts: BTreeMap::new(),
        channel: None,
        customer: None,
    })
}

fn flavour(body: &Fields) -> Result<bool, Refusal> {
    let name = body
        .text("configurationname")
        .ok_or_else(|| Refusal::required("ConfigurationName"))?;
    let ip_group = match name.as_str() {
        "OcEssential_TENANT_TYPE" => false,
        "OcEssential_IPGROUP_TYPE" => true,
        _ => {
            return Err(Refusal::field(
                "ConfigurationName",
                format!("Configuration {name} does not exist."),
            ));
        }
    };
    let wanted = if ip_group { "IPGROUP_TYPE" } else { "TENANT_TYPE" };
    match body.text("ovoccustomertype") {
        Some(kind) if kind != wanted => Err(Refusal::field(
            "OvocCustomerType",
            format!("The value '{kind}' does not fit {name}."),
        )),
        _ => Ok(ip_group),
    }
}

fn parameters(body: &Fields, ip_group: bool) -> Result<BTreeMap<String, String>, Refusal> {
    let pairs = body.pairs("scriptparameters");
    if ip_group {
        let filled = |wanted: &str| {
            pairs
                .iter()
                .any(|(name, value)| name.eq_ignore_ascii_case(wanted) && !value.trim().is_empty())
        };
        for name in ["ProxySet", "OnlinePstnGateway"] {
            if !filled(name) {
                return Err(Refusal::field(
                    "ScriptParameters",
                    format!("The script parameter {name} is required."),
                ));
            }
        }
    }
    Ok(pairs)
}

/// Reads POST v3 customer.
pub fn create(platform: &Platform, call: &Call<'_>) -> Result<Create, Refusal> {
    let body = Fields::parse(call.body)?;
    let lenient = platform.settings.lenient_aliases;
    let ip_group = flavour(&body)?;
    let tenant = body
        .filled("mstenantid")
        .ok_or_else(|| Refusal::required("MsTenantId"))?;
    let site = body.object("sitelocation");
    if site.is_none() && platform.settings.require_site_location {
        return Err(Refusal::required("SiteLocation"));
    }
    let site = site.unwrap_or_default();
    let mut scripts = BTreeMap::new();
    for name in SCRIPTS {
        if let Some(id) = site.number(&name.to_lowercase(), name)? {
            scripts.insert(name.to_owned(), id);
        }
    }
    Ok(Create {
        lead: LeadKey::Tenant(tenant),
        v3: true,
        short_name: short_name(&body, lenient)?,
        full_name: full_name(&body, lenient)?,
        kept: Kept {
            ip_group,
            script_parameters: parameters(&body, ip_group)?,
        },
        site_name: site.filled("sitelocationname"),
        sbc: site.number("sbcid", "SbcId")?,
        scripts,
        channel: body.number("channelid", "ChannelId")?,
        customer: body.number("lccustomerid", "LcCustomerId")?,
    })
}
