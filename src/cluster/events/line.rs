//! The line of events that wait to be written, without any I/O.
//!
//! What waits is a small description; the object that the API server gets is made when its turn comes. The
//! first event of a service is held for some seconds: when the service becomes Ready in one go, one event
//! reports it all. What status tells as well has a rate: of a thousand services that become Ready at once, the
//! API server gets the events of some, and the statuses of all.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::HashMap;
use oc_domain::events::{EventMessage, combined, may_be_combined};
use oc_domain::time::Time;

use crate::cluster::key::ObjectKey;

/// How many bytes of events may wait: the histories of several thousand customers that arrive in the same
/// minute. Beyond that, events are dropped.
const MOST_BYTES: usize = 2 << 20;

/// How long an event waits for another that it can be combined with.
pub const HELD: Duration = Duration::from_secs(30);

/// The object that an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The object.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: Option<Box<str>>,
}

/// Events of one object, to be written in this order.
#[derive(Debug, PartialEq, Eq)]
pub struct PendingEvents {
    /// The object.
    pub about: Subject,
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub messages: Vec<EventMessage>,
}

impl PendingEvents {
    fn bytes(&self) -> usize {
        let texts = self.messages.iter().map(|message| message.text.len());
        size_of::<Self>()
            + size_of_val(self.messages.as_slice())
            + self.about.key.qualified_name().len()
            + self.about.uid.as_deref().unwrap_or_default().len()
            + texts.sum::<usize>()
    }
}

/// The events that were not taken into the line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotAdded {
    /// Because more of what status tells as well happened than its rate allows.
    pub omitted: usize,
    /// Because too many wait.
    pub dropped: usize,
}

/// The line of events.
#[derive(Default)]
pub struct Line {
    waiting: VecDeque<PendingEvents>,
    /// Events that are held, and until when.
    held: HashMap<ObjectKey, (Duration, PendingEvents)>,
    /// When held events are due, in this order. Entries of events that are no longer held are skipped.
    due: VecDeque<(Duration, ObjectKey)>,
    bytes: usize,
    closing: bool,
}

impl Line {
    /// Adds the events of an object. `now` is the time since the process started: a wall clock that is set
    /// back must hold nothing longer. `has_turn` is asked for each event that [`Event::status_tells`]; one that is
    /// combined with another has had its turn.
    ///
    /// [`Event::status_tells`]: oc_domain::events::Event::status_tells
    pub fn add(
        &mut self,
        now: Duration,
        mut new: PendingEvents,
        mut has_turn: impl FnMut() -> bool,
    ) -> NotAdded {
        let mut not_added = NotAdded::default();
        let one = match self.take_held(&new.about.key) {
            None => None,
            Some(held) => {
                let one = combined(&held.messages, &new.messages).filter(|_| held.about == new.about);
                if one.is_none() {
                    self.push(held);
                }
                one
            }
        };
        if let Some(one) = one {
            new.messages = vec![one];
        } else {
            let all = new.messages.len();
            new.messages
                .retain(|message| !message.event.status_tells() || has_turn());
            not_added.omitted = all - new.messages.len();
        }
        if new.messages.is_empty() {
            return not_added;
        }
        if self.bytes + new.bytes() > MOST_BYTES {
            not_added.dropped = new.messages.len();
            return not_added;
        }
        if self.closing || !may_be_combined(&new.messages) {
            self.push(new);
            return not_added;
        }
        self.bytes += new.bytes();
        let (due, key) = (now + HELD, new.about.key.clone());
        self.due.push_back((due, key.clone()));
        self.held.insert(key, (due, new));
        not_added
    }

    /// Takes the next events whose turn it is.
    pub fn take(&mut self, now: Duration) -> Option<PendingEvents> {
        while let Some((due, key)) = self.due.front() {
            // The object may have no held event any more, or another one, which is due later.
            let is_held = self.held.get(key).is_some_and(|(until, _)| until == due);
            if is_held && *due > now && !self.closing {
                break;
            }
            let key = self.due.pop_front().filter(|_| is_held).map(|(_, key)| key);
            if let Some(held) = key.and_then(|key| self.take_held(&key)) {
                self.push(held);
            }
        }
        let Some(next) = self.waiting.pop_front() else {
            // The room for thousands is needed once, when they all arrive.
            self.waiting = VecDeque::new();
            if self.is_empty() {
                *self = Self {
                    closing: self.closing,
                    ..Self::default()
                };
            }
            return None;
        };
        self.bytes -= next.bytes();
        Some(next)
    }

    /// When the next held event is due, if nothing else waits.
    pub fn next_due(&self) -> Option<Duration> {
        self.due.front().map(|(due, _)| *due)
    }

    /// Holds nothing from now on: the process is about to end.
    pub fn close(&mut self) {
        self.closing = true;
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.held.is_empty()
    }

    fn push(&mut self, next: PendingEvents) {
        self.bytes += next.bytes();
        self.waiting.push_back(next);
    }

    fn take_held(&mut self, key: &ObjectKey) -> Option<PendingEvents> {
        let (_, held) = self.held.remove(key)?;
        self.bytes -= held.bytes();
        Some(held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_domain::events::Event;
    use proptest::prelude::*;

    fn waiting(number: u8, at: i64, events: &[Event]) -> PendingEvents {
        PendingEvents {
            about: Subject {
                key: ObjectKey::service("n", &format!("customer-{number}")),
                uid: Some("uid".into()),
            },
            at: Time(at),
            messages: events
                .iter()
                .map(|event| EventMessage::new(*event, format!("{event}.")))
                .collect(),
        }
    }

    fn since_start(milliseconds: i64) -> Duration {
        Duration::from_millis(u64::try_from(milliseconds).unwrap())
    }

    fn add(line: &mut Line, new: PendingEvents) {
        let not_added = line.add(since_start(new.at.0), new, || true);
        assert_eq!(not_added, NotAdded::default());
    }

    fn taken(line: &mut Line, now: i64) -> Vec<(i64, String)> {
        let mut all = Vec::new();
        while let Some(next) = line.take(since_start(now)) {
            all.extend(next.messages.into_iter().map(|message| (next.at.0, message.text)));
        }
        all
    }

    #[test]
    fn a_service_that_is_ready_in_one_go_is_one_event() {
        let mut line = Line::default();
        add(&mut line, waiting(1, 0, &[Event::ConversionRequested]));
        assert!(taken(&mut line, 29_999).is_empty(), "held");
        add(&mut line, waiting(1, 29_999, &[Event::Licensed]));
        let both = (29_999, "ConversionRequested. Licensed.".to_owned());
        assert_eq!(taken(&mut line, 29_999), [both]);
        assert!(line.is_empty() && line.bytes == 0);
        assert!(taken(&mut line, 60_000).is_empty(), "it is not due again");
        assert_eq!(line.next_due(), None);
    }

    #[test]
    fn what_is_not_ready_in_one_go_is_written_in_order() {
        let mut line = Line::default();
        for (number, then) in [
            (1, vec![Event::Licensed, Event::AwaitingLeadsJob]),
            (2, vec![Event::TaskFailed]),
        ] {
            add(&mut line, waiting(number, 0, &[Event::ConversionRequested]));
            add(&mut line, waiting(number, 5, &then));
        }
        add(&mut line, waiting(3, 1_000, &[Event::ConversionRequested]));
        let told = |at: i64, text: &str| (at, text.to_owned());
        let first = [
            told(0, "ConversionRequested."),
            told(5, "Licensed."),
            told(5, "AwaitingLeadsJob."),
            told(0, "ConversionRequested."),
            told(5, "TaskFailed."),
        ];
        assert_eq!(taken(&mut line, 1_000), first);
        assert_eq!(line.next_due(), Some(since_start(31_000)));
        assert_eq!(
            taken(&mut line, 31_000),
            [told(1_000, "ConversionRequested.")],
            "slow"
        );
    }

    #[test]
    fn another_object_of_the_same_name_is_not_combined() {
        let mut line = Line::default();
        add(&mut line, waiting(1, 0, &[Event::ConversionRequested]));
        let mut other = waiting(1, 1, &[Event::Licensed]);
        other.about.uid = Some("another".into());
        add(&mut line, other);
        assert_eq!(taken(&mut line, 1).len(), 2);
    }

    #[test]
    fn what_status_tells_as_well_waits_for_its_turn_and_nothing_else_does() {
        let mut line = Line::default();
        let never = || -> bool { panic!("it needs no turn") };
        add(&mut line, waiting(1, 0, &[Event::ConversionRequested]));
        let both = line.add(since_start(1), waiting(1, 1, &[Event::Licensed]), never);
        assert_eq!(both, NotAdded::default(), "the first one had its turn");
        let late = waiting(2, 2, &[Event::Licensed, Event::TaskFailed, Event::Synced]);
        let late = line.add(since_start(2), late, || false);
        assert_eq!((late.omitted, late.dropped), (2, 0));
        for event in Event::ALL.into_iter().filter(|event| !event.status_tells()) {
            line.add(since_start(3), waiting(3, 3, &[event]), never);
        }
        let omitted = line.add(since_start(4), waiting(4, 4, &[Event::Synced]), || false);
        assert_eq!(omitted.omitted, 1);
        let all = taken(&mut line, 4);
        let told = |at, text: &str| (at, text.to_owned());
        assert_eq!(
            all[..2],
            [told(1, "ConversionRequested. Licensed."), told(2, "TaskFailed.")]
        );
        assert!(all[2..].iter().all(|(at, _)| *at == 3) && line.bytes == 0);
    }

    #[test]
    fn nothing_is_held_at_the_end() {
        let mut line = Line::default();
        add(&mut line, waiting(1, 0, &[Event::ConversionRequested]));
        line.close();
        add(&mut line, waiting(2, 0, &[Event::ConversionRequested]));
        assert_eq!(taken(&mut line, 0).len(), 2);
    }

    proptest! {
        #[test]
        fn bytes_are_bounded_and_nothing_is_lost(adds in prop::collection::vec((0u8..4, 0usize..4, 0i64..3_000), 1..200)) {
            let kinds: [&[Event]; 4] = [&[Event::ConversionRequested], &[Event::Licensed], &[Event::Synced], &[Event::Licensed, Event::Synced]];
            let (mut line, mut now, mut count, mut seen) = (Line::default(), 0, 0, 0);
            for (number, kind, later) in adds {
                now += later;
                let new = waiting(number, now, kinds[kind]);
                count += new.messages.len();
                add(&mut line, new);
                let all: usize = line.waiting.iter().chain(line.held.values().map(|(_, held)| held)).map(PendingEvents::bytes).sum();
                prop_assert_eq!(line.bytes, all);
                if later % 3 == 0 {
                    seen += taken(&mut line, now).iter().map(|(_, text)| text.matches('.').count()).sum::<usize>();
                }
            }
            line.close();
            seen += taken(&mut line, now).iter().map(|(_, text)| text.matches('.').count()).sum::<usize>();
            prop_assert_eq!(seen, count);
            prop_assert!(line.is_empty() && line.bytes == 0 && line.due.is_empty());
        }
    }
}
