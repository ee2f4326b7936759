//! Executes requests at the platform, and checks each against the laws.

use std::sync::Arc;

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Change, ChangeResult};
use oc_domain::time::Time;

use crate::platform::{Made, Maker};
use crate::setup::secs;
use crate::world::{Late, Play, World};

impl World {
    /// Executes a request at the platform at its own time of arrival, however far the clock has jumped since.
    pub(crate) fn execute(&mut self, play: &mut Play<'_>, late: &Late) -> ChangeResult {
        match &late.change {
            Change::CreateService(_) => self.create(play, late),
            Change::DeleteService(guid) => {
                if !self.own_or_excused(late.uid, guid) {
                    self.breaks(
                        play,
                        "L2: a service is deleted that this object neither made nor took over",
                    );
                }
                self.deleted(play, late);
                self.platform.delete(late.at, late.place, guid)
            }
            Change::CreateLead(_) => {
                if self.platform.consentless.0 {
                    return ChangeResult::Rejected(Trouble::new(Reason::PlatformRefused, "The lead exists."));
                }
                self.platform.consentless = (true, late.at);
                ChangeResult::Done
            }
            Change::DeleteLead(_) => {
                self.deleted(play, late);
                let there = self.platform.consentless.0;
                if there {
                    self.platform.consentless = (false, late.at);
                }
                if there {
                    ChangeResult::Done
                } else {
                    ChangeResult::NotFound
                }
            }
            Change::AssignChannel(..) | Change::UnassignChannel(_) => {
                self.breaks(play, "a change that nobody asked for");
                ChangeResult::Done
            }
        }
    }

    /// Creates a service at the platform.
    fn create(&mut self, play: &mut Play<'_>, late: &Late) -> ChangeResult {
        let setup = Arc::clone(&self.setup);
        let tenant = setup.tenant_of(late.slot);
        let person = self
            .platform
            .alive_at(tenant, late.place)
            .any(|made| made.by == Maker::Person);
        let there = self.platform.alive_at(tenant, late.place).next().is_some()
            || self.platform.converting(tenant, late.place);
        // A service that an object has at another place counts, whatever the platform at this place shows.
        let own = |made: &Made| {
            made.place != late.place && made.removed.is_none() && self.own(late.uid, &made.service.guid)
        };
        let elsewhere = self.platform.made.iter().any(own) || (self.platform.converting_for(late.uid));
        if !person && (there || elsewhere) {
            self.breaks(play, "L1: a second service is made for the tenant");
        }
        if self.removed.contains(&late.uid) && !late.recreate {
            self.breaks(
                play,
                "a service that somebody removed is made again without spec.recreate",
            );
        }
        self.counts.creates += 1;
        self.platform.create(
            &setup,
            late.at,
            late.place,
            tenant,
            setup.name_of(late.slot),
            late.uid,
        )
    }

    /// Whether the consentless lead exists and has shown for long enough that every read finds it.
    pub(crate) fn lead_shows(&self, now: Time) -> bool {
        let (there, since) = self.platform.consentless;
        there && since + secs(self.setup.lag + 60) <= now
    }

    /// Counts a deletion, and checks the breaker: in any hour it allows at most its number of deletions that
    /// nobody approved.
    fn deleted(&mut self, play: &mut Play<'_>, late: &Late) {
        let now = self.now;
        self.counts.deletions += 1;
        if self.deletions.contains_key(&late.uid) {
            return;
        }
        let approved = late
            .deleted
            .zip(self.approved)
            .is_some_and(|(asked, approved)| asked <= approved);
        self.deletions.insert(late.uid, (now, approved));
        // An object is counted when its deletion is granted, and may be deleted a while later. The hour is
        // that of the grants, which the ledger keeps.
        let granted = self
            .cluster
            .now
            .breaker
            .ledger
            .granted
            .get(&late.uid.to_string())
            .copied();
        if !approved && granted.is_none() {
            self.breaks(play, "L2: a deletion that the breaker has not let through");
        }
        let hour = secs(3600);
        let grants = self
            .cluster
            .now
            .breaker
            .ledger
            .granted
            .values()
            .filter(|at| granted.is_some_and(|own| **at <= own && own < **at + hour))
            .count();
        if !approved && grants > self.setup.per_hour as usize {
            self.breaks(play, "L2: more deletions within an hour than the breaker allows");
        }
    }
}
