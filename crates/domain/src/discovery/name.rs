//! The name and the label by which people find a discovered lead.

use crate::names::TenantId;

/// The longest DNS label (RFC 1123).
const LABEL: usize = 63;

/// How much of the company's name goes into an object's name.
const COMPANY: usize = 40;

/// The length of a tenant id.
const TENANT: usize = 36;

/// How much of the tenant id tells companies of one name apart.
const SHORT_TENANT: usize = 8;

/// What an object's name is already used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Used {
    /// The object is for this lead.
    ForThis,
    /// The object is for something else: another tenant, or the same tenant on another platform.
    ForAnother,
}

/// The name under which a lead becomes an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// The lead has an object already.
    There,
    /// The lead gets this name.
    Free(String),
    /// The candidate names are used for something else; this is the last one.
    Taken(String),
}

/// Chooses the name: the company's and the beginning of the tenant id, such as `contoso-a1a1a1a1`. If
/// something else has that name, the whole tenant id goes into it, and then the platform's name. Each is a DNS
/// label. `company` is in ASCII; any other character separates words.
pub fn name(platform: &str, company: &str, tenant: &TenantId, used: impl Fn(&str) -> Option<Used>) -> Name {
    let whole = tenant.to_string();
    let short = &whole[..SHORT_TENANT];
    let company = words(company, COMPANY);
    let own = (!company.is_empty()).then(|| {
        let less = words(&company, LABEL - TENANT - 1);
        [format!("{company}-{short}"), format!("{less}-{whole}")]
    });
    let plain = format!("lead-{whole}");
    let platform = words(platform, LABEL - plain.len() - 1);
    let last = format!("{plain}-{platform}");
    let first = own.map_or_else(|| vec![plain], Vec::from);
    for name in first.iter().chain([&last]) {
        match used(name) {
            None => return Name::Free(name.clone()),
            Some(Used::ForThis) => return Name::There,
            Some(Used::ForAnother) => {}
        }
    }
    Name::Taken(last)
}

/// The letters and digits of a text in lower case, with one hyphen in place of everything between them.
fn words(text: &str, most: usize) -> String {
    let mut label = String::new();
    for c in text.chars() {
        if label.len() == most {
            break;
        }
        if c.is_ascii_alphanumeric() {
            label.push(c.to_ascii_lowercase());
        } else if !label.is_empty() && !label.ends_with('-') {
            label.push('-');
        }
    }
    label.truncate(label.trim_end_matches('-').len());
    label
}

/// The platform's name as the value of a label, which is shorter than a name may be.
pub fn platform_label(platform: &str) -> &str {
    let end = platform
        .char_indices()
        .nth(LABEL)
        .map_or(platform.len(), |(end, _)| end);
    platform[..end].trim_end_matches(['-', '.'])
}
