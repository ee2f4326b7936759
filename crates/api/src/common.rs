//! Types that several kinds share.

use std::fmt;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::SmolStr;

use super::schema;
use super::words::{OperationKind, Outcome, SyncState};

/// A reference to a key of a Secret.
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

/// A reference to a key of a ConfigMap.
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

/// A reference to an object in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LocalRef {
    /// Name of the object.
    #[schemars(schema_with = "schema::object_name")]
    pub name: String,
}

/// A reference to an object in a given namespace.
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

/// What happens on the platform when the object is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// The service or lead stays on the platform.
    #[default]
    Retain,
    /// The service or lead is deleted from the platform too.
    Delete,
}

/// How a lead came to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum LeadOrigin {
    /// The customer chose the service provider in the Teams admin center.
    Consented,
    /// The service provider entered the customer on the platform.
    Consentless,
}

impl LeadOrigin {
    /// Returns the value as it is written in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consented => "Consented",
            Self::Consentless => "Consentless",
        }
    }
}

/// A duration as people write it: `10m`, `1h30m`, `500ms`. Keeps the original text, so that writing an object
/// back does not change it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Interval {
    text: String,
    span: Duration,
}

impl Interval {
    /// Parses numbers with the units `h`, `m`, `s` and `ms`.
    ///
    /// # Errors
    /// Returns an error when the text has another form or the value overflows.
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

    /// An interval of whole seconds.
    pub fn seconds(seconds: u64) -> Self {
        Self {
            text: format!("{seconds}s"),
            span: Duration::from_secs(seconds),
        }
    }

    /// An interval of whole minutes.
    pub fn minutes(minutes: u64) -> Self {
        Self {
            text: format!("{minutes}m"),
            span: Duration::from_secs(minutes * 60),
        }
    }

    /// An interval of whole hours.
    pub fn hours(hours: u64) -> Self {
        Self {
            text: format!("{hours}h"),
            span: Duration::from_secs(hours * 3_600),
        }
    }

    /// Returns the interval as a [`Duration`].
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

/// One change at the platform: the one in progress, or the outcome of the last one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct Operation {
    /// What was requested: Create or Delete.
    pub kind: OperationKind,
    /// The operator's own id of this operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub id: Option<SmolStr>,
    /// When the operation started.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub started_time: Option<Time>,
    /// The platform's id of the task that performs the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub task_id: Option<SmolStr>,
    /// The task's status, in the platform's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub task_status: Option<SmolStr>,
    /// When the operator first saw that the task had ended.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub task_ended_time: Option<Time>,
    /// Seconds from the start until the service was read back. Absent unless the operator watched the whole
    /// time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub duration_seconds: Option<i64>,
    /// How the operation ended: Succeeded, Failed, Refused or Unknown. Absent while it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The id of the operation that the outcome belongs to. If it differs from id, the outcome is ignored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 100))]
    pub outcome_of: Option<SmolStr>,
    /// When the operator saw the end of the operation.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub completed_time: Option<Time>,
    /// The metadata.generation of the object for which the operation was requested.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<i64>,
    /// The reason for a refusal, as in the conditions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub reason: Option<SmolStr>,
    /// What the platform said about the operation, in its own words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20), inner(length(max = 1024)))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub messages: Vec<SmolStr>,
}

/// The state of one synchronization job of the platform.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// Name of the job, such as peering.sync-leads-job.
    #[schemars(length(max = 100))]
    pub name: SmolStr,
    /// State of the job: NotDue, Due, Requested, Synced or Unknown.
    pub state: SyncState,
    /// Since when the job has been due.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub due_time: Option<Time>,
    /// When the job was last requested.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub requested_time: Option<Time>,
    /// When the effect of the job was last seen.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "crate::written::time"
    )]
    pub completed_time: Option<Time>,
}

/// The platform to use when the spec names none.
pub const DEFAULT_PLATFORM: &str = "default";

/// Default of the platform's name, for `serde(default)`.
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
