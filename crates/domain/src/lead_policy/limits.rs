//! How many objects may be created now.

use std::collections::BTreeMap;

use super::{MadeService, Progress, RuleLimits};
use crate::time::{Duration, Time};
use crate::timing;

/// For how long a created object counts for `limits.perDay`: 24 hours, a second because creation times are cut
/// to seconds, and a minute by which the clocks of this process and the API server may differ.
const DAY: Duration = Duration::from_secs(24 * 3600 + 61);

/// What a rule has under way.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Objects that are not Ready yet, and those that may exist already.
    pub(super) in_progress: usize,
    /// Until when each created object counts for the day.
    until: Vec<Time>,
    /// Objects that may be created at any moment, so that they count for the day whatever the time is.
    pub(super) reserved: usize,
    /// The times that have not come yet, and when each was noticed first.
    ahead: BTreeMap<String, Time>,
    pub(super) last_made: Option<Time>,
}

impl Load {
    /// Counts an object that was created at this time. `noticed` are the times known as not come yet.
    ///
    /// Such a time was written by a clock that was wrong. The object counts for a day from the moment at which
    /// this process noticed it: its own time would let the rule wait for years, and none at all would let it
    /// create a second day's worth.
    pub(super) fn created(&mut self, now: Time, name: &str, at: Time, noticed: &BTreeMap<String, Time>) {
        let counts_from = if timing::is_ahead(at, now) {
            let noticed = noticed.get(name).copied().unwrap_or(now);
            self.ahead.insert(name.to_owned(), noticed);
            noticed
        } else {
            self.last_made = self.last_made.max(Some(at));
            at
        };
        if now < counts_from + DAY {
            self.until.push(counts_from + DAY);
        }
    }

    /// Counts an object of the rule.
    pub(super) fn add(&mut self, now: Time, service: &MadeService<'_>, noticed: &BTreeMap<String, Time>) {
        self.created(now, service.name, service.created, noticed);
        self.in_progress += usize::from(service.progress == Progress::InProgress);
    }

    /// Gives back what is to be remembered about times that have not come yet.
    pub(super) fn into_noticed(self) -> BTreeMap<String, Time> {
        self.ahead
    }

    /// How many objects may become busy now.
    pub(super) fn room_in_progress(&self, limits: RuleLimits) -> usize {
        whole(limits.in_progress).saturating_sub(self.in_progress)
    }

    /// How many objects may be created now, as far as the day is concerned.
    pub(super) fn room_today(&self, limits: RuleLimits) -> usize {
        whole(limits.per_day).saturating_sub(self.until.len() + self.reserved)
    }

    /// When the day has room for one more object than those that are given a place now. `None` if that is no
    /// matter of time.
    pub(super) fn next_room_today(&mut self, limits: RuleLimits, given: usize) -> Option<Time> {
        let counted = self.until.len() + self.reserved + given;
        let over = counted.checked_sub(whole(limits.per_day))?;
        self.until.sort_unstable();
        self.until.get(over).copied()
    }
}

fn whole(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
