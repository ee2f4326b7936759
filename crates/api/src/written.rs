//! How times are written, as [`Time`] writes itself.
//!
//! `k8s-openapi` makes a string for each time, by a format that it interprets each time. A status has ten times, and
//! the operator writes each status several times: to compare it, to send it, and to keep it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use k8s_openapi::jiff::tz::Offset;
use serde::{Serialize, Serializer};

/// A time that is written without a string of its own.
struct TimeText<'a>(&'a Time);

impl Serialize for TimeText<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = Offset::UTC.to_datetime(self.0.0);
        let Some(year) = u16::try_from(at.year()).ok().filter(|year| *year <= 9999) else {
            return self.0.serialize(serializer);
        };
        let [month, day, hour, minute, second] =
            [at.month(), at.day(), at.hour(), at.minute(), at.second()].map(i8::unsigned_abs);
        let mut text = *b"0000-00-00T00:00:00Z";
        for (places, value) in [
            (0..4, year),
            (5..7, month.into()),
            (8..10, day.into()),
            (11..13, hour.into()),
            (14..16, minute.into()),
            (17..19, second.into()),
        ] {
            let mut rest = value;
            for place in text.get_mut(places).into_iter().flatten().rev() {
                *place += u8::try_from(rest % 10).unwrap_or_default();
                rest /= 10;
            }
        }
        // They are digits.
        serializer.serialize_str(std::str::from_utf8(&text).unwrap_or_default())
    }
}

/// Writes an optional time.
pub(crate) fn time<S: Serializer>(time: &Option<Time>, serializer: S) -> Result<S::Ok, S::Error> {
    time.as_ref().map(TimeText).serialize(serializer)
}

/// Writes a time.
pub(crate) fn required_time<S: Serializer>(time: &Time, serializer: S) -> Result<S::Ok, S::Error> {
    TimeText(time).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
    use k8s_openapi::jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::condition::Condition;

    /// A time of any year that a text can have, with parts of a second.
    fn times() -> impl Strategy<Value = Time> {
        let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        (first..=last, 0..1_000_000_000_i32)
            .prop_filter_map("a time", |(second, part)| Timestamp::new(second, part).ok())
            .prop_map(Time)
    }

    fn ours(of: &meta::Condition) -> Condition {
        Condition {
            last_transition_time: of.last_transition_time.clone(),
            message: of.message.as_str().into(),
            observed_generation: of.observed_generation,
            reason: of.reason.as_str().into(),
            status: of.status.as_str().into(),
            type_: of.type_.as_str().into(),
        }
    }

    #[derive(Serialize)]
    struct Holder<'a> {
        #[serde(serialize_with = "time")]
        time: Option<Time>,
        conditions: &'a [Condition],
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn times_and_conditions_are_written_and_read_as_those_of_k8s_openapi(
            time in proptest::option::of(times()),
            parts in proptest::collection::vec((times(), any::<String>(), any::<Option<i64>>()), 0..4),
        ) {
            let theirs: Vec<meta::Condition> = parts.into_iter().map(|(time, text, generation)| meta::Condition {
                last_transition_time: time,
                message: text.clone(),
                observed_generation: generation,
                reason: format!("r{text}"),
                status: format!("s{text}"),
                type_: format!("t{text}"),
            }).collect();
            let expected = serde_json::to_string(&theirs).unwrap();
            let conditions: Vec<Condition> = theirs.iter().map(ours).collect();
            // Not every time that can be written can be read.
            let read = serde_json::from_str::<Vec<Condition>>(&expected).ok();
            let theirs_read = serde_json::from_str::<Vec<meta::Condition>>(&expected).ok();
            prop_assert_eq!(read, theirs_read.map(|all| all.iter().map(ours).collect()));
            let written = serde_json::to_string(&Holder { time: time.clone(), conditions: &conditions }).unwrap();
            let expected = format!("{{\"time\":{},\"conditions\":{expected}}}", serde_json::to_string(&time).unwrap());
            prop_assert_eq!(written, expected);
        }
    }
}
