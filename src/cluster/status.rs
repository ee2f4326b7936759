//! What an object says: builds its status from a decision and the facts behind it. A status is written only
//! if it differs.

use std::borrow::Cow;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time as WrittenTime;
use kube::Resource;
use oc_domain::absence;
use oc_domain::breaker::DeletionLedger;
use oc_domain::conditions::Verdict;
use oc_domain::decision::Decision;
use oc_domain::eligibility::{lead_that_counts, other_leads};
use oc_domain::facts::{Absence, Facts};
use oc_domain::model::Lead as LeadFact;
use oc_domain::record::{Job, JobRecord, JobState, Operation, OperationKind, Outcome};
use oc_domain::time::Time;
use smol_str::{SmolStr, ToSmolStr};

use crate::cluster::index::Entry;
use crate::cluster::record::requested;
use crate::runtime::clock;
use oc_api::{Condition, ConditionType};

/// Converts a time to the cluster's form: without milliseconds, so that reading it back gives the same value.
pub fn written(time: Time) -> WrittenTime {
    WrittenTime(clock::timestamp(time.whole_second()))
}

/// Returns the conditions of a verdict, followed by those of other types, which belong to others and stay
/// unchanged. If a condition's value is unchanged, its transition time stays. If nothing changed, the order
/// stays too, since another manager may have chosen it.
pub fn conditions(before: &[Condition], verdict: &Verdict, generation: i64, now: Time) -> Vec<Condition> {
    let made = |condition: oc_domain::conditions::Condition| {
        let same = before
            .iter()
            .find(|old| old.type_ == condition.kind && old.status == condition.truth.as_str());
        Condition {
            type_: SmolStr::new_static(condition.kind),
            status: SmolStr::new_static(condition.truth.as_str()),
            reason: condition.reason.to_smolstr(),
            message: match condition.message {
                Cow::Borrowed(message) => SmolStr::new_static(message),
                Cow::Owned(message) => message.into(),
            },
            observed_generation: Some(generation),
            last_transition_time: same.map_or_else(|| written(now), |old| old.last_transition_time.clone()),
        }
    };
    let foreign = before
        .iter()
        .filter(|old| ConditionType::parse(&old.type_).is_none())
        .cloned();
    let after: Vec<_> = verdict
        .conditions()
        .into_iter()
        .map(made)
        .chain(foreign)
        .collect();
    let same = after.len() == before.len() && after.iter().all(|condition| before.contains(condition));
    if same { before.to_vec() } else { after }
}

/// Converts one job for status.
pub fn job(job: Job, record: &JobRecord) -> oc_api::JobStatus {
    oc_api::JobStatus {
        name: SmolStr::new_static(job.name()),
        state: sync_state(record.state),
        due_time: record.due.map(written),
        requested_time: record.requested.map(written),
        completed_time: record.completed.map(written),
    }
}

/// Converts the deletion ledger for status; nothing before the first deletion.
pub fn deletions(ledger: &DeletionLedger) -> Option<oc_api::live_platform::DeletionsStatus> {
    let grant = |(uid, at): (&String, &Time)| oc_api::live_platform::DeletionGrant {
        uid: uid.clone(),
        time: written(*at),
    };
    (*ledger != DeletionLedger::default()).then(|| oc_api::live_platform::DeletionsStatus {
        held: ledger.held,
        granted: ledger.granted.iter().map(grant).collect(),
        approved_time: ledger.approved.map(written),
        last_handled_approval: ledger.handled.clone(),
    })
}

/// Converts the absence ledger for status.
pub fn absences(ledger: &absence::AbsenceLedger) -> Option<oc_api::live_platform::AbsencesStatus> {
    let believed = |(id, at): (&String, &Time)| oc_api::live_platform::BelievedAbsence {
        id: id.clone(),
        time: written(*at),
    };
    let known = |known: &absence::Account| oc_api::live_platform::KnownPlatform {
        url: known.url.clone(),
        identity: known.identity.clone(),
    };
    (*ledger != absence::AbsenceLedger::default()).then(|| oc_api::live_platform::AbsencesStatus {
        held: ledger.held,
        since_time: ledger.since.map(written),
        accepted: ledger.accepted,
        believed: ledger.believed.iter().map(believed).collect(),
        known: ledger.known.as_ref().map(known),
        last_handled_approval: ledger.handled.clone(),
    })
}

fn sync_state(state: JobState) -> oc_api::SyncState {
    match state {
        JobState::NotDue => oc_api::SyncState::NotDue,
        JobState::Due => oc_api::SyncState::Due,
        JobState::Requested => oc_api::SyncState::Requested,
        JobState::Synced => oc_api::SyncState::Synced,
    }
}

fn operation(operation: &Operation) -> oc_api::Operation {
    oc_api::Operation {
        kind: match operation.kind {
            OperationKind::Create => oc_api::OperationKind::Create,
            OperationKind::Delete => oc_api::OperationKind::Delete,
        },
        id: Some(Arc::clone(&operation.id.0).into()),
        started_time: Some(written(operation.started)),
        task_id: operation.task.as_ref().map(ToSmolStr::to_smolstr),
        task_status: operation.task_status.as_deref().map(|text| cut(text, 200)),
        task_ended_time: operation.task_ended.map(written),
        duration_seconds: operation
            .took
            .map(|took| i64::try_from(took.as_secs()).unwrap_or(i64::MAX)),
        outcome: operation.outcome.map(|outcome| match outcome {
            Outcome::Succeeded => oc_api::Outcome::Succeeded,
            Outcome::Failed => oc_api::Outcome::Failed,
            Outcome::Refused => oc_api::Outcome::Refused,
            Outcome::Unknown => oc_api::Outcome::Unknown,
        }),
        outcome_of: operation.outcome_of.clone().map(|id| id.0.into()),
        completed_time: operation.completed.map(written),
        generation: operation.generation,
        reason: operation.reason.map(|reason| reason.to_smolstr()),
        messages: operation
            .messages
            .iter()
            .take(20)
            .map(|text| cut(text, 1000))
            .collect(),
    }
}

fn cut<'a, T: From<&'a str>>(text: &'a str, most: usize) -> T {
    let end = text.char_indices().nth(most).map_or(text.len(), |(at, _)| at);
    T::from(&text[..end])
}

/// Returns the combined state of all jobs: that of the job furthest behind.
fn sync(decision: &Decision) -> Option<oc_api::service::Sync> {
    let jobs = [
        (Job::Leads, decision.record.leads_job),
        (Job::Trunks, decision.record.trunks_job),
    ];
    let known: Vec<_> = jobs
        .into_iter()
        .filter(|(_, record)| record.due.is_some())
        .collect();
    if known.is_empty() {
        return None;
    }
    let rank = |state: JobState| match state {
        JobState::Due => 0,
        JobState::Requested => 1,
        JobState::Synced => 2,
        JobState::NotDue => 3,
    };
    let state = known
        .iter()
        .map(|(_, record)| record.state)
        .min_by_key(|state| rank(*state))
        .unwrap_or_default();
    Some(oc_api::service::Sync {
        state: sync_state(state),
        jobs: known.iter().map(|(name, record)| job(*name, record)).collect(),
    })
}

/// Returns the status of a service; `None` if it is unchanged.
pub fn of_service(
    object: &oc_api::OcEssentialService,
    entry: &Entry,
    decision: &Decision,
    facts: &Facts,
    now: Time,
) -> Option<oc_api::OcEssentialServiceStatus> {
    let none = oc_api::OcEssentialServiceStatus::default();
    let before = object.status.as_ref().unwrap_or(&none);
    let record = &decision.record;
    let generation = object.meta().generation.unwrap_or_default();
    let seen = facts.services.value();
    let tenant = entry.tenant.as_ref().map(ToSmolStr::to_smolstr);
    // A guid that only the annotation names is left out: status is trusted.
    let guid = record.guid.as_ref().filter(|_| record.guid_proven);
    let own = seen.and_then(|view| view.with_guid(guid?));
    let mut status = oc_api::OcEssentialServiceStatus {
        observed_generation: Some(generation),
        license_type: record.license.clone().map(SmolStr::from),
        ump_customer_guid: guid.map(ToSmolStr::to_smolstr),
        ms_tenant_id: tenant.or_else(|| before.ms_tenant_id.clone()),
        // An assumed platform must not be recorded: a later pass would take it for the one that was asked.
        platform: (!entry.assumed).then(|| Arc::clone(&entry.platform).into()),
        short_name: own
            .map(|service| cut(&service.short_name, 1000))
            .or_else(|| before.short_name.clone()),
        full_name: own
            .and_then(|service| service.full_name.as_deref())
            .map(|name| cut(name, 1000))
            .or_else(|| before.full_name.clone()),
        operation: record.operation.as_ref().map(operation),
        sync: sync(decision),
        plan: decision.plan.iter().map(plan_item).collect(),
        last_handled_reconcile_at: requested(object),
        conditions: conditions(&before.conditions, &decision.verdict, generation, now),
    };
    if guid.is_none() {
        (status.short_name, status.full_name) = (None, None);
    }
    (status != *before).then_some(status)
}

fn plan_item(item: &oc_domain::decision::PlanItem) -> oc_api::service::PlanItem {
    oc_api::service::PlanItem {
        action: item.action.to_owned(),
        field: Some(item.field.to_owned()).filter(|field| !field.is_empty()),
        from: item.from.clone(),
        to: item.to.clone(),
    }
}

/// The parts of a lead's status that do not come from the platform's answer to this pass.
pub struct LeadExtras {
    /// The service object for the same tenant.
    pub service_ref: Option<oc_api::ObjectRef>,
    /// Whether people's names, email addresses and telephone numbers may be shown.
    pub contacts: bool,
}

/// Returns the status of a lead; `None` if it is unchanged.
pub fn of_lead(
    object: &oc_api::Lead,
    extras: LeadExtras,
    decision: &Decision,
    facts: &Facts,
    now: Time,
) -> Option<oc_api::LeadStatus> {
    let before = object.status.clone().unwrap_or_default();
    let generation = object.meta().generation.unwrap_or_default();
    let mut status = match facts.leads.value() {
        Some(view) => match lead_that_counts(&view.leads) {
            Some(lead) => oc_api::LeadStatus {
                other_leads: others(&view.leads),
                ..shown(lead, facts, extras.contacts, &before)
            },
            None if view.absence() == Absence::Proven => oc_api::LeadStatus::default(),
            None => before.clone(),
        },
        None => before.clone(),
    };
    status.observed_generation = Some(generation);
    status.assigned_channel_id = decision.record.assigned_channel;
    status.service_ref = extras.service_ref;
    status.operation = decision.record.operation.as_ref().map(operation);
    if !extras.contacts {
        // Whatever keeps this pass from reading the platform, data that may not be shown is removed.
        status.contact = None;
    }
    status.last_handled_reconcile_at = requested(object);
    status.conditions = conditions(&before.conditions, &decision.verdict, generation, now);
    (status != before).then_some(status)
}

/// Returns the status of a lead without its contact; `None` if it shows none. Needed because a pass that
/// reports nothing, while the platform is away, removes nothing from a status.
pub fn without_contact(object: &oc_api::Lead) -> Option<oc_api::LeadStatus> {
    let status = object.status.as_ref().filter(|status| status.contact.is_some())?;
    Some(oc_api::LeadStatus {
        contact: None,
        ..status.clone()
    })
}

fn origin(lead: &LeadFact) -> String {
    let origin = if lead.consentless {
        oc_api::LeadOrigin::Consentless
    } else {
        oc_api::LeadOrigin::Consented
    };
    origin.as_str().to_owned()
}

fn microsoft_status(lead: &LeadFact) -> String {
    cut(lead.status.label(), 200)
}

/// The leads of the tenant that do not count. Nothing about people, whatever the platform object allows.
fn others(leads: &[Arc<LeadFact>]) -> Vec<oc_api::OtherLead> {
    let other = |lead: &LeadFact| oc_api::OtherLead {
        lead_id: lead.id.to_string(),
        origin: Some(origin(lead)),
        microsoft_status: Some(microsoft_status(lead)),
    };
    other_leads(leads).into_iter().take(10).map(other).collect()
}

fn shown(lead: &LeadFact, facts: &Facts, contacts: bool, before: &oc_api::LeadStatus) -> oc_api::LeadStatus {
    let license = match (&lead.service, facts.services.value()) {
        (None, _) => Some("None".to_owned()),
        (Some(guid), Some(view)) => view
            .by_tenant
            .iter()
            .find(|service| &service.guid == guid)
            .and_then(|service| service.license)
            .map(|license| license.label().into_owned()),
        (Some(_), None) => before.license_type.clone(),
    };
    let contact = lead.contact.as_ref().filter(|_| contacts);
    let contact = contact.map(|contact| oc_api::Contact {
        full_name: contact.full_name.as_deref().map(|text| cut(text, 500)),
        email: contact.email.as_deref().map(|text| cut(text, 500)),
        phone_number: contact.phone_number.as_deref().map(|text| cut(text, 100)),
    });
    oc_api::LeadStatus {
        lead_id: Some(lead.id.to_string()),
        origin: Some(origin(lead)),
        microsoft_status: Some(microsoft_status(lead)),
        company_name: lead.company_name.as_deref().map(|name| cut(name, 1000)),
        company_size: lead.company_size.as_deref().map(|size| cut(size, 200)),
        countries: lead
            .countries
            .iter()
            .take(300)
            .map(|country| cut(country, 64))
            .collect(),
        consented_time: lead.consented.map(written),
        last_modified_time: lead.last_modified.map(written),
        channel_id: lead.channel,
        license_type: license,
        ump_customer_guid: lead.service.as_ref().map(ToString::to_string),
        contact,
        ..oc_api::LeadStatus::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_domain::conditions::{Reason, Trouble};
    use oc_domain::decision::Step;
    use oc_domain::facts::Fact;
    use oc_domain::policy::PlatformAccess;
    use oc_domain::record::Record;

    fn decision(reason: Reason) -> Decision {
        let verdict = Verdict::not_ready(reason, "Because.");
        Decision {
            step: Step::Idle(Time(0)),
            why: "",
            verdict,
            record: Record::default(),
            plan: Vec::new(),
            hold: false,
        }
    }

    /// A lead that shows a person, and whose pass did not read the platform.
    #[test]
    fn a_contact_goes_whatever_keeps_the_pass_from_looking() {
        let object = serde_json::json!({
            "apiVersion": "operatorconnect.dev/v1alpha1", "kind": "Lead", "metadata": {"name": "contoso"}, "spec": {"msTenantId": "x"},
            "status": {"companyName": "Contoso", "contact": {"fullName": "Ada Lovelace"}, "conditions": []},
        });
        let object: oc_api::Lead = serde_json::from_value(object).unwrap();
        let trouble = Trouble::new(Reason::PlatformUnavailable, "It is away.");
        for reason in [
            Reason::Suspended,
            Reason::Conflict,
            Reason::NamespaceNotAllowed,
            Reason::PlatformNotFound,
        ] {
            for leads in [Fact::Unread, Fact::Unreadable(trouble.clone())] {
                let facts = Facts {
                    leads,
                    ..Facts::unread(Time(0), PlatformAccess::Unusable(trouble.clone()))
                };
                let shown = |contacts| {
                    of_lead(
                        &object,
                        LeadExtras {
                            service_ref: None,
                            contacts,
                        },
                        &decision(reason),
                        &facts,
                        Time(0),
                    )
                    .unwrap()
                };
                assert!(shown(true).contact.is_some(), "{reason}");
                assert!(shown(false).contact.is_none(), "{reason}: Omit");
                assert_eq!(
                    shown(false).company_name.as_deref(),
                    Some("Contoso"),
                    "{reason}: the rest stays"
                );
            }
        }
    }

    /// The API server rejects a list with two conditions of one type.
    #[test]
    fn conditions_written_over_themselves_are_the_same_and_those_of_others_stay() {
        let trouble = || Some(Trouble::new(Reason::Conflict, "Because."));
        let told = || {
            Some((
                oc_domain::conditions::ConditionStatus::False,
                Reason::Progressing,
                "Because.".into(),
            ))
        };
        let all = Verdict {
            synced: told(),
            lead_eligible: told(),
            held: trouble(),
            absences: trouble(),
            ..Verdict::not_ready(Reason::Progressing, "x")
        };
        let stalled = Verdict {
            held: trouble(),
            ..Verdict::not_ready(Reason::Conflict, "x")
        };
        for verdict in [all, stalled] {
            let foreign = Condition {
                type_: "Somebodys".into(),
                ..conditions(&[], &verdict, 1, Time(0))[0].clone()
            };
            let before: Vec<_> = conditions(&[], &verdict, 1, Time(0))
                .into_iter()
                .chain([foreign.clone()])
                .collect();
            assert_eq!(conditions(&before, &verdict, 1, Time(9_000)), before);
            let after = conditions(&before, &Verdict::ready("x"), 2, Time(9_000));
            assert_eq!(
                after
                    .iter()
                    .map(|condition| condition.type_.as_str())
                    .collect::<Vec<_>>(),
                ["Ready", "Somebodys"]
            );
            assert_eq!(after[1], foreign);
        }
    }
}
