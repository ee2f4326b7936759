//! Checks whether a service may be created for a lead. The checks are ordered and named; the message is that
//! of the first one that fails.
//!
//! A pass on all checks may rest on a list that is a few seconds old, since the create itself needs a list of
//! its own pass. A failure is reported only from a list read in this pass.

use std::sync::Arc;

use crate::absence::Belief;
use crate::conditions::{ConditionStatus, Reason, Trouble};
use crate::decision::{Decision, PlanItem, Query};
use crate::eligibility::{ELIGIBLE, lead_that_counts, licensed, not_active};
use crate::facts::{Fact, LeadsView};
use crate::model::{LcCustomerAnswer, Lead, Service};
use crate::names::ShortName;
use crate::policy::{PlatformAccess, Policy};
use crate::timing;

use super::{DesiredService, ServiceCase, ServicesView};

/// Runs the checks, requesting the facts they need, and creates the service when all of them succeed.
pub(super) fn eligible(
    case: ServiceCase<'_>,
    policy: &Policy,
    desired: &DesiredService,
    view: &ServicesView,
) -> Decision {
    let facts = case.facts;
    if let Some(trouble) = &desired.missing {
        return case.missing(trouble.clone(), "a reference is missing");
    }
    if let Some(trouble) = short_name_fits(&facts.connection, desired) {
        return case.stop(trouble, "the short name breaks the platform's rule");
    }
    let since = facts.pass_started;
    if let Some(trouble) = beside_direct_routing(desired, view).or_else(|| short_name_taken(desired, view)) {
        if facts.services.since(since).is_none() {
            return case.look(
                Query::Services,
                since,
                "does the list still show what prevents a create",
            );
        }
        return case.stop(trouble, "the list of services shows what prevents a create");
    }
    let not_before = facts.pass_started - timing::CREATE_LOOK;
    if let Fact::Unreadable(trouble) = &facts.leads {
        let trouble = trouble.clone();
        return case.unreadable(trouble);
    }
    let Some(view_of_leads) = facts.leads.since(not_before) else {
        return case.look(Query::Leads, not_before, "is the lead eligible");
    };
    let lead = match lead_eligible(&view_of_leads.leads, desired, view) {
        Ok(lead) => lead,
        // People apply the object just after they created what it needs, so a failure is reported only from a
        // list read in this pass.
        Err(_) if facts.leads.since(since).is_none() => {
            return case.look(Query::Leads, since, "is the lead still not eligible");
        }
        Err(trouble) => return ineligible(case, view_of_leads, trouble),
    };
    if let Some(decision) = lc_customer_unfit(&case, lead, desired) {
        return decision;
    }
    let mut decision = case.create(policy, desired);
    decision.verdict.lead_eligible = Some((ConditionStatus::True, Reason::Succeeded, ELIGIBLE.into()));
    decision
}

/// Reports why the lead can't become a service, once the absence of a lead is proven.
fn ineligible(case: ServiceCase<'_>, leads: &LeadsView, trouble: Trouble) -> Decision {
    let eligible = (ConditionStatus::False, trouble.reason, trouble.message.clone());
    let mut decision = if trouble.reason == Reason::LeadNotFound {
        if let Some(decision) = case.no_lead_is_not_proven(leads) {
            return decision;
        }
        case.missing(trouble, "no lead for the tenant")
    } else {
        case.stop(trouble, "the lead is not eligible")
    };
    decision.verdict.lead_eligible = Some(eligible);
    decision
}

/// Reads the LC customer of the spec, and blocks the create if it does not fit. `None` when it does.
fn lc_customer_unfit(case: &ServiceCase<'_>, lead: &Lead, desired: &DesiredService) -> Option<Decision> {
    let id = desired.parameters.lc_customer?;
    match &case.facts.lc_customer {
        Fact::Unread => Some(case.copy().look(
            Query::LcCustomer(id),
            case.facts.pass_started,
            "which channel has the LC customer",
        )),
        Fact::Unreadable(trouble) => Some(case.copy().unreadable(trouble.clone())),
        Fact::Known { value, .. } => lc_customer_fits(value, id, lead, desired)
            .map(|trouble| case.copy().stop(trouble, "the LC customer can't be used")),
    }
}

/// S3: the rule of the platform object (C-2). Checked only before a create: a service that exists or is being
/// made keeps its name.
fn short_name_fits(connection: &PlatformAccess, desired: &DesiredService) -> Option<Trouble> {
    let PlatformAccess::Usable(policy) = connection else {
        return None;
    };
    let bad = ShortName::check(desired.parameters.short_name.as_str(), policy.short_name_rule).err()?;
    let message = format!(
        "spec.shortName {bad}. No service was created for this object, and the name can't be changed: recreate the object with another name."
    );
    Some(Trouble::new(Reason::InvalidSpec, message))
}

/// C-31, U-25: it is not documented whether an Operator Connect service can exist beside a Direct Routing
/// one, and the pages disagree on which license a number means (C-19). So a second paid service needs a
/// person's consent.
fn beside_direct_routing(desired: &DesiredService, view: &ServicesView) -> Option<Trouble> {
    let other = view.direct_routing().filter(|_| !desired.beside_direct_routing)?;
    let message = format!(
        "The tenant has the Direct Routing service {}. It is not documented whether the platform accepts an Operator Connect service beside it. To request one anyway, set spec.besideDirectRouting to true; the operator does not change the Direct Routing service.",
        other.described()
    );
    Some(Trouble::new(Reason::AlreadyLicensed, message))
}

/// S3: unique on the whole platform (N-3), ignoring case. The tenant's own Direct Routing service counts too,
/// since it is another service.
fn short_name_taken(desired: &DesiredService, view: &ServicesView) -> Option<Trouble> {
    let is_another =
        |service: &&Service| service.tenant.as_ref() != Some(&desired.tenant) || service.direct_routing();
    let other = view.by_name.iter().map(Arc::as_ref).find(is_another)?;
    // Do not say whose service it is: that is another customer, and the reader may administer a third one.
    let message = format!(
        "spec.shortName {} is taken by another service on the platform, umpCustomerGuid {}. Short names are unique on a platform. No service was created for this object: recreate the object with another name.",
        desired.parameters.short_name, other.guid
    );
    Some(Trouble::new(Reason::ShortNameTaken, message))
}

/// S2: the lead must be Active and have no license. S4: it must be in the channel that the spec names.
fn lead_eligible<'a>(
    leads: &'a [Arc<Lead>],
    desired: &DesiredService,
    view: &ServicesView,
) -> Result<&'a Lead, Trouble> {
    let refuse = |reason, message: String| Err(Trouble::new(reason, message));
    let Some(lead) = lead_that_counts(leads) else {
        return refuse(
            Reason::LeadNotFound,
            format!(
                "The platform has no lead for tenant {}. The customer must choose your company as its operator in the Teams admin center, or a consentless lead must be created.",
                desired.tenant
            ),
        );
    };
    if let Some(trouble) = not_active(leads, lead).or_else(|| licensed(lead, view)) {
        return Err(trouble);
    }
    match (desired.parameters.channel, lead.channel) {
        (Some(wanted), Some(has)) if wanted != has => refuse(
            Reason::ChannelMismatch,
            format!(
                "The lead belongs to channel {has}, but spec.channelId is {wanted}. Correct spec.channelId, or have the lead assigned to the other channel."
            ),
        ),
        _ => Ok(lead),
    }
}

/// S4: when the lead belongs to a channel, only that channel's LC customers may be used.
fn lc_customer_fits(
    answer: &LcCustomerAnswer,
    id: i64,
    lead: &Lead,
    desired: &DesiredService,
) -> Option<Trouble> {
    let customer = match answer {
        LcCustomerAnswer::Found(customer) => customer,
        LcCustomerAnswer::NotFound => {
            let message = format!(
                "The platform has no LC customer {id}. Correct spec.lcCustomerId, or leave it out to have one created."
            );
            return Some(Trouble::new(Reason::InvalidSpec, message));
        }
        LcCustomerAnswer::NoSuchCall => return None,
    };
    let channel = desired.parameters.channel.or(lead.channel)?;
    if customer.channel == Some(channel) {
        return None;
    }
    let where_it_is = customer
        .channel
        .map_or_else(|| "in no channel".to_owned(), |own| format!("in channel {own}"));
    Some(Trouble::new(
        Reason::ChannelMismatch,
        format!(
            "LC customer {id} is {where_it_is}, but the lead belongs to channel {channel}. Set spec.lcCustomerId to one of that channel's customers."
        ),
    ))
}

/// Lists what a create would set, field by field.
pub(super) fn plan_create(desired: &DesiredService) -> Vec<PlanItem> {
    let tenant = ("msTenantId", Some(desired.tenant.to_string()));
    let parameters = desired.parameters.each().into_iter();
    std::iter::once(tenant)
        .chain(parameters.map(|parameter| (parameter.field, parameter.planned)))
        .filter_map(|(field, to)| {
            Some(PlanItem {
                action: "Create",
                field,
                from: None,
                to: Some(to?),
            })
        })
        .collect()
}

impl ServiceCase<'_> {
    /// The wait to take while a complete list is not believed (see [`crate::absence`]). `None` when it is.
    pub(super) fn unbelieved(&self) -> Option<Decision> {
        let (step, why, verdict) = self.facts.belief.doubt(self.now, "services")?;
        let hold = self.facts.ready_at_generation && self.facts.belief == Belief::Doubted;
        Some(Decision {
            hold,
            ..self.copy().decide(step, why, verdict)
        })
    }

    /// The step still needed to prove that a create left nothing. `None` when that is proven.
    pub(super) fn unproven(&self, view: &ServicesView) -> Option<Decision> {
        self.unbelieved()
            .or_else(|| (!view.complete).then(|| self.copy().not_whole()))
    }

    pub(super) fn not_whole(self) -> Decision {
        let message = "The list of services has entries that can't be read, and a service of this tenant may be among them. Ask the team that runs the Live Platform to fix that.";
        self.stop(
            Trouble::new(Reason::PlatformRefused, message),
            "the list of services is incomplete",
        )
    }
}
