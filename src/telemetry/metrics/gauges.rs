//! Gauges: a snapshot in text, under the names of the catalogue.

use std::fmt::Error;

use oc_domain::record::Job;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use crate::controllers::Kind;
use crate::controllers::snapshot::{Platform, Snapshot};
use crate::runtime::workqueue::Priority;
use crate::telemetry::metrics::catalogue::{self, Described, Type};

/// The gauges of one snapshot.
#[derive(Debug)]
pub(crate) struct Gauges(pub(crate) Snapshot);

/// Writes one metric: its labels, named as in the catalogue, and its series.
pub(crate) fn put<'a, const N: usize>(
    encoder: &mut DescriptorEncoder<'_>,
    described: &Described,
    series: impl IntoIterator<Item = ([&'a str; N], f64)>,
) -> Result<(), Error> {
    let (kind, unit) = (
        if described.kind == Type::Counter {
            MetricType::Counter
        } else {
            MetricType::Gauge
        },
        described.typed_unit(),
    );
    // The registry adds the full stop itself; here it must be added.
    let help = format!("{}.", described.help);
    let mut metric = encoder.encode_descriptor(described.stem(), &help, unit.as_ref(), kind)?;
    for (values, value) in series {
        debug_assert_eq!(described.labels.len(), N, "{}", described.name);
        let labels: Vec<(&str, &str)> = described.labels.iter().copied().zip(values).collect();
        let mut one = metric.encode_family(&labels)?;
        match described.kind {
            Type::Counter => one.encode_counter::<NoLabelSet, _, f64>(&value, None)?,
            Type::Gauge | Type::Histogram => one.encode_gauge(&value)?,
        }
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "nobody counts to 2 to the 53rd")]
fn count(number: u64) -> f64 {
    number as f64
}

fn size(number: usize) -> f64 {
    count(number as u64)
}

fn truth(so: bool) -> f64 {
    f64::from(u8::from(so))
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        self.queue(&mut encoder)?;
        self.platforms(&mut encoder)?;
        self.inventory(&mut encoder)?;
        self.objects(&mut encoder)?;
        self.watches(&mut encoder)?;
        put(&mut encoder, &catalogue::LEADER, [([], truth(self.0.leads))])?;
        let dropped = count(self.0.events_dropped);
        put(&mut encoder, &catalogue::EVENTS_DROPPED, [([], dropped)])?;
        let omitted = count(self.0.events_omitted);
        put(&mut encoder, &catalogue::EVENTS_OMITTED, [([], omitted)])?;
        let build = [
            env!("CARGO_PKG_VERSION"),
            option_env!("OPERATORCONNECT_REVISION").unwrap_or("unknown"),
        ];
        put(&mut encoder, &catalogue::BUILD, [(build, 1.0)])
    }
}

impl Gauges {
    fn queue(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let queue = &self.0.queue;
        let priorities = || {
            Priority::ALL
                .map(Priority::label)
                .into_iter()
                .zip(queue.priorities)
        };
        put(
            encoder,
            &catalogue::QUEUE_READY,
            priorities().map(|(priority, load)| ([priority], size(load.ready))),
        )?;
        put(
            encoder,
            &catalogue::QUEUE_OLDEST,
            priorities().map(|(priority, load)| ([priority], load.oldest.as_secs_f64())),
        )?;
        put(
            encoder,
            &catalogue::QUEUE_APPOINTED,
            [([], size(queue.appointed))],
        )?;
        put(encoder, &catalogue::QUEUE_RUNNING, [([], size(queue.running))])
    }

    /// Writes one series for each platform with a value.
    fn each(
        &self,
        encoder: &mut DescriptorEncoder<'_>,
        described: &Described,
        value: impl Fn(&Platform) -> Option<f64>,
    ) -> Result<(), Error> {
        put(
            encoder,
            described,
            self.0
                .platforms
                .iter()
                .filter_map(|(name, platform)| Some(([name.as_str()], value(platform)?))),
        )
    }

    fn platforms(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        self.each(encoder, &catalogue::BUDGET_WAITING, |platform| {
            Some(size(platform.budget?.waiting))
        })?;
        self.each(encoder, &catalogue::IN_FLIGHT, |platform| {
            Some(size(platform.budget?.in_flight))
        })?;
        self.each(encoder, &catalogue::LIMIT, |platform| {
            Some(f64::from(platform.budget?.per_second))
        })?;
        self.each(encoder, &catalogue::CIRCUIT_OPEN, |platform| {
            Some(truth(platform.budget?.open))
        })?;
        self.each(encoder, &catalogue::OBSERVE_INTERVAL, |platform| {
            Some(platform.observe_interval.as_secs_f64())
        })?;
        self.each(encoder, &catalogue::DELETIONS_HELD, |platform| {
            Some(count(platform.deletions_held))
        })?;
        self.each(encoder, &catalogue::ABSENCES_HELD, |platform| {
            Some(count(platform.absences_held))
        })?;
        self.each(encoder, &catalogue::UNDISCOVERED_LEADS, |platform| {
            Some(count(platform.undiscovered))
        })?;
        self.each(encoder, &catalogue::ONBOARDED_SERVICES, |platform| {
            Some(count(platform.onboarded))
        })?;
        self.each(encoder, &catalogue::WAITING_LEADS, |platform| {
            Some(count(platform.waiting))
        })?;
        self.each(encoder, &catalogue::REFUSED_LEADS, |platform| {
            Some(count(platform.refused))
        })?;
        let jobs = self.0.platforms.iter().flat_map(|(name, platform)| {
            let due = Job::ALL.map(Job::name).into_iter().zip(platform.jobs_due);
            due.map(move |(job, due)| ([name.as_str(), job], count(due)))
        });
        put(encoder, &catalogue::SYNC_JOBS_DUE, jobs)
    }

    fn inventory(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let lists = || {
            self.0.platforms.iter().flat_map(|(name, platform)| {
                let known = [("leads", platform.leads), ("services", platform.services)];
                known
                    .into_iter()
                    .filter_map(move |(list, known)| Some(([name.as_str(), list], known?)))
            })
        };
        put(
            encoder,
            &catalogue::INVENTORY_AGE,
            lists().map(|(labels, list)| (labels, list.age.as_secs_f64())),
        )?;
        put(
            encoder,
            &catalogue::INVENTORY_ENTRIES,
            lists().map(|(labels, list)| (labels, count(list.entries))),
        )?;
        let licenses = self.0.platforms.iter().flat_map(|(name, platform)| {
            platform
                .licenses
                .iter()
                .map(move |(license, number)| ([name.as_str(), license.as_str()], count(*number)))
        });
        put(encoder, &catalogue::LICENSES, licenses)
    }

    fn objects(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let objects = self.0.objects.iter().map(|((kind, ready, reason), number)| {
            ([kind.as_str(), *ready, reason.as_str()], count(*number))
        });
        put(encoder, &catalogue::OBJECTS, objects)?;
        let kinds = [Kind::Lead.as_str(), Kind::OcEssentialService.as_str()];
        for (many, oldest, open) in [
            (catalogue::OPEN_INTENTS, catalogue::OLDEST_INTENT, self.0.intents),
            (catalogue::OPEN_TASKS, catalogue::OLDEST_TASK, self.0.tasks),
        ] {
            let open = || kinds.into_iter().zip(open);
            put(
                encoder,
                &many,
                open().map(|(kind, open)| ([kind], count(open.count))),
            )?;
            put(
                encoder,
                &oldest,
                open().map(|(kind, open)| ([kind], open.oldest.as_secs_f64())),
            )?;
        }
        Ok(())
    }

    /// Several watches of one kind, each for another namespace, are combined: their failures are added, and
    /// the one silent for longest counts.
    fn watches(&self, encoder: &mut DescriptorEncoder<'_>) -> Result<(), Error> {
        let of = |kind: Kind| {
            self.0
                .watches
                .iter()
                .filter(move |(of, _)| *of == kind)
                .map(|(_, seen)| seen)
        };
        let failures = Kind::ALL
            .into_iter()
            .map(|kind| ([kind.as_str()], count(of(kind).map(|seen| seen.failures).sum())));
        put(encoder, &catalogue::WATCH_FAILURES, failures)?;
        let idle = Kind::ALL.into_iter().filter_map(|kind| {
            Some((
                [kind.as_str()],
                of(kind).map(|seen| seen.silent).max()?.as_secs_f64(),
            ))
        });
        put(encoder, &catalogue::WATCH_IDLE, idle)?;
        let refused = Kind::ALL.into_iter().map(|kind| {
            (
                [kind.as_str()],
                size(of(kind).filter(|seen| seen.refused.is_some()).count()),
            )
        });
        put(encoder, &catalogue::WATCHES_REFUSED, refused)?;
        let unreadable = Kind::ALL
            .into_iter()
            .zip(self.0.unreadable)
            .map(|(kind, number)| ([kind.as_str()], size(number)));
        put(encoder, &catalogue::UNREADABLE, unreadable)
    }
}
