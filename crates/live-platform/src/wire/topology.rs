//! Reads LC customers and channels from `/api/ovoc/v1` (platform-facts.md 6.2, 6.3; platform-facts-2.md 6).

use std::borrow::Cow;

use oc_domain::model::LcCustomer;
use oc_domain::names::ChannelId;

use super::json::{self, Malformed, field, text};

/// Reads one LC customer. `None` when the answer is of another kind: that path may serve services under the
/// older name (platform-facts-2.md 6).
///
/// # Errors
/// When it is not JSON, or has no id.
pub fn lc_customer(body: &[u8]) -> Result<Option<LcCustomer>, Malformed> {
    let answer = json::value(body)?;
    if ["serviceId", "serviceSource", "customerSource", "lcCustomerId"]
        .iter()
        .any(|name| field(&answer, name).is_some())
    {
        return Ok(None);
    }
    let id = json::id(&answer, "id").ok_or(Malformed::Lacks("an id"))?;
    let name = text(&answer, "name", 300).or_else(|| text(&answer, "fullName", 300));
    Ok(Some(LcCustomer {
        id,
        name: name.map(Cow::into_owned),
        channel: json::id(&answer, "channelId"),
    }))
}

/// Reads the id of one channel. `None` when the answer is of another kind.
///
/// # Errors
/// When it is not JSON.
pub fn channel(body: &[u8]) -> Result<Option<ChannelId>, Malformed> {
    Ok(json::id(&json::value(body)?, "id"))
}
