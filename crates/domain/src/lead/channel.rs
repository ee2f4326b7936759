//! Assigns the lead to a channel, and removes that assignment.

use crate::conditions::{Reason, Trouble, Verdict};
use crate::decision::{Change, ChangeResult, Decision, Query, Step, Wake};
use crate::facts::Fact;
use crate::model::{ChannelAnswer, Lead, MicrosoftStatus};
use crate::names::ChannelId;
use crate::policy::Policy;
use crate::timing;

use super::{DesiredLead, LeadCase};

impl LeadCase<'_> {
    /// Records the assigned channel when the answer arrives, not when the request leaves, so a request that
    /// was not executed is repeated. A change of a lead itself has an open intent; a change of its channel
    /// has none.
    pub(super) fn absorb_channel(&mut self, desired: &DesiredLead) {
        let done = matches!(
            self.facts.answer,
            Some(ChangeResult::Done | ChangeResult::NotFound | ChangeResult::Accepted(_))
        );
        if done && self.record.open_intent().is_none() {
            self.record.assigned_channel = desired.channel;
        }
    }

    /// Follows `spec.channelId`: assigns the channel while the field is set. When the field is removed,
    /// unassigns the channel if this object had assigned it.
    pub(super) fn channel(mut self, policy: &Policy, desired: &DesiredLead, lead: &Lead) -> Decision {
        let active = lead.status == MicrosoftStatus::Active;
        let differs = match (desired.channel, self.record.assigned_channel) {
            (Some(wanted), _) => lead.channel != Some(wanted) && active,
            (None, assigned) => assigned.is_some() && lead.channel == assigned,
        };
        // A list older than our last change would make us request the change twice, or show as assigned what that
        // change has undone. Without a change of ours, one that is a few seconds old will do for an assignment: a
        // thousand leads that wait for their turn share it.
        let is_new = desired.channel.is_some() && desired.channel != self.record.assigned_channel;
        let since = match self.record.assigned_channel {
            None if differs && !self.facts.retry_now => self.facts.pass_started - timing::CREATE_LOOK,
            _ => self.facts.pass_started,
        };
        if (differs || is_new) && self.facts.leads.since(since).is_none() {
            return self.look(Query::Leads, since, "does the channel still differ");
        }
        match (desired.channel, self.record.assigned_channel) {
            (Some(wanted), assigned) if lead.channel != Some(wanted) && active => {
                self.assign(policy, lead, wanted, assigned)
            }
            (None, Some(assigned)) if lead.channel == Some(assigned) => {
                let verdict = Verdict::not_ready(
                    Reason::Progressing,
                    format!("Removing the lead from channel {assigned}."),
                );
                self.decide(
                    Step::Execute(Change::UnassignChannel(lead.tenant)),
                    "spec.channelId was removed",
                    verdict,
                )
            }
            (wanted, _) => {
                // A lead that is not Active can't be assigned. Keep the old value, so that the assignment is
                // still due later.
                if wanted.is_none() || wanted == lead.channel {
                    self.record.assigned_channel = wanted;
                }
                self.standing(policy, lead)
            }
        }
    }

    fn assign(
        self,
        policy: &Policy,
        lead: &Lead,
        wanted: ChannelId,
        assigned: Option<ChannelId>,
    ) -> Decision {
        if assigned != Some(wanted) || self.facts.retry_now {
            if let Some(decision) = self.no_such_channel(wanted) {
                return decision;
            }
            let verdict = Verdict::not_ready(
                Reason::Progressing,
                format!("Assigning the lead to channel {wanted}."),
            );
            return self.decide(
                Step::Execute(Change::AssignChannel(lead.tenant, wanted)),
                "the channel differs",
                verdict,
            );
        }
        let until = self.now + policy.observe_interval;
        let message =
            format!("The lead was assigned to channel {wanted}, but the platform does not show it yet.");
        self.decide(
            Step::Wait(until, Wake::Inventory),
            "the assignment has not appeared yet",
            Verdict::not_ready(Reason::Verifying, message),
        )
    }

    /// Reads the channel of the spec, and reports if there is none. `None` if it may be assigned. Many leads
    /// get the same channel, so an answer that is a few seconds old will do, unless it is that there is none.
    fn no_such_channel(&self, wanted: ChannelId) -> Option<Decision> {
        let (query, now) = (Query::Channel(wanted), self.facts.pass_started);
        let recent = now - timing::CREATE_LOOK;
        match &self.facts.channel {
            Fact::Unreadable(trouble) => Some(self.copy().unreadable(trouble)),
            fact if fact.since(recent).is_none() => {
                Some(self.copy().look(query, recent, "is there such a channel"))
            }
            fact if fact.value() != Some(&ChannelAnswer::NotFound) => None,
            fact if fact.since(now).is_none() => {
                Some(self.copy().look(query, now, "is there still no such channel"))
            }
            _ => {
                let message = format!(
                    "The platform has no channel {wanted}. Correct spec.channelId, or have the channel created and ask for a reconciliation."
                );
                let trouble = Trouble::new(Reason::InvalidSpec, message);
                Some(self.copy().stop(trouble, "no such channel"))
            }
        }
    }
}
