//! From a pass to the events about its object: passes the state before and after to `oc_domain::events`.

use oc_domain::conditions::{ConditionStatus, Reason, Verdict};
use oc_domain::decision::Decision;
use oc_domain::events::{self, Event, EventMessage, LastReported, ReportedEnd};
use oc_domain::facts::DeletionPolicy;
use oc_domain::pass::Pass;
use oc_domain::platform;
use oc_domain::record::{Job, Record};

use crate::cluster::has_status::HasStatus;
use crate::cluster::key::ObjectKey;
use crate::controllers::context::Context;
use crate::runtime::driver::PassResult;
use oc_api::{Lead, LeadPolicy, LivePlatform, OcEssentialService};

/// What is worth an event in a pass over one kind: [`events::of_service`] or [`events::of_lead`].
pub type Notes =
    fn(&LastReported, &Record, &Pass, &Decision, ReportedEnd, Option<DeletionPolicy>) -> Vec<EventMessage>;

/// What a status reports. `Unknown` is the API server's default for a new object: nothing has been reported
/// yet.
fn said(status: Option<&dyn HasStatus>) -> LastReported {
    let conditions = status.map(HasStatus::conditions).unwrap_or_default();
    let of = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    let ready = of("Ready").and_then(|ready| {
        let truth = [ConditionStatus::True, ConditionStatus::False]
            .into_iter()
            .find(|truth| truth.as_str() == ready.status)?;
        Some((truth, Reason::parse(&ready.reason)?))
    });
    LastReported {
        ready,
        stalled: of("Stalled").is_some_and(|stalled| stalled.status == "True"),
    }
}

/// How a pass ended, for events. An object that was found gone was not released by this pass, and has no
/// status to report in.
fn end(last: &Decision, ended: &PassResult) -> ReportedEnd {
    ReportedEnd::of(
        last,
        matches!(ended, PassResult::Released | PassResult::Until(..)),
    )
}

/// The event for a write that the API server rejected.
fn unwritten(said: &LastReported, pass: &Pass, ended: &PassResult) -> Option<EventMessage> {
    let PassResult::Unwritten(failed) = ended else {
        return None;
    };
    events::write_refused(said, pass.facts.failures, &failed.trouble()?)
}

/// Records the events of a pass over a service or a lead, of this key and uid. `status` and `record` are as the
/// pass began; `notes` says what is worth an event for this kind.
pub fn of_customer(
    context: &Context,
    about: (&ObjectKey, Option<&str>),
    status: Option<&dyn HasStatus>,
    (record, going): (&Record, Option<DeletionPolicy>),
    (pass, last, ended): &(Pass, Decision, PassResult),
    notes: Notes,
) {
    let said = said(status);
    let mut notes = notes(&said, record, pass, last, end(last, ended), going);
    notes.extend(unwritten(&said, pass, ended));
    context.events.record_about(about, notes);
}

/// Records the events of a pass over a platform object. `jobs` are the jobs that it ran; `written` says
/// whether it wrote the status.
pub fn of_platform(
    context: &Context,
    object: &LivePlatform,
    before: &platform::PlatformRecord,
    last: &platform::PlatformDecision,
    jobs: &[Job],
    written: bool,
) {
    let said = said(object.status.as_ref().map(|status| status as &dyn HasStatus));
    let notes = events::of_platform(&said, before, last, jobs, written);
    context.events.record(object, notes);
}

/// Records that an object was created for a lead found on the platform.
pub fn discovered(context: &Context, lead: &Lead, platform: &str) {
    let note = EventMessage::new(
        Event::LeadDiscovered,
        format!(
            "Created for a lead found on the platform, by spec.leadDiscovery of LivePlatform {platform}."
        ),
    );
    context.events.record(lead, vec![note]);
}

/// Records that a service was created for a lead by a policy.
pub fn onboarded(context: &Context, service: &OcEssentialService, policy: &str) {
    let note = EventMessage::new(
        Event::LeadOnboarded,
        format!("Created for the Lead of this name by LeadPolicy {policy}."),
    );
    context.events.record(service, vec![note]);
}

/// Records that a policy can't be followed, if its status does not say so yet.
pub fn of_policy(context: &Context, object: &LeadPolicy, verdict: &Verdict) {
    let said = said(object.status.as_ref().map(|status| status as &dyn HasStatus));
    let known = said
        .ready
        .is_some_and(|(_, reason)| reason == Reason::InvalidSpec);
    if verdict.reason == Reason::InvalidSpec && !known {
        let note = EventMessage::new(Event::InvalidSpec, verdict.message.clone());
        context.events.record(object, vec![note]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runtime::driver::WriteError;
    use oc_domain::decision::{Mark, Step, Wake};
    use oc_domain::record::Record;
    use oc_domain::time::Time;

    #[test]
    fn only_what_the_api_server_has_taken_was_said_or_let_go() {
        let last = |step| Decision {
            step,
            why: "",
            verdict: Verdict::ready("x"),
            record: Record::default(),
            plan: Vec::new(),
            hold: false,
        };
        let (release, rest) = (
            last(Step::PatchMetadata(Mark::RemoveFinalizer)),
            last(Step::Idle(Time(0))),
        );
        assert_eq!(end(&release, &PassResult::Released), ReportedEnd::LetGo);
        assert_eq!(
            end(&release, &PassResult::Gone),
            ReportedEnd::Unsaid,
            "somebody else has removed it"
        );
        assert_eq!(
            end(&release, &PassResult::Unwritten(WriteError::Conflict)),
            ReportedEnd::Unsaid
        );
        assert_eq!(
            end(&rest, &PassResult::Until(Time(0), Wake::Clock)),
            ReportedEnd::LastReported
        );
        assert_eq!(
            end(&rest, &PassResult::Gone),
            ReportedEnd::Unsaid,
            "nobody can read it"
        );
        assert_eq!(
            end(&rest, &PassResult::Unwritten(WriteError::Rejected("no".into()))),
            ReportedEnd::Unsaid
        );
    }
}
