//! The circuit of a platform: whether calls to it are held back, and until when.

use std::time::Duration;

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::time::Time;

/// How many calls in a row may fail because the platform is unavailable before the circuit opens.
const FAILURES_TO_OPEN: u32 = 3;

/// How soon a probe goes after a call in flight has shown that the platform still answers some calls.
const PROBE_SOON: Duration = Duration::from_secs(1);

/// The longest time the circuit stays open, whatever the platform asks for. Otherwise a `Retry-After` of a
/// day would stop all calls for a day, even if the platform recovered sooner, unless somebody requested a
/// reconciliation.
pub const MOST_REST: Duration = Duration::from_secs(15 * 60);

/// Whether calls to a platform are held back, and until when. A plain value; callers pass the time in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Circuit {
    failures: u32,
    open: Option<OpenCircuit>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct OpenCircuit {
    until: Time,
    trouble: Trouble,
    probing: bool,
}

impl Circuit {
    /// Requests permission for a call. Returns whether it is the probe: when the pause is over, one call is
    /// let through to find out whether the platform is back.
    ///
    /// # Errors
    /// The trouble for which the circuit is open.
    pub fn enter(&mut self, now: Time) -> Result<bool, Trouble> {
        match self.open.as_mut() {
            None => Ok(false),
            Some(open) if now >= open.until && !open.probing => {
                open.probing = true;
                Ok(true)
            }
            Some(open) => {
                let wait = open.until.since(now).max(Duration::from_millis(500));
                Err(Trouble {
                    retry_after: Some(wait),
                    ..open.trouble.clone()
                })
            }
        }
    }

    /// Reports the result of a call. Returns whether the circuit closed because of it.
    pub fn report(&mut self, now: Time, trouble: Option<&Trouble>) -> bool {
        let Some(trouble) = trouble else {
            if let Some(open) = self.open.as_mut().filter(|open| now < open.until) {
                // A call that was in flight when the circuit opened does not close it. All who wait would be
                // woken and call at once; if some of their calls fail again, the circuit would open and close
                // many times a second, with a longer pause each time. But the platform answers: unless it asked
                // for the pause, a probe goes soon, and the pauses start over.
                if open.trouble.reason == Reason::PlatformUnavailable && open.trouble.retry_after.is_none() {
                    open.until = open.until.min(now + PROBE_SOON);
                    self.failures = 0;
                }
                return false;
            }
            // One success does not prove that all other calls work, so the success that closes the circuit
            // keeps the failure count, and with it the length of the next pause. The next success resets it.
            let back = self.open.take().is_some();
            self.failures = if back { self.failures } else { 0 };
            return back;
        };
        // Calls in flight when the circuit opened fail too. They count as one failure; otherwise one second
        // of outage would cost half a minute.
        if let Some(open) = self.open.as_mut().filter(|open| now < open.until) {
            open.until = open.until.max(
                trouble
                    .retry_after
                    .map_or(now, |pause| now + pause.min(MOST_REST)),
            );
            return false;
        }
        self.failures = self.failures.saturating_add(1);
        let at_once = matches!(trouble.reason, Reason::AuthenticationFailed | Reason::Throttled);
        if at_once || self.failures >= FAILURES_TO_OPEN || self.open.is_some() {
            // For a rejected credential the pause grows longer: only a person can fix it, and a directory may
            // lock out a client that retries too often.
            let most = if trouble.reason == Reason::AuthenticationFailed {
                8
            } else {
                5
            };
            let doubled = Duration::from_secs(1 << self.failures.min(most));
            let pause = trouble.retry_after.unwrap_or(doubled).min(MOST_REST);
            self.open = Some(OpenCircuit {
                until: now + pause,
                trouble: trouble.clone(),
                probing: false,
            });
        }
        false
    }

    /// The probe was not made or not completed: another call may become the probe.
    pub fn abandon(&mut self) {
        if let Some(open) = self.open.as_mut() {
            open.probing = false;
        }
    }

    /// Lets the next probe go at once, because somebody requested a reconciliation. It is one call; the
    /// circuit opens again if the platform still fails.
    pub fn probe_now(&mut self, now: Time) {
        if let Some(open) = self.open.as_mut() {
            open.until = open.until.min(now);
        }
    }

    /// Returns why the circuit is open.
    pub fn why_open(&self) -> Option<&Trouble> {
        self.open.as_ref().map(|open| &open.trouble)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(reason: Reason) -> Trouble {
        Trouble::new(reason, "x")
    }

    #[test]
    fn a_refused_credential_opens_at_once_and_one_probe_is_let_through() {
        let mut circuit = Circuit::default();
        circuit.report(Time(0), Some(&trouble(Reason::AuthenticationFailed)));
        assert_eq!(
            circuit.enter(Time(100)).map_err(|trouble| trouble.reason),
            Err(Reason::AuthenticationFailed)
        );
        assert!(circuit.enter(Time(60_000)).is_ok(), "the probe");
        assert!(circuit.enter(Time(60_000)).is_err(), "one probe, not two");
        assert!(circuit.report(Time(60_100), None), "the platform is back");
        assert!(circuit.enter(Time(60_100)).is_ok());
        assert!(!circuit.report(Time(60_200), None), "it was not away");
    }

    #[test]
    fn a_failing_platform_is_left_alone_after_three_failures_and_a_success_starts_the_count_anew() {
        let mut circuit = Circuit::default();
        for _ in 0..2 {
            circuit.report(Time(0), Some(&trouble(Reason::PlatformUnavailable)));
        }
        assert!(circuit.enter(Time(1)).is_ok());
        circuit.report(Time(1), None);
        for _ in 0..2 {
            circuit.report(Time(2), Some(&trouble(Reason::PlatformUnavailable)));
        }
        assert!(circuit.enter(Time(3)).is_ok());
        circuit.report(Time(3), Some(&trouble(Reason::PlatformUnavailable)));
        assert!(circuit.enter(Time(4)).is_err());
    }

    #[test]
    fn retry_after_is_obeyed_to_the_second() {
        let mut circuit = Circuit::default();
        circuit.report(
            Time(0),
            Some(&Trouble {
                retry_after: Some(Duration::from_secs(90)),
                ..trouble(Reason::Throttled)
            }),
        );
        let left = circuit.enter(Time(30_000)).map_err(|trouble| trouble.retry_after);
        assert_eq!(left, Err(Some(Duration::from_secs(60))));
        assert!(circuit.enter(Time(89_999)).is_err());
        assert!(circuit.enter(Time(90_000)).is_ok());
    }

    #[test]
    fn a_refused_credential_is_probed_ever_more_rarely_unless_somebody_asks() {
        let mut circuit = Circuit::default();
        let mut now = Time(0);
        let mut probes = 0;
        while now < Time(3_600_000) {
            if circuit.enter(now).is_ok() {
                probes += 1;
                circuit.report(now, Some(&trouble(Reason::AuthenticationFailed)));
            }
            now = now + Duration::from_millis(500);
        }
        assert!((10..25).contains(&probes), "{probes} probes in an hour");
        assert!(circuit.enter(now).is_err());
        circuit.probe_now(now);
        assert!(
            circuit.enter(now).is_ok() && circuit.enter(now).is_err(),
            "one, at once"
        );
    }

    #[test]
    fn a_platform_that_asks_for_a_day_is_left_alone_for_a_quarter_of_an_hour_and_a_look_ends_it_by_one_call()
    {
        let day = Trouble {
            retry_after: Some(Duration::from_secs(86_400)),
            ..trouble(Reason::Throttled)
        };
        let quarter = Time(900_000);
        let mut circuit = Circuit::default();
        circuit.report(Time(0), Some(&day));
        circuit.report(Time(5), Some(&day));
        assert_eq!(
            circuit.enter(Time(5)).map_err(|trouble| trouble.retry_after),
            Err(Some(MOST_REST)),
            "objects are told no more than that either"
        );
        assert!(circuit.enter(quarter).is_err() && circuit.enter(quarter + Duration::from_millis(5)).is_ok());
        for reason in [Reason::Throttled, Reason::PlatformUnavailable] {
            let mut circuit = Circuit::default();
            for _ in 0..3 {
                circuit.report(
                    Time(0),
                    Some(&Trouble {
                        reason,
                        ..day.clone()
                    }),
                );
            }
            circuit.probe_now(Time(1000));
            assert!(
                circuit.enter(Time(1000)).is_ok() && circuit.enter(Time(1000)).is_err(),
                "{reason}: one, at once"
            );
            circuit.report(
                Time(1001),
                Some(&Trouble {
                    reason,
                    ..day.clone()
                }),
            );
            assert!(circuit.enter(Time(1002)).is_err(), "{reason}: it still says so");
            circuit.probe_now(Time(2000));
            assert!(
                circuit.enter(Time(2000)).is_ok() && circuit.report(Time(2001), None),
                "{reason}: it does not say so any more"
            );
        }
    }

    #[test]
    fn one_success_between_refusals_does_not_start_the_pauses_anew() {
        let mut circuit = Circuit::default();
        for probe in 0..5 {
            circuit.report(
                Time(probe * 100_000 - 500_000),
                Some(&trouble(Reason::AuthenticationFailed)),
            );
        }
        assert!(circuit.enter(Time(60_000)).is_ok());
        assert!(circuit.report(Time(60_000), None), "another call goes through");
        circuit.report(Time(60_001), Some(&trouble(Reason::AuthenticationFailed)));
        assert!(circuit.enter(Time(120_000)).is_err(), "64 s, not 2");
        assert!(circuit.enter(Time(125_000)).is_ok());
    }

    #[test]
    fn calls_that_were_under_way_when_it_began_are_one_failure_and_no_reason_to_go_on() {
        let mut circuit = Circuit::default();
        for _ in 0..11 {
            circuit.report(Time(0), Some(&trouble(Reason::PlatformUnavailable)));
        }
        assert!(circuit.enter(Time(7_999)).is_err());
        assert!(
            circuit.enter(Time(8_000)).is_ok(),
            "three failures, and not eleven"
        );
        let mut circuit = Circuit::default();
        let asks = |seconds| Trouble {
            retry_after: Some(Duration::from_secs(seconds)),
            ..trouble(Reason::Throttled)
        };
        circuit.report(Time(0), Some(&asks(6)));
        assert!(!circuit.report(Time(50), None), "it was on its way before");
        assert!(circuit.enter(Time(5_999)).is_err());
        circuit.report(Time(100), Some(&asks(8)));
        assert!(circuit.enter(Time(8_099)).is_err(), "the longer of two");
        assert!(circuit.enter(Time(8_100)).is_ok());
    }

    /// Half of the answers are broken, and hundreds of calls end within the same second.
    #[test]
    fn calls_in_flight_that_end_well_and_badly_open_the_circuit_once_and_make_no_pause_longer() {
        let mut circuit = Circuit::default();
        let (mut opened, mut back) = (0, 0);
        for call in 0..500 {
            let unavailable = trouble(Reason::PlatformUnavailable);
            let closed = circuit.why_open().is_none();
            back += u32::from(circuit.report(Time(call), (call % 5 != 4).then_some(&unavailable)));
            opened += u32::from(closed && circuit.why_open().is_some());
        }
        assert_eq!((opened, back), (1, 0), "nobody is woken");
        assert!(circuit.enter(Time(1003)).is_err());
        assert!(
            circuit.enter(Time(1004)).is_ok(),
            "a second after the first that ended well"
        );
        circuit.report(Time(1005), Some(&trouble(Reason::PlatformUnavailable)));
        assert!(circuit.enter(Time(3004)).is_err() && circuit.enter(Time(3005)).is_ok());
        assert!(circuit.report(Time(3006), None), "the probe closes it");
        circuit.report(Time(3007), Some(&trouble(Reason::PlatformUnavailable)));
        let asks = Trouble {
            retry_after: Some(Duration::from_secs(20)),
            ..trouble(Reason::PlatformUnavailable)
        };
        circuit.report(Time(3008), Some(&asks));
        circuit.report(Time(3009), Some(&asks));
        circuit.report(Time(3010), None);
        assert!(
            circuit.enter(Time(23_008)).is_err() && circuit.enter(Time(23_009)).is_ok(),
            "what the platform asked for stays"
        );
    }

    #[test]
    fn a_probe_that_was_not_made_leaves_room_for_another() {
        let mut circuit = Circuit::default();
        circuit.report(Time(0), Some(&trouble(Reason::Throttled)));
        assert!(circuit.enter(Time(60_000)).is_ok());
        circuit.abandon();
        assert!(circuit.enter(Time(60_000)).is_ok());
    }

    /// Each of a thousand objects retries when it was told to. The platform sees a probe now and then,
    /// whatever their number. The hour passes on the clock that the circuit is given.
    #[test]
    fn an_hour_of_outage_costs_a_probe_each_half_minute_however_many_objects_wait() {
        let calls = |objects: u32| {
            let (mut circuit, mut calls) = (Circuit::default(), 0);
            let mut agenda: std::collections::BTreeSet<(Time, u32)> = (0..objects)
                .map(|object| (Time(i64::from(object)), object))
                .collect();
            let mut failures = vec![0; objects as usize];
            while let Some((now, object)) = agenda.pop_first().filter(|(now, _)| *now < Time(3_600_000)) {
                let told = circuit.enter(now).err().unwrap_or_else(|| {
                    calls += 1;
                    circuit.report(now, Some(&trouble(Reason::PlatformUnavailable)));
                    trouble(Reason::PlatformUnavailable)
                });
                let tried = &mut failures[object as usize];
                *tried += 1;
                agenda.insert((oc_domain::timing::next_try(now, *tried, told.retry_after), object));
            }
            assert!(
                circuit.enter(Time(4_000_000)).is_ok() && circuit.report(Time(4_000_100), None),
                "one probe finds it back, and says so to all"
            );
            calls
        };
        for objects in [10, 1000] {
            let calls = calls(objects);
            assert!(
                (100..=120).contains(&calls),
                "{calls} calls for {objects} objects: after the first few one each 32 s"
            );
        }
    }
}
