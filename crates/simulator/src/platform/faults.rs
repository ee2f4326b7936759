//! Faults that can be requested (platform-facts.md 12.3).

use super::chance::Chance;
use super::endpoint::Endpoint;
use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FaultKind {
    /// The token endpoint refuses (E5).
    TokenRefused,
    /// 401, and the caller's token is void from then on.
    Unauthorized,
    /// 429.
    TooManyRequests,
    /// A 5xx, or the `status` given.
    ServerError,
    /// 200, or the `status` given, with an HTML page.
    HtmlOk,
    /// 400 in the form E1, with `message` for `field`.
    Refused,
    /// A custom answer: `status`, `contentType`, and `message` as its body.
    Answer,
    /// A list without entries.
    EmptyList,
    /// In any answer, the value of `field` is `raw` or `rawHex`, byte by byte; with neither the field is
    /// missing.
    RawValue,
    /// A list has `raw` (by default `{}`) as an additional entry, or in place of `entry`.
    StrangeEntry,
    /// After the answer, the leads of the tenant `entry` disappear, and the following ones move up from page
    /// to page.
    LeadLeaves,
    /// After the answer, the leads of the tenant `entry` move to the end of the list.
    LeadMoves,
    /// The call is accepted and never answered; with `executed` it is executed first.
    Hang,
    /// The connection closes `delay` milliseconds after an answer that does not announce it.
    CloseAfterAnswer,
    /// 200 with an empty body.
    EmptyOk,
    /// The connection ends in the middle of the body.
    Truncated,
    /// A complete HTTP answer whose JSON ends in the middle.
    BrokenJson,
    /// 100 MiB of blanks before the body.
    HugeBody,
    /// 100,000 nested arrays.
    DeepNesting,
    /// Each value of the answer has a wrong JSON type.
    WrongTypes,
    /// Text in the answer is not UTF-8.
    InvalidUtf8,
    /// The connection closes, and the call is not executed.
    DropBeforeExecution,
    /// The call is executed, then the connection closes.
    DropAfterExecution,
    /// The call is delayed; with `executed` its answer is.
    Delay,
    /// A task takes `delay` milliseconds longer.
    SlowTask,
    /// A task ends `Failed`; with `executed` the service exists anyway.
    TaskFailed,
    /// A task ends `CompletedSuccess` with a message of level `Error`.
    CompletedWithError,
    /// A task ends with `word`; with `executed: false`, without a service.
    TaskWord,
    /// Get Task answers 404.
    TaskNotFound,
    /// A task's `outputData` lacks the guid.
    MissingGuid,
    /// A synchronization job ends `Failed` and refreshes nothing.
    JobFailed,
}

impl FaultKind {
    /// Whether the fault is decided when a task is accepted.
    pub fn concerns_task(self) -> bool {
        matches!(
            self,
            Self::SlowTask | Self::TaskFailed | Self::CompletedWithError | Self::TaskWord | Self::MissingGuid
        )
    }

    /// Whether the fault concerns a call and its answer.
    pub fn concerns_call(self) -> bool {
        !self.concerns_task() && self != Self::JobFailed
    }

    /// Whether the call is executed, unless the fault says otherwise.
    pub fn executes(self) -> bool {
        matches!(
            self,
            Self::EmptyOk
                | Self::Truncated
                | Self::BrokenJson
                | Self::HugeBody
                | Self::DeepNesting
                | Self::WrongTypes
                | Self::InvalidUtf8
                | Self::DropAfterExecution
                | Self::Delay
                | Self::TaskWord
                | Self::EmptyList
                | Self::RawValue
                | Self::StrangeEntry
                | Self::LeadLeaves
                | Self::LeadMoves
                | Self::CloseAfterAnswer
        )
    }
}

/// A fault, as requested at `POST /simulator/faults`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// The endpoint; none or `any` means every API call, which excludes the token endpoint.
    #[serde(default, deserialize_with = "endpoint_or_any")]
    pub endpoint: Option<Endpoint>,
    /// How often it happens; 0 means until cleared.
    #[serde(default = "one")]
    pub times: u64,
    /// Equivalent to `times: 0`.
    #[serde(default)]
    pub forever: bool,
    /// How many matching calls pass first.
    #[serde(default)]
    pub skip: u64,
    /// How likely it is at each matching call.
    #[serde(default = "certain")]
    pub probability: f64,
    /// Limits the fault to calls about this tenant.
    #[serde(default)]
    pub tenant_id: Option<String>,
    /// How many milliseconds longer the call or the task takes.
    #[serde(default)]
    pub delay: Option<u64>,
    /// Seconds, or a date, for the header `Retry-After`.
    #[serde(default)]
    pub retry_after: Option<serde_json::Value>,
    /// The text of the error. `{raw:ProxySet}` in it is replaced by the request's script parameter of that
    /// name; see `reflect.rs` for the forms.
    #[serde(default)]
    pub message: Option<String>,
    /// The word of `taskWord`; by default `CompletedWithErrors`.
    #[serde(default)]
    pub word: Option<String>,
    /// The name of the field for `rawValue` and `refused`, in any case.
    #[serde(default)]
    pub field: Option<String>,
    /// A text that only the selected entry has, such as its tenant; for `leadLeaves` and `leadMoves` the
    /// tenant.
    #[serde(default)]
    pub entry: Option<String>,
    /// The bytes to put into the answer unchanged: `1e400`, or `"Caf\\ud83d"`.
    #[serde(default)]
    pub raw: Option<String>,
    /// The bytes of `raw` in hexadecimal digits, for bytes that are not text.
    #[serde(default)]
    pub raw_hex: Option<String>,
    /// `Content-Type` of `answer`; by default JSON.
    #[serde(default)]
    pub content_type: Option<String>,
    /// HTTP status of `serverError`, `htmlOk` and `answer`.
    #[serde(default)]
    pub status: Option<u16>,
    /// Whether the call is executed before the fault; each kind has its own default.
    #[serde(default)]
    pub executed: Option<bool>,
}

fn one() -> u64 {
    1
}

fn certain() -> f64 {
    1.0
}

fn endpoint_or_any<'de, D: serde::Deserializer<'de>>(input: D) -> Result<Option<Endpoint>, D::Error> {
    let name = Option::<String>::deserialize(input)?;
    match name.as_deref() {
        None | Some("any") => Ok(None),
        Some(name) => serde_json::from_value(name.into())
            .map(Some)
            .map_err(serde::de::Error::custom),
    }
}

impl Fault {
    /// Whether the affected call is executed.
    pub fn executes(&self) -> bool {
        self.executed.unwrap_or(self.kind.executes())
    }

    /// Returns the bytes that replace a value in an answer.
    pub fn bytes(&self) -> Option<Vec<u8>> {
        let hex = self.raw_hex.as_ref().map(|digits| {
            let pairs = digits
                .as_bytes()
                .chunks(2)
                .filter_map(|pair| std::str::from_utf8(pair).ok());
            pairs
                .filter_map(|pair| u8::from_str_radix(pair, 16).ok())
                .collect()
        });
        hex.or_else(|| self.raw.as_ref().map(|raw| raw.clone().into_bytes()))
    }

    /// Returns how long the call waits before anything else, in milliseconds.
    pub fn wait(&self) -> u64 {
        if self.kind == FaultKind::CloseAfterAnswer {
            0
        } else {
            self.delay.unwrap_or(0)
        }
    }

    fn place(&self) -> Option<Endpoint> {
        self.endpoint.or(match self.kind {
            FaultKind::TokenRefused => Some(Endpoint::Token),
            FaultKind::TaskNotFound => Some(Endpoint::TasksGet),
            _ => None,
        })
    }

    fn matches(&self, endpoint: Endpoint, tenant: Option<&str>) -> bool {
        let here = match self.place() {
            Some(place) => place == endpoint,
            None => endpoint != Endpoint::Token,
        };
        let about = match &self.tenant_id {
            Some(wanted) => tenant.is_some_and(|tenant| tenant.eq_ignore_ascii_case(wanted)),
            None => true,
        };
        here && about
    }
}

/// The active faults, in the order of their requests.
#[derive(Debug, Default)]
pub struct Faults(Vec<Fault>);

impl Faults {
    /// Adds a fault.
    pub fn add(&mut self, mut fault: Fault) {
        if fault.forever {
            fault.times = 0;
        }
        fault.forever = fault.times == 0;
        self.0.push(fault);
    }

    /// Returns the faults that can still happen.
    pub fn active(&self) -> &[Fault] {
        &self.0
    }

    /// Removes all faults, or all of a kind. Returns how many were removed.
    pub fn clear(&mut self, kind: Option<FaultKind>) -> usize {
        let before = self.0.len();
        self.0.retain(|fault| kind.is_some_and(|kind| fault.kind != kind));
        before - self.0.len()
    }

    /// Returns the first wanted fault that hits this call, and uses it up by one.
    pub fn befall(
        &mut self,
        chance: &mut Chance,
        endpoint: Endpoint,
        tenant: Option<&str>,
        wanted: impl Fn(FaultKind) -> bool,
    ) -> Option<Fault> {
        let mut found = None;
        for (index, fault) in self.0.iter_mut().enumerate() {
            if !wanted(fault.kind) || !fault.matches(endpoint, tenant) {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            if chance.happens(fault.probability) {
                found = Some(index);
                break;
            }
        }
        let index = found?;
        let fault = self.0[index].clone();
        if fault.times == 1 {
            self.0.remove(index);
        } else if fault.times > 1 {
            self.0[index].times -= 1;
        }
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn faults(list: &[serde_json::Value]) -> Faults {
        let mut faults = Faults::default();
        for fault in list {
            faults.add(serde_json::from_value(fault.clone()).unwrap());
        }
        faults
    }

    fn run(faults: &mut Faults, endpoint: Endpoint, tenant: Option<&str>, calls: usize) -> Vec<bool> {
        let mut chance = Chance::new(7);
        (0..calls)
            .map(|_| faults.befall(&mut chance, endpoint, tenant, |_| true).is_some())
            .collect()
    }

    #[test]
    fn skip_and_times() {
        let mut set =
            faults(&[json!({"kind": "serverError", "endpoint": "leads.list", "skip": 1, "times": 2})]);
        assert_eq!(run(&mut set, Endpoint::LeadsGet, None, 2), [false, false]);
        assert_eq!(
            run(&mut set, Endpoint::LeadsList, None, 5),
            [false, true, true, false, false]
        );
        assert!(set.active().is_empty());
    }

    #[test]
    fn forever_until_cleared() {
        for spelling in [
            json!({"kind": "emptyOk", "times": 0}),
            json!({"kind": "emptyOk", "forever": true}),
        ] {
            let mut set = faults(&[spelling]);
            assert_eq!(run(&mut set, Endpoint::Other, None, 50), [true; 50]);
            assert_eq!(
                run(&mut set, Endpoint::Token, None, 1),
                [false],
                "any is not the token endpoint"
            );
            assert_eq!(set.clear(None), 1);
            assert_eq!(run(&mut set, Endpoint::Other, None, 1), [false]);
        }
    }

    #[test]
    fn tenant_and_probability() {
        let mut set = faults(&[json!({"kind": "emptyOk", "tenantId": "ABC", "forever": true})]);
        assert_eq!(run(&mut set, Endpoint::LeadsGet, Some("abc"), 1), [true]);
        assert_eq!(run(&mut set, Endpoint::LeadsGet, Some("abd"), 1), [false]);
        assert_eq!(run(&mut set, Endpoint::LeadsGet, None, 1), [false]);
        let mut set = faults(&[json!({"kind": "emptyOk", "probability": 0.25, "forever": true})]);
        let hits = run(&mut set, Endpoint::LeadsGet, None, 4_000)
            .into_iter()
            .filter(|hit| *hit)
            .count();
        assert!((850..1_150).contains(&hits), "{hits}");
    }
}
