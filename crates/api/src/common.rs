//! What more than one kind has.

use std::fmt;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::schema;
use super::words::{OperationKind, Outcome, SyncState};

/// A key of a Secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SecretKeyRef {
    /// Namespace of the Secret.
    #[schemars(schema_with = "schema::namespace")]
    pub namespace: String,
    /// Name of the Secret.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// Key in the Secret's data.
    #[schemars(schema_with = "schema::data_key")]
    pub key: String,
}

/// A key of a ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapKeyRef {
    /// Namespace of the ConfigMap.
    #[schemars(schema_with = "schema::namespace")]
    pub namespace: String,
    /// Name of the ConfigMap.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
    /// Key in the ConfigMap's data.
    #[schemars(schema_with = "schema::data_key")]
    pub key: String,
}

/// An object in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Name of the object.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// An object in some namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectRef {
    /// Namespace of the object.
    #[schemars(length(max = 63))]
    pub namespace: String,
    /// Name of the object.
    #[schemars(length(max = 253))]
    pub name: String,
}

/// What becomes of the thing on the platform when the object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It is deleted too.
    Delete,
}

/// Where a lead comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LeadOrigin {
    /// The customer chose the operator in the Teams admin center.
    Consented,
    /// The operator entered the customer on the platform.
    Consentless,
}

impl LeadOrigin {
    /// The word, as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consented => "Consented",
            Self::Consentless => "Consentless",
        }
    }
}

/// A span of time as people write it: `10m`, `1h30m`, `500ms`. Keeps the text, so that writing an object back changes nothing.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Interval {
    text: String,
    span: Duration,
}

impl Interval {
    /// Parses numbers with the units `h`, `m`, `s` and `ms`.
    ///
    /// # Errors
    /// When the text has another form, or says more than can be counted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let bad = || format!("{text:?} is not a duration such as 1h30m");
        let mut span = Duration::ZERO;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
            let after = &rest[digits..];
            let unit = after
                .find(|c: char| c.is_ascii_digit())
                .map_or(after, |end| &after[..end]);
            let milliseconds: u64 = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                _ => return Err(bad()),
            };
            let part = number
                .checked_mul(milliseconds)
                .map(Duration::from_millis)
                .ok_or_else(bad)?;
            span = span.checked_add(part).ok_or_else(bad)?;
            rest = &after[unit.len()..];
        }
        if text.is_empty() {
            Err(bad())
        } else {
            Ok(Self {
                text: text.to_owned(),
                span,
            })
        }
    }

    /// So many seconds.
    pub fn seconds(seconds: u64) -> Self {
        Self {
            text: format!("{seconds}s"),
            span: Duration::from_secs(seconds),
        }
    }

    /// So many minutes.
    pub fn minutes(minutes: u64) -> Self {
        Self {
            text: format!("{minutes}m"),
            span: Duration::from_secs(minutes * 60),
        }
    }

    /// So many hours.
    pub fn hours(hours: u64) -> Self {
        Self {
            text: format!("{hours}h"),
            span: Duration::from_secs(hours * 3_600),
        }
    }

    /// The span itself.
    pub fn span(&self) -> Duration {
        self.span
    }
}

impl From<Interval> for Duration {
    fn from(interval: Interval) -> Self {
        interval.span
    }
}

impl fmt::Display for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Interval {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Interval {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Interval {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// One change at the platform: the one in flight, or how the last one ended.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// What was asked for: Create or Delete.
    pub kind: OperationKind,
    /// The operator's own id of this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub id: Option<String>,
    /// When it was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_time: Option<Time>,
    /// The platform's id of the task that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub task_id: Option<String>,
    /// The task's status, in the platform's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub task_status: Option<String>,
    /// When the task was first seen to have ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_ended_time: Option<Time>,
    /// How many seconds passed until the service was read back. Absent unless the operator watched all the time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub duration_seconds: Option<i64>,
    /// How it ended: Succeeded, Failed, Refused or Unknown. Absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The id of the operation that ended so. An outcome of another operation does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub outcome_of: Option<String>,
    /// When its end was seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_time: Option<Time>,
    /// The generation of the object for which it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The reason of a refusal, as in the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<String>,
    /// What the platform said about it, in its own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 1024)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub messages: Vec<String>,
}

/// One synchronization job of the platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// Name of the job, such as peering.sync-leads-job.
    #[schemars(length(max = 100))]
    pub name: String,
    /// How far it is: NotDue, Due, Requested, Synced or Unknown.
    pub state: SyncState,
    /// Since when it has been due.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub due_time: Option<Time>,
    /// When it was last asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_time: Option<Time>,
    /// When its effect was last seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_time: Option<Time>,
}

/// The platform that is meant when none is named.
pub const DEFAULT_PLATFORM: &str = "default";

/// For `serde(default)` of the platform's name.
pub(super) fn default_platform() -> String {
    DEFAULT_PLATFORM.to_owned()
}

#[cfg(test)]
mod tests {
    use super::Interval;
    use std::time::Duration;

    #[test]
    fn intervals_parse_as_written() {
        for (text, milliseconds) in [
            ("10m", 600_000),
            ("1h30m", 5_400_000),
            ("500ms", 500),
            ("1m500ms", 60_500),
            ("0s", 0),
        ] {
            let interval = Interval::parse(text).unwrap();
            assert_eq!(interval.span(), Duration::from_millis(milliseconds), "{text}");
            assert_eq!(interval.to_string(), text);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in [
            "",
            "10",
            "m",
            "1d",
            "-1m",
            "1.5h",
            "1 m",
            "99999999999999999999h",
            "9999999999999999999h",
        ] {
            assert!(Interval::parse(text).is_err(), "{text}");
        }
    }
}
