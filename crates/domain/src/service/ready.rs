//! What status says of an existing service: differences from the spec, fields that were not compared, errors
//! of the platform's task.

use std::sync::Arc;

use crate::conditions::{ConditionStatus, Reason, Verdict};
use crate::eligibility::lead_that_counts;
use crate::model::{Lead, LicenseType, Service};
use crate::record::{JobState, OperationKind, Outcome, Record};
use crate::requests::Shows;

use super::DesiredService;

/// Whether this object's own create made the service. The schema keeps what that create requested in the
/// spec.
pub(super) fn made_here(record: &Record) -> bool {
    record
        .operation
        .as_ref()
        .is_some_and(|op| op.kind == OperationKind::Create && op.ended() == Some(Outcome::Succeeded))
}

/// The service is gone from the platform, so nothing waits for a job. The times stay, in case it comes back.
pub(super) fn gone(record: &mut Record) {
    record.license = None;
    for job in [&mut record.leads_job, &mut record.trunks_job] {
        job.state = JobState::NotDue;
    }
}

/// The service appears again: a job that was done for it is not due a second time.
pub(super) fn is_back(record: &mut Record) {
    for job in [&mut record.leads_job, &mut record.trunks_job] {
        if job.state == JobState::NotDue && job.completed.is_some() {
            job.state = JobState::Synced;
        }
    }
}

/// Why this object's service is not ready with its license.
pub(super) fn other_license(service: &Service, license: LicenseType) -> String {
    format!(
        "The service {} of this object shows the license {}, which is not a known Operator Connect license. The operator leaves it unchanged. Ask the team that runs the Live Platform what happened to it.",
        service.guid,
        license.label()
    )
}

/// The platform did everything that was requested: Ready, with the differences.
pub(super) fn ready(
    record: &Record,
    desired: &DesiredService,
    service: &Service,
    leads: &[Arc<Lead>],
    direct_routing: Option<&Service>,
) -> Verdict {
    let shown = match service.license {
        Some(LicenseType::OcEssential) | None => "The platform shows the OC Essential service.".to_owned(),
        Some(other) => format!(
            "The platform shows the service with the license {}; the operator leaves an upgrade unchanged.",
            other.label()
        ),
    };
    let differences = differences(record, desired, service, leads);
    let beside = direct_routing
        .filter(|beside| beside.guid != service.guid)
        .map(|beside| {
            format!(
                "The operator leaves the tenant's Direct Routing service {} unchanged.",
                beside.guid
            )
        });
    let told: Vec<String> = std::iter::once(shown)
        .chain(differences.iter().cloned())
        .chain(errors_of_the_task(record))
        .chain(beside)
        .collect();
    let mut verdict = Verdict::ready(told.join(" "));
    verdict.synced = Some(if differences.is_empty() {
        (
            ConditionStatus::True,
            Reason::Succeeded,
            "The platform shows what it should.".into(),
        )
    } else {
        (
            ConditionStatus::False,
            Reason::Conflict,
            differences.join(" ").into(),
        )
    });
    verdict
}

/// Compares each field of the spec that can be compared. Names the fields that can't be, when this object did
/// not make the service.
fn differences(
    record: &Record,
    desired: &DesiredService,
    service: &Service,
    leads: &[Arc<Lead>],
) -> Vec<String> {
    let mut told = Vec::new();
    if service
        .full_name
        .as_deref()
        .is_some_and(|name| name.trim() != desired.parameters.full_name.trim())
    {
        told.push(
            "Its full name differs from spec.fullName, and the API has no call to rename a service. Set spec.fullName to status.fullName, or have the name changed on the platform."
                .to_owned(),
        );
    }
    if !crate::names::same_folded(&service.short_name, desired.parameters.short_name.as_str()) {
        told.push("Its short name differs from spec.shortName, and the API has no call to rename a service. Set spec.shortName to status.shortName.".to_owned());
    }
    let shown = leads
        .iter()
        .map(Arc::as_ref)
        .find(|lead| lead.service.as_ref() == Some(&service.guid))
        .or_else(|| lead_that_counts(leads));
    let channel = shown.and_then(|lead| lead.channel);
    if let (Some(wanted), Some(has)) = (desired.parameters.channel, channel)
        && wanted != has
    {
        told.push(format!("Its lead is in channel {has}, but spec.channelId is {wanted}. Have the lead assigned to that channel, or remove spec.channelId."));
    }
    if made_here(record) {
        told.extend(connection(record, desired).map(str::to_owned));
        return told;
    }
    let each = desired.parameters.each();
    let unseen: Vec<String> = [(Shows::OnLead, channel.is_none()), (Shows::Nowhere, true)]
        .into_iter()
        .filter(|(_, is_unseen)| *is_unseen)
        .flat_map(|(shows, _)| each.iter().filter(move |one| one.shows == shows && one.specified))
        .map(|one| format!("spec.{}", one.field))
        .collect();
    if !unseen.is_empty() {
        told.push(format!(
            "This object did not create the service, and the lists can't confirm {}. Check in the portal, and remove from the spec what does not match.",
            unseen.join(", ")
        ));
    }
    told
}

/// Compares how the service is connected, by IP group or by tenant id. The create fixed that, and the trunks
/// job became due accordingly.
fn connection(record: &Record, desired: &DesiredService) -> Option<&'static str> {
    match (
        desired.parameters.connection.is_ip_group(),
        record.trunks_job.due.is_some(),
    ) {
        (true, false) => Some(
            "spec.advancedSettings was added after the service was requested. Its SIP connection is by tenant id, and the API has no call to change that. Remove spec.advancedSettings again.",
        ),
        (false, true) => Some(
            "spec.advancedSettings was removed after the service was requested. Its SIP connection is by IP group, and the API has no call to change that. Put spec.advancedSettings back.",
        ),
        _ => None,
    }
}

/// The messages of level Error from the create's task, whatever its outcome (platform-facts.md 12.1, step 7).
/// They stay in the record after the platform has dropped the task.
pub(super) fn errors_of_the_task(record: &Record) -> Option<String> {
    let operation = record
        .operation
        .as_ref()
        .filter(|op| op.kind == OperationKind::Create && op.task.is_some())?;
    let error = |message: &String| {
        let (level, said) = message.split_once(": ")?;
        level
            .eq_ignore_ascii_case("error")
            .then(|| said.trim().trim_end_matches('.').to_owned())
    };
    let said: Vec<String> = operation
        .messages
        .iter()
        .filter_map(error)
        .filter(|said| !said.is_empty())
        .collect();
    if said.is_empty() {
        return None;
    }
    Some(format!(
        "The platform's task that created it reported errors: {}. Ask the team that runs the Live Platform what they mean for this service.",
        said.join("; ")
    ))
}
