//! The steps of one pass over a `LivePlatform`: the desired state, the facts, and the calls to the platform.

use std::sync::Arc;

use kube::ResourceExt;
use live_platform::JobMethod;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{ChangeResult, Query, Step};
use oc_domain::facts::Fact;
use oc_domain::platform::{
    DesiredPlatform, PlatformDecision, PlatformFacts, PlatformRecord, RanAt, Waiting, decide,
};
use oc_domain::record::Job;

use crate::cluster::address;
use crate::cluster::reading::{self, trigger};
use crate::cluster::record::{self, LEADS_JOB_RAN, TRUNKS_JOB_RAN, approval, requested};
use crate::controllers::audit::AuditRecord;
use crate::controllers::context::Context;
use crate::controllers::live_platform::discovery::{self, Told};
use crate::controllers::observe::{answer, fact};
use crate::controllers::{absences, deletions};
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use crate::runtime::leadership::Leadership;
use oc_api::live_platform::HttpMethod;
use oc_api::{LeadDiscoveryStatus, LivePlatform};

fn desired(
    context: &Context,
    object: &LivePlatform,
    unusable: Option<Trouble>,
    unproven: Option<Trouble>,
    discovery: &Told,
) -> DesiredPlatform {
    let ran = |name: &str| {
        let text = object.annotations().get(name)?;
        Some(RanAt::new(
            text,
            text.parse::<jiff::Timestamp>().ok().map(clock::time),
        ))
    };
    DesiredPlatform {
        observe_interval: object.spec.observe_interval.span(),
        trigger: trigger(object),
        ran_at: [ran(LEADS_JOB_RAN), ran(TRUNKS_JOB_RAN)],
        deletions: deletions::per_hour(context, object).into(),
        approval: approval(object),
        absence_approval: record::absence_approval(object),
        account: address::account(object),
        reconcile_requested: requested(object)
            != object
                .status
                .as_ref()
                .and_then(|status| status.last_handled_reconcile_at.clone()),
        unusable,
        unfollowed: unproven.or_else(|| discovery.trouble.clone()),
        discovered: discovery.condition.clone(),
    }
}

/// The result of the steps of a pass.
pub(super) struct Driven {
    pub(super) decision: PlatformDecision,
    /// A requested job was not run.
    pub(super) refused: bool,
    /// The jobs that were run.
    pub(super) ran: Vec<Job>,
    /// The counts of discovery that belong to the decision.
    pub(super) lead_discovery: Option<LeadDiscoveryStatus>,
}

impl Driven {
    fn with(decision: PlatformDecision, facts: &PlatformFacts, discovery: Told) -> Self {
        let answer = facts.answer.as_ref().map(|(job, _, answer)| (*job, answer));
        let refused = matches!(
            answer,
            Some((_, ChangeResult::NotSent(_) | ChangeResult::Rejected(_)))
        );
        let ran = answer.filter(|(_, answer)| **answer == ChangeResult::Done);
        let ran = ran.map(|(job, _)| job).into_iter().collect();
        Self {
            decision,
            refused,
            ran,
            lead_discovery: discovery.status,
        }
    }
}

/// Performs the decided steps until nothing is left for now.
pub(super) async fn drive(
    context: &Arc<Context>,
    object: &LivePlatform,
    inventory: &Result<Arc<Inventory>, Trouble>,
    unproven: Option<Trouble>,
    failures: u32,
) -> Driven {
    let name = object.name_any();
    // Read once: a run of discovery beside this pass may end at any moment.
    let discovery = discovery::told(context, object);
    let unusable = inventory.as_ref().err().cloned();
    let desired = desired(context, object, unusable, unproven, &discovery);
    // A requested reconcile means that someone has fixed something, perhaps in the directory, where no Secret
    // changes, or knows that the platform can be called again. One call is enough to find out.
    if let (true, Ok(inventory)) = (desired.reconcile_requested, inventory) {
        inventory.budget().probe_now();
        inventory.forget_failures();
    }
    let mut record = reading::record(object);
    let mut facts = PlatformFacts {
        leads: Fact::Unread,
        services: Fact::Unread,
        waiting: context.tallies.due(&name).map(|due| Waiting { due }),
        counted: None,
        deletions: deletions::wanted(context, &name),
        answer: None,
        failures,
    };
    for _ in 0..8 {
        let decision = counted(context, object, &desired, &record, &facts);
        let Ok(inventory) = inventory else {
            return Driven::with(decision, &facts, discovery);
        };
        match &decision.step {
            Step::Observe(Query::Services, not_before) => {
                let list = inventory.services(*not_before).await;
                facts.services = fact(list.map(|(at, list)| (at, list.unreadable())));
                facts.counted = Some(absences::recounted(context, &name, inventory));
            }
            Step::Observe(Query::Leads, not_before) => {
                let list = inventory.leads(*not_before).await;
                facts.leads = fact(list.map(|(at, list)| (at, list.unreadable())));
                facts.counted = Some(absences::recounted(context, &name, inventory));
            }
            Step::Execute(job) => {
                let begun = clock::now();
                let line = AuditRecord::asking(object, &name, *job, None).begin();
                let answer = run_job(&context.leadership, object, inventory, *job).await;
                line.answered(&answer);
                facts.answer = Some((*job, begun, answer));
            }
            _ => return Driven::with(decision, &facts, discovery),
        }
        record = decision.record;
    }
    tracing::error!(name, "a pass over a platform took too many steps; this is a bug");
    Driven {
        decision: counted(context, object, &desired, &record, &facts),
        refused: true,
        ran: Vec::new(),
        lead_discovery: discovery.status,
    }
}

/// Decides, with the deletions that other platform objects of the same place have granted.
fn counted(
    context: &Context,
    object: &LivePlatform,
    desired: &DesiredPlatform,
    record: &PlatformRecord,
    facts: &PlatformFacts,
) -> PlatformDecision {
    deletions::counting(context, object, |limit| {
        let decision = decide(
            clock::now(),
            &DesiredPlatform {
                deletions: limit,
                ..desired.clone()
            },
            record,
            facts,
        );
        let ledger = decision.record.ledger.clone();
        (decision, ledger)
    })
}

async fn run_job(
    leadership: &Leadership,
    object: &LivePlatform,
    inventory: &Inventory,
    job: Job,
) -> ChangeResult {
    let Some(http) = &object.spec.sync_jobs.http else {
        return ChangeResult::Rejected(Trouble::new(
            Reason::InvalidSpec,
            "spec.syncJobs.http is missing.",
        ));
    };
    let text = match job {
        Job::Leads => &http.leads_url,
        Job::Trunks => &http.trunks_url,
    };
    let Ok(url) = reqwest::Url::parse(text) else {
        return ChangeResult::Rejected(Trouble::new(
            Reason::InvalidSpec,
            "spec.syncJobs.http contains a value that is not a URL.",
        ));
    };
    let method = match http.method {
        HttpMethod::Post => JobMethod::Post,
        HttpMethod::Put => JobMethod::Put,
    };
    answer(
        inventory
            .budget()
            .change(leadership, inventory.client().run_job(&url, method))
            .await,
        |()| ChangeResult::Done,
        |_, trouble| trouble,
    )
}
