//! The channel of a `Lead`: assigned, and unassigned.

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{ChangeResult, Step, Wake};
use oc_domain::facts::{Fact, Facts};
use oc_domain::lead::{DesiredLead, LeadTarget, decide};
use oc_domain::memory::PassMemory;
use oc_domain::model::{ChannelAnswer, Lead, MicrosoftStatus};
use oc_domain::pass::{Pass, PassEnd};
use oc_domain::record::Record;

use crate::common::*;
use crate::lead::{run, shown, told, wanted};
use crate::short;

/// spec.channelId: assigned while the field is set; unassigned when it is removed and this object had assigned it.
#[test]
fn channels() {
    let (rest, wait) = ("rest: True Succeeded -", "wait: False Verifying Reconciling");
    let (assign, unassign) = ("ask assign: False Progressing Reconciling", "ask unassign: False Progressing Reconciling");
    let table = [
        ("hands off", None, None, Some(6), rest),
        ("to be assigned", Some(5), None, None, assign),
        ("to be moved", Some(5), None, Some(6), assign),
        ("assigned, and shown", Some(5), Some(5), Some(5), rest),
        ("assigned, and not shown yet", Some(5), Some(5), None, wait),
        ("another is wanted", Some(7), Some(5), Some(5), assign),
        ("taken out", None, Some(5), Some(5), unassign),
        ("taken out, and somebody has moved it", None, Some(5), Some(6), rest),
        ("taken out, and gone", None, Some(5), None, rest),
    ];
    for (what, channel, assigned_channel, shows, expected) in table {
        let record = Record { assigned_channel, ..Record::default() };
        let decision = run(&LeadTarget::Present(DesiredLead { channel, ..wanted() }), &record, &shown(Lead { channel: shows, ..lead() }));
        assert_eq!(told(&decision), expected, "{what}");
    }
}

/// How old the list may be by which the channel differs: a few seconds, unless this object had assigned one, or a person asks.
#[test]
fn the_list_before_a_channel_is_changed() {
    let assigned = |channel| Record { assigned_channel: channel, ..Record::default() };
    let table = [
        (None, 9, assigned(None), false, "ask assign"),
        (None, 11, assigned(None), false, "look leads"),
        (None, 1, assigned(None), true, "look leads"),
        (None, 1, assigned(Some(7)), false, "look leads"),
        (None, 0, assigned(Some(7)), false, "ask assign"),
        // Shown already, perhaps because the list is from before this object took the channel away, or another one.
        (Some(5), 1, assigned(None), false, "look leads"),
        (Some(5), 1, assigned(Some(7)), false, "look leads"),
        (Some(5), 0, assigned(None), false, "rest"),
        (Some(5), 500, assigned(Some(5)), false, "rest"),
    ];
    let target = LeadTarget::Present(DesiredLead { channel: Some(5), ..wanted() });
    for (channel, ago, record, retry_now, expected) in table {
        let leads = Fact::Known { value: whole(vec![Lead { channel, ..lead() }]), at: NOW - secs(ago) };
        let decision = run(&target, &record, &Facts { leads, retry_now, ..shown(lead()) });
        assert_eq!(short(&decision.step), expected, "{channel:?}, {ago} s, {:?}", record.assigned_channel);
    }
}

/// The channel is read before the first assignment to it, as far as it can be read. That there is none is reported only from a read of this pass.
#[test]
fn a_channel_that_does_not_exist() {
    let at = |ago, value| Fact::Known { value, at: NOW - secs(ago) };
    let (look, assign) = ("look channel: False Progressing Reconciling", "ask assign: False Progressing Reconciling");
    let table = [
        ("not read", Fact::Unread, look),
        ("there, a moment ago", at(9, ChannelAnswer::Found), assign),
        ("there, a while ago", at(11, ChannelAnswer::Found), look),
        ("missing, a moment ago", at(1, ChannelAnswer::NotFound), look),
        ("missing", at(0, ChannelAnswer::NotFound), "stop: False InvalidSpec Stalled"),
        ("not told", at(0, ChannelAnswer::Untold), assign),
        ("can't be read", Fact::Unreadable(away()), "wait: False PlatformUnavailable Reconciling"),
    ];
    let target = LeadTarget::Present(DesiredLead { channel: Some(5), ..wanted() });
    for (what, channel, expected) in table {
        let decision = run(&target, &Record::default(), &Facts { channel, ..shown(lead()) });
        assert_eq!(told(&decision), expected, "{what}");
    }
    let missing = run(&target, &Record::default(), &Facts { channel: at(0, ChannelAnswer::NotFound), ..shown(lead()) });
    assert!(missing.verdict.message.starts_with("The platform has no channel 5. Correct spec.channelId"), "{}", missing.verdict.message);
    // What was assigned already needs no read.
    let assigned = Record { assigned_channel: Some(5), ..Record::default() };
    assert_eq!(told(&run(&target, &assigned, &Facts { channel: Fact::Unread, ..shown(Lead { channel: Some(5), ..lead() }) })), "rest: True Succeeded -");
}

/// A request that waits for its turn is no failure: it comes back when it is told to, and never becomes `Stalled`.
#[test]
fn waiting_in_line_is_no_failure() {
    let told_at = |reason, failures| {
        let in_line = Trouble { retry_after: Some(secs(200)), ..Trouble::new(reason, "It waits for its turn.") };
        let facts = Facts { answer: Some(ChangeResult::NotSent(in_line)), failures, ..shown(lead()) };
        let target = LeadTarget::Present(DesiredLead { channel: Some(5), ..wanted() });
        let mut pass = Pass::begin(Record::default(), facts.clone(), &PassMemory { failures, generation: Some(1), ..PassMemory::default() });
        pass.facts = facts;
        let last = pass.next(NOW, |now, record, facts| decide(now, &target, record, facts));
        let mut memory = PassMemory::default();
        pass.remember(&mut memory, &last, PassEnd::Well);
        (told(&last), last.step, memory.failures)
    };
    let again = Step::Wait(NOW + secs(200), Wake::Inventory);
    assert_eq!(told_at(Reason::Progressing, 20), ("wait: False Progressing Reconciling".into(), again.clone(), 0));
    assert_eq!(told_at(Reason::Throttled, 20), ("wait: False Throttled Stalled".into(), again, 21));
}

/// Only an answer changes what the object holds: a request that was not executed, or refused, is repeated, and one that was done is not.
#[test]
fn the_answer_to_an_assignment() {
    let refused = || ChangeResult::Rejected(Trouble::new(Reason::PlatformRefused, "No such channel."));
    let table = [
        (ChangeResult::Done, Some(5), "wait"),
        (ChangeResult::NotSent(away()), None, "ask assign"),
        (ChangeResult::Unknown(away()), None, "ask assign"),
        (refused(), None, "ask assign"),
    ];
    let target = LeadTarget::Present(DesiredLead { channel: Some(5), ..wanted() });
    for (answer, holds, next) in table {
        let asked = run(&target, &Record::default(), &shown(lead()));
        assert_eq!(short(&asked.step), "ask assign");
        let ended = run(&target, &asked.record, &Facts { answer: Some(answer.clone()), ..shown(lead()) });
        assert!(matches!(ended.step, Step::Wait(..) | Step::Blocked(_)), "{answer:?}: it ends the pass");
        assert_eq!(ended.record.assigned_channel, holds, "{answer:?}");
        assert_eq!(short(&run(&target, &ended.record, &shown(lead())).step), next, "{answer:?}");
    }
    // Unassigned, and the list lags: the request is not repeated.
    let target = LeadTarget::Present(wanted());
    let record = Record { assigned_channel: Some(5), ..Record::default() };
    let lagging = shown(Lead { channel: Some(5), ..lead() });
    let ended = run(&target, &record, &Facts { answer: Some(ChangeResult::Done), ..lagging.clone() });
    assert_eq!(told(&run(&target, &ended.record, &lagging)), "rest: True Succeeded -");
}

/// A lead that becomes Active later is assigned then.
#[test]
fn a_channel_for_a_lead_that_is_not_active_yet() {
    let target = LeadTarget::Present(DesiredLead { channel: Some(5), ..wanted() });
    let suspended = run(&target, &Record::default(), &shown(Lead { status: MicrosoftStatus::Suspended, ..lead() }));
    assert_eq!(told(&suspended), "stop: False LeadNotActive Stalled");
    assert_eq!(short(&run(&target, &suspended.record, &shown(lead())).step), "ask assign");
}
