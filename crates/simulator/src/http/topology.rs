//! Serves channels, LC customers and topology services over HTTP (platform-facts.md 2.5, 6.1 to 6.3;
//! platform-facts-2.md 6).

use super::bind::Fields;
use super::reply::Reply;
use super::vendor::Call;
use super::wire;
use crate::platform::Platform;
use crate::platform::endpoint::Endpoint;
use crate::platform::refusal::Refusal;
use crate::platform::settings::EmptyList;
use crate::platform::time::Millis;
use crate::platform::topology::{AssignTarget, ChannelInput};
use serde_json::{Value, json};

/// Answers PUT assign (C-10, C-11).
pub fn assign(platform: &mut Platform, now: Millis, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = Fields::parse(call.body)?;
    let target = AssignTarget {
        tenant: body
            .filled("leadmstenantid")
            .or_else(|| body.filled("mstenantid")),
        lead: body.filled("leadid"),
        service: body.filled("umpcustomerguid"),
    };
    let channel = body.number("channelid", "ChannelId").unwrap_or_default();
    let channel = match channel {
        Some(channel) => Some(channel),
        None => body.number("ovocchannelid", "OvocChannelId").unwrap_or_default(),
    };
    platform.assign_channel(now, &target, channel)?;
    Ok(if platform.settings.old_assign_answer {
        let data = format!("new lead ovocChannelId: {}", channel.unwrap_or_default());
        Reply::json(200, &json!({"status": true, "data": data}))
    } else {
        let message = "Lead successfully assigned to the channel";
        Reply::json(
            200,
            &json!({"status": "success", "succeeded": true, "message": message}),
        )
    })
}

/// Answers PUT remove (platform-facts.md 2.5). The pages show only this form of its answer.
pub fn remove(platform: &mut Platform, call: &Call<'_>) -> Result<Reply, Refusal> {
    let channel = platform.remove_channel(call.query.filled("mstenantid"))?;
    Ok(Reply::json(
        200,
        &json!({"status": true, "data": format!("Removed channel {channel}")}),
    ))
}

/// Answers the calls under `/api/ovoc/v1`.
pub fn answer(platform: &mut Platform, now: Millis, call: &Call<'_>) -> Result<Reply, Refusal> {
    if !platform.settings.topology_available {
        return Err(Refusal::Bare(platform.settings.topology_status));
    }
    let id = || call.key.parse::<u64>().map_err(|_| Refusal::no_entity(call.key));
    match call.endpoint {
        Endpoint::ChannelsList => {
            let items = platform
                .topology
                .channels
                .values()
                .map(|channel| wire::channel(platform, channel))
                .collect();
            list(platform, call, "channels", items)
        }
        Endpoint::ChannelsGet => {
            let id = id()?;
            let channel = platform
                .topology
                .channels
                .get(&id)
                .ok_or_else(|| Refusal::no_entity(id))?;
            Ok(Reply::json(200, &wire::channel(platform, channel)))
        }
        Endpoint::ChannelsCreate => create_channel(platform, now, call),
        Endpoint::LcCustomersList => {
            let customers = platform.topology.customers.values();
            let items = customers
                .map(|customer| wire::lc_customer(platform, customer))
                .collect();
            list(platform, call, "lcCustomers", items)
        }
        Endpoint::LcCustomersGet => {
            let id = id()?;
            let customer = platform
                .topology
                .customers
                .get(&id)
                .ok_or_else(|| Refusal::no_entity(id))?;
            Ok(Reply::json(200, &wire::lc_customer(platform, customer)))
        }
        Endpoint::LcCustomersAssign => move_customer(platform, id()?, call),
        _ => {
            let items = platform
                .listed(now)
                .map(|service| wire::topology_service(platform, service, now))
                .collect();
            list(platform, call, "services", items)
        }
    }
}

fn create_channel(platform: &mut Platform, now: Millis, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = Fields::parse(call.body).map_err(|refusal| Refusal::Entity(400, refusal.in_words()))?;
    let name = body
        .filled("name")
        .ok_or_else(|| Refusal::Entity(400, "name is missing".into()))?;
    if platform
        .topology
        .channels
        .values()
        .any(|channel| channel.name.eq_ignore_ascii_case(&name))
    {
        return Err(Refusal::Entity(
            400,
            format!("Channel with name {name} already exists"),
        ));
    }
    let max_customers = body.number("maxcustomers", "maxCustomers")?.unwrap_or(0);
    let input = ChannelInput {
        id: None,
        name,
        max_customers,
        description: body.text("description"),
    };
    let id = platform.topology.put_channel(input, body.text("mstenantid"), now);
    Ok(Reply::json(
        201,
        &json!({"id": id, "url": format!("ovoc/v1/topology/channels/{id}")}),
    ))
}

fn move_customer(platform: &mut Platform, id: u64, call: &Call<'_>) -> Result<Reply, Refusal> {
    let body = Fields::parse(call.body).map_err(|refusal| Refusal::Entity(400, refusal.in_words()))?;
    platform.move_customer(id, body.number("channelid", "channelId")?)?;
    let customer = platform
        .topology
        .customers
        .get(&id)
        .ok_or_else(|| Refusal::no_entity(id))?;
    let body = json!({"id": id, "tenantId": 1, "name": customer.name, "channelId": customer.channel});
    Ok(Reply::json(200, &body))
}

/// Parses `(name='x')` into name and value.
fn filter(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text
        .trim()
        .trim_start_matches('(')
        .trim_end_matches(')')
        .split_once('=')?;
    Some((name.trim(), value.trim().trim_matches('\'')))
}

fn list(platform: &Platform, call: &Call<'_>, key: &str, mut items: Vec<Value>) -> Result<Reply, Refusal> {
    if let Some((name, value)) = call.query.get("filter").and_then(filter) {
        items.retain(|item| match item.get(name) {
            Some(Value::String(text)) => text.eq_ignore_ascii_case(value),
            Some(other) => other.as_u64().is_some_and(|number| value.parse() == Ok(number)),
            None => false,
        });
    }
    if let Some(fields) = call.query.filled("fields") {
        let wanted: Vec<&str> = fields.split(',').map(str::trim).collect();
        for item in &mut items {
            if let Value::Object(item) = item {
                item.retain(|name, _| wanted.contains(&name.as_str()));
            }
        }
    }
    match platform.settings.empty_topology_list {
        EmptyList::WithoutKey if items.is_empty() => Ok(Reply::json(200, &json!({}))),
        EmptyList::NotFound if items.is_empty() => Err(Refusal::Entity(404, "No entities found".into())),
        _ => Ok(Reply::json(200, &json!({key: items}))),
    }
}
