//! The effects of a pass: what it reads and writes at the API server and the platform.

use std::sync::Arc;

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Query};
use oc_domain::facts::{Fact, Facts, ServicesView};
use oc_domain::names::fold_case;
use oc_domain::policy::PlatformAccess;
use oc_domain::record::{Intent, OperationKind, Record};
use oc_domain::time::Time;

use crate::cluster::{Object, Status, Unwritten};
use crate::operator::Running;
use crate::passes::{Ask, Failed, Write};
use crate::setup::{self, LEAD, SLOTS, secs};
use crate::world::{Late, Play, Rules, World};

impl World {
    /// Whether the API server refuses writes now. Repeated attempts at an undiminished rate break a law.
    fn refuses(&mut self, play: &mut Play<'_>) -> bool {
        let refuses = self.now < self.cluster.refuses_until;
        if refuses {
            self.refused += 1;
            // Pauses that double up to five minutes make about twenty attempts per object in the longest of
            // these times, with two writes each. A restart and a changed spec start the pauses again.
            if self.refused > 400 + 40 * (self.counts.crashes + self.counts.elections) {
                self.breaks(play, "L6: a refused write is tried again and again");
            }
        }
        refuses
    }

    #[allow(clippy::too_many_arguments, reason = "everything that a read depends on")]
    pub(crate) fn look(
        &mut self,
        rules: &Rules,
        op: usize,
        slot: usize,
        query: &Query,
        not_before: Time,
        record: &Record,
        facts: &mut Facts,
        place: usize,
    ) {
        let now = self.now;
        let away = self.platform.unreachable(now);
        match query {
            Query::Services => {
                facts.services = match self.read_services(rules, op, not_before, place) {
                    Err(trouble) => Fact::Unreadable(trouble),
                    Ok(()) => self.view(op, slot, record, place),
                };
            }
            Query::Leads => match self.read_leads(rules, op, not_before, place) {
                Err(trouble) => facts.leads = Fact::Unreadable(trouble),
                Ok(()) => {
                    let Some((at, leads)) = self.operators[op].inventory[place].leads.clone() else {
                        return;
                    };
                    let tenant = setup::tenant(self.setup.tenant_of(slot));
                    facts.leads = Fact::Known {
                        value: leads.view(&tenant),
                        at,
                    };
                }
            },
            Query::LeadsOfTenant => {
                self.counts.reads += 1;
                let tenant = setup::tenant(self.setup.tenant_of(slot));
                facts.leads = match away {
                    Some(trouble) => Fact::Unreadable(trouble),
                    None => Fact::Known {
                        value: self.platform.leads_of(&self.setup, now, place, &tenant),
                        at: now,
                    },
                };
            }
            Query::Task(id) => {
                self.counts.reads += 1;
                facts.task = match away {
                    Some(trouble) => Fact::Unreadable(trouble),
                    None => Fact::Known {
                        value: self.platform.task(&self.setup, now, id, place),
                        at: now,
                    },
                };
            }
            Query::Numbers(_) => {
                facts.numbers = match away {
                    Some(trouble) => Fact::Unreadable(trouble),
                    None => Fact::Known {
                        value: self.platform.numbers(now),
                        at: now,
                    },
                }
            }
            // No other call is played: the release lacks it.
            other => {
                let lacks = facts.without_call(other, now);
                assert!(lacks, "{other:?} is a call that every release has");
            }
        }
    }

    /// Reads the list of services again if the known one is too old.
    fn read_services(
        &mut self,
        rules: &Rules,
        op: usize,
        not_before: Time,
        place: usize,
    ) -> Result<(), Trouble> {
        let known = self.operators[op].inventory[place].services.as_ref();
        if self.must_read(known.map(|(at, _)| *at), not_before)? {
            self.list_services(rules, op, place);
        }
        Ok(())
    }

    /// Reads the list of leads again if the known one is too old.
    fn read_leads(
        &mut self,
        rules: &Rules,
        op: usize,
        not_before: Time,
        place: usize,
    ) -> Result<(), Trouble> {
        let known = self.operators[op].inventory[place].leads.as_ref();
        if self.must_read(known.map(|(at, _)| *at), not_before)? {
            self.list_leads(rules, op, place);
        }
        Ok(())
    }

    /// Whether a list is too old, so that it is read now, which is counted.
    fn must_read(&mut self, known: Option<Time>, not_before: Time) -> Result<bool, Trouble> {
        let too_old = known.is_none_or(|at| at < not_before);
        if too_old {
            if let Some(trouble) = self.platform.unreachable(self.now) {
                return Err(trouble);
            }
            self.counts.reads += 1;
        }
        Ok(too_old)
    }

    fn view(&self, op: usize, slot: usize, record: &Record, place: usize) -> Fact<ServicesView> {
        let Some((at, listed)) = self.operators[op].inventory[place].services.clone() else {
            return Fact::Unread;
        };
        let tenant = setup::tenant(self.setup.tenant_of(slot));
        let named = fold_case(self.setup.name_of(slot));
        let all = |keep: &dyn Fn(&oc_domain::model::Service) -> bool| {
            listed
                .services
                .iter()
                .filter(|service| keep(service))
                .cloned()
                .map(Arc::new)
                .collect::<Vec<_>>()
        };
        let value = ServicesView {
            by_tenant: all(&|service| service.tenant.as_ref() == Some(&tenant)),
            by_guid: listed
                .services
                .iter()
                .find(|service| record.guid.as_ref() == Some(&service.guid))
                .cloned()
                .map(Arc::new),
            by_name: if slot == LEAD {
                Vec::new()
            } else {
                all(&|service| fold_case(&service.short_name) == named)
            },
            complete: listed.complete,
        };
        Fact::Known { value, at }
    }

    #[allow(clippy::too_many_arguments, reason = "everything that a write depends on")]
    pub(crate) fn keep(
        &mut self,
        play: &mut Play<'_>,
        op: usize,
        slot: usize,
        running: &mut Running,
        mark: &Mark,
        decision: &Decision,
        fate: Write,
    ) -> Result<Option<Intent>, Failed> {
        // What was read at a place that the platform object no longer names is not recorded.
        if running.place != self.platform.here {
            return Err(Failed::Unwritten(Unwritten::Changed));
        }
        if fate == Write::Refused || self.refuses(play) {
            return Err(Failed::Refused);
        }
        let creates = matches!(
            mark,
            Mark::RecordIntent {
                kind: OperationKind::Create,
                ..
            }
        );
        if creates
            && slot != LEAD
            && (!self.allowed[slot] || self.rival(play, op, slot, &running.object).is_some())
        {
            return Err(Failed::Unwritten(Unwritten::Changed));
        }
        let id = self.cluster.draw();
        if matches!(mark, Mark::RecordIntent { .. }) {
            running.pass.draws(id.clone());
        }
        let marked = self
            .cluster
            .mark(
                slot,
                &running.object,
                play.rules.versions,
                mark,
                &decision.record,
                id,
            )
            .map_err(Failed::Unwritten)?;
        self.counts.writes += 1;
        self.judge_mark(play, slot, &marked.written, mark, &decision.record);
        if fate == Write::Lost {
            return Err(Failed::Unanswered);
        }
        self.own_write(op, slot, &marked.written);
        if marked.dropped && play.rules.reads_answers {
            return Err(Failed::Dropped);
        }
        running.object = marked.written;
        Ok(marked.intent)
    }

    pub(crate) fn say(
        &mut self,
        play: &mut Play<'_>,
        op: usize,
        slot: usize,
        running: &Running,
        decision: &Decision,
        fate: Write,
    ) -> Result<(), Failed> {
        if running.place != self.platform.here && running.pass.asked.is_none() {
            return Err(Failed::Unwritten(Unwritten::Changed));
        }
        let status = Status::of(decision, running.object.generation);
        if status == running.object.status {
            // The status already says what this pass would write, for the version it knows. The watch may
            // have brought a newer version since.
            let known = self.operators[op].view.objects[slot]
                .as_ref()
                .is_none_or(|object| object.version == running.object.version);
            return if known {
                Ok(())
            } else {
                Err(Failed::Unwritten(Unwritten::Changed))
            };
        }
        if fate == Write::Refused || self.refuses(play) {
            return Err(Failed::Refused);
        }
        let operation = status.operation.clone();
        let written = match self
            .cluster
            .say(slot, &running.object, play.rules.versions, status)
        {
            Ok(written) => written,
            Err(failed) => {
                if running.pass.sent() && failed == Unwritten::Changed {
                    self.cluster.say_operation(slot, &running.object, operation);
                }
                return Err(Failed::Unwritten(failed));
            }
        };
        self.counts.writes += 1;
        play.trail.note(self.now, || {
            format!(
                "operator {op}, object {}: says {:?}: {}",
                written.uid,
                written.status.ready(),
                decision.verdict.message
            )
        });
        self.judge_status(play, slot, &written, running.object.deleting.is_some());
        if fate == Write::Lost {
            return Err(Failed::Unanswered);
        }
        self.own_write(op, slot, &written);
        let blocked = matches!(&running.pass.facts.connection, PlatformAccess::Usable(policy) if policy.deletions_blocked.is_some());
        let given_up = running.object.status.license.is_some() && written.status.license.is_none();
        self.operators[op].count_due |= blocked || given_up;
        Ok(())
    }

    /// Applies this replica's own write to its view at once.
    fn own_write(&mut self, op: usize, slot: usize, written: &Arc<Object>) {
        let still_there = self.cluster.now.objects[slot].is_some();
        // When an object gains or loses its service, or the possibility of one, its competitors are woken.
        let turned = self.operators[op].view.objects[slot]
            .as_ref()
            .is_some_and(|before| before.holds() != written.holds());
        self.operators[op].view.objects[slot] = if still_there {
            Some(Arc::clone(written))
        } else {
            None
        };
        if !still_there || turned {
            (0..SLOTS)
                .filter(|other| *other != slot)
                .for_each(|other| self.appoint(op, other, self.now));
            self.operators[op].count_due = true;
        }
    }

    pub(crate) fn ask(
        &mut self,
        play: &mut Play<'_>,
        op: usize,
        slot: usize,
        running: &Running,
        change: &Change,
        fate: Ask,
    ) -> ChangeResult {
        let now = self.now;
        let trouble = |reason, words: &'static str| Trouble::new(reason, words);
        if play.rules.lease && !self.leads(op) {
            return ChangeResult::NotSent(trouble(Reason::Progressing, "This replica does not lead."));
        }
        self.judge_lease(play, op);
        if running.place != self.platform.here {
            return ChangeResult::NotSent(trouble(
                Reason::ProgressingWithRetry,
                "The platform object names another place by now.",
            ));
        }
        if let Some(away) = self.platform.unreachable(now) {
            return ChangeResult::NotSent(away);
        }
        if now < self.platform.throttled_until {
            return ChangeResult::NotSent(trouble(
                Reason::Throttled,
                "The platform asks for fewer requests.",
            ));
        }
        self.counts.asks += 1;
        let recreate = running.object.spec.recreate;
        let mut request = Late {
            at: now,
            slot,
            uid: running.object.uid,
            change: change.clone(),
            recreate,
            deleted: running.object.deleting,
            place: running.place,
        };
        self.judge_change(play, running, change);
        match fate {
            Ask::NotSent => ChangeResult::NotSent(trouble(
                Reason::PlatformUnavailable,
                "The connection could not be made.",
            )),
            Ask::Refused => ChangeResult::Rejected(trouble(Reason::PlatformRefused, "The platform says no.")),
            Ask::LostNotDone => {
                self.counts.lost += 1;
                ChangeResult::Unknown(trouble(Reason::PlatformUnavailable, "The answer was lost."))
            }
            Ask::LostDone(seconds) => {
                self.counts.lost += 1;
                if seconds == 0 {
                    self.execute(play, &request);
                } else {
                    request.at = now + secs(seconds);
                    self.late.push(request);
                }
                ChangeResult::Unknown(trouble(Reason::PlatformUnavailable, "The answer was lost."))
            }
            Ask::Fine => self.execute(play, &request),
        }
    }
}
