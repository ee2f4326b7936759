//! Records the calls to the platform, for tests to judge.

use super::endpoint::Endpoint;
use super::time::Millis;
use serde::Serialize;
use std::collections::{BTreeMap, VecDeque};

const LOGGED: usize = 10_000;

/// Counters of calls.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// All calls, including those for a token.
    pub total: u64,
    /// Calls by endpoint.
    pub by_endpoint: BTreeMap<&'static str, u64>,
    /// Calls by HTTP status; `dropped` for connections that were closed on purpose.
    pub by_status: BTreeMap<String, u64>,
    /// API calls other than GET, without those for a token.
    pub changes: u64,
    /// Creates of a service that were accepted, V2 and V3.
    pub creates_accepted: u64,
    /// Creates refused because the tenant has, or is getting, a service.
    pub second_creates_refused: u64,
    /// Services deleted over the API.
    pub deletes_executed: u64,
}

/// One call in the log.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoggedCall {
    /// The number of the call, from 1.
    pub sequence: u64,
    /// When its answer was ready, in milliseconds since 1970.
    pub milliseconds: Millis,
    /// HTTP method.
    pub method: String,
    /// Path and query, without secrets.
    pub path: String,
    /// The endpoint's name.
    pub endpoint: &'static str,
    /// HTTP status; 0 for a connection that was closed on purpose.
    pub status: u16,
    /// The Microsoft tenant of the call, if it can be determined.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
}

/// Counters and log together.
#[derive(Debug, Default)]
pub struct Record {
    /// The counters.
    pub counters: Counters,
    log: VecDeque<LoggedCall>,
    sequence: u64,
}

impl Record {
    /// Counts an arriving call.
    pub fn arrives(&mut self, endpoint: Endpoint, method: &str) {
        self.counters.total += 1;
        *self.counters.by_endpoint.entry(endpoint.name()).or_default() += 1;
        if endpoint != Endpoint::Token && method != "GET" {
            self.counters.changes += 1;
        }
    }

    /// Logs a call that was answered, or whose connection was closed (status 0).
    pub fn answered(&mut self, mut call: LoggedCall) {
        let status = if call.status == 0 {
            "dropped".to_owned()
        } else {
            call.status.to_string()
        };
        *self.counters.by_status.entry(status).or_default() += 1;
        self.sequence += 1;
        call.sequence = self.sequence;
        if self.log.len() == LOGGED {
            self.log.pop_front();
        }
        self.log.push_back(call);
    }

    /// Returns the calls after a sequence number.
    pub fn since(&self, sequence: u64) -> Vec<&LoggedCall> {
        self.log.iter().filter(|call| call.sequence > sequence).collect()
    }
}

/// Who made a service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maker {
    /// A call of the vendor's API.
    Api,
    /// Somebody in the portal.
    Portal,
    /// Somebody in the portal, for Direct Routing: such a service is counted separately (C-31).
    DirectRouting,
}

/// The time during which a service existed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Span {
    /// The service.
    pub guid: String,
    /// When it was created.
    pub created_at: Millis,
    /// When it was deleted.
    pub deleted_at: Option<Millis>,
    /// Whether a call of the vendor's API made it, and not the portal.
    pub by_api: bool,
    #[serde(skip)]
    direct_routing: bool,
}

/// The services that each tenant had, and when. It survives a reset of the counters.
#[derive(Debug, Default)]
pub struct History(BTreeMap<String, Vec<Span>>);

impl History {
    /// Records that a service was created.
    pub fn created(&mut self, tenant: &str, guid: &str, now: Millis, maker: Maker) {
        let (by_api, direct_routing) = (maker == Maker::Api, maker == Maker::DirectRouting);
        let span = Span {
            guid: guid.to_owned(),
            created_at: now,
            deleted_at: None,
            by_api,
            direct_routing,
        };
        self.0.entry(tenant.to_owned()).or_default().push(span);
    }

    /// Records that a service is gone.
    pub fn deleted(&mut self, tenant: &str, guid: &str, now: Millis) {
        let spans = self.0.get_mut(tenant).into_iter().flatten();
        for span in spans.filter(|span| span.guid == guid && span.deleted_at.is_none()) {
            span.deleted_at = Some(now);
        }
    }

    /// Returns how many services of each tenant the API has ever created.
    pub fn creations(&self) -> BTreeMap<&str, usize> {
        let by_api = |spans: &Vec<Span>| spans.iter().filter(|span| span.by_api).count();
        self.0
            .iter()
            .map(|(tenant, spans)| (tenant.as_str(), by_api(spans)))
            .collect()
    }

    /// Returns all services that a tenant ever had.
    pub fn of(&self, tenant: &str) -> &[Span] {
        self.0.get(tenant).map_or(&[], Vec::as_slice)
    }

    /// Returns the tenants for which the API created a service while they already had an Operator Connect
    /// one.
    pub fn with_two_services(&self) -> Vec<&str> {
        let doubled = |spans: &Vec<Span>| {
            spans.iter().enumerate().any(|(index, later)| {
                let overlaps = |earlier: &Span| {
                    !earlier.direct_routing && earlier.deleted_at.is_none_or(|end| end > later.created_at)
                };
                later.by_api && spans[..index].iter().any(overlaps)
            })
        };
        self.0
            .iter()
            .filter(|(_, spans)| doubled(spans))
            .map(|(tenant, _)| tenant.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_at_once_are_never_forgotten() {
        let mut history = History::default();
        history.created("after", "a", 10, Maker::Api);
        history.deleted("after", "a", 20);
        history.created("after", "b", 20, Maker::Api);
        history.created("both", "c", 10, Maker::Api);
        history.created("both", "d", 15, Maker::Api);
        history.deleted("both", "d", 16);
        history.deleted("both", "c", 17);
        history.created("portal-second", "e", 10, Maker::Api);
        history.created("portal-second", "f", 11, Maker::Portal);
        history.created("portal-first", "g", 10, Maker::Portal);
        history.created("portal-first", "h", 11, Maker::Api);
        history.created("beside-direct-routing", "i", 10, Maker::DirectRouting);
        history.created("beside-direct-routing", "j", 11, Maker::Api);
        assert_eq!(history.with_two_services(), ["both", "portal-first"]);
        assert_eq!(history.creations()["after"], 2);
    }

    #[test]
    fn the_log_is_bounded() {
        let mut record = Record::default();
        for _ in 0..LOGGED + 5 {
            record.arrives(Endpoint::Token, "POST");
            record.answered(LoggedCall {
                sequence: 0,
                milliseconds: 0,
                method: "POST".into(),
                path: "/".into(),
                endpoint: "token",
                status: 200,
                tenant_id: None,
            });
        }
        assert_eq!(record.since(0).len(), LOGGED);
        assert_eq!(record.since(0)[0].sequence, 6);
        assert_eq!(record.counters.changes, 0);
    }
}
