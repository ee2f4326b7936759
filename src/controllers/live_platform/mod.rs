//! `LivePlatform`: the connection, the lists, the synchronization jobs, and what the object says of them.

mod connection;
mod discovery;

use std::sync::Arc;

use kube::{Resource, ResourceExt};
use live_platform::JobMethod;
use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Change, ChangeResult, Query, Step};
use oc_domain::facts::Fact;
use oc_domain::memory::PassMemory;
use oc_domain::platform::{
    DesiredPlatform, PlatformDecision, PlatformFacts, PlatformRecord, RanAt, Waiting, decide, index,
};
use oc_domain::record::Job;
use oc_domain::time::{Duration, Time};
use oc_domain::timing;

use crate::cluster::address;
use crate::cluster::key::{Kind, ObjectKey};
use crate::cluster::reading::{self, trigger};
use crate::cluster::record::{
    self, LC_CUSTOMERS, LEADS_JOB_RAN, NUMBERS, TRUNKS_JOB_RAN, approval, job, requested,
};
use crate::cluster::status;
use crate::controllers::action::{Action, forgotten, outcome};
use crate::controllers::audit::AuditRecord;
use crate::controllers::context::Context;
use crate::controllers::metrics::PassOutcome;
use crate::controllers::observe::{answer, fact};
use crate::controllers::{absences, deletions, events, handlers, object};
use crate::platform::connections::{Connected, CredentialBackoff, LastWorking};
use crate::platform::inventory::Inventory;
use crate::runtime::clock;
use crate::runtime::driver::WriteError;
use crate::runtime::leadership::Leadership;
use crate::runtime::workqueue::Priority;
use oc_api::condition::ConditionType;
use oc_api::live_platform::{Capability, Circuit, HttpMethod, LeadCounts, RefusedJobTime, ServiceCounts};
use oc_api::{LivePlatform, LivePlatformStatus};

/// When a platform that no watched namespace may use is looked at again: a namespace's new label wakes nobody.
const OTHERS_LOOK: Duration = Duration::from_secs(20);

fn desired(
    context: &Context,
    object: &LivePlatform,
    unusable: Option<Trouble>,
    unproven: Option<Trouble>,
) -> DesiredPlatform {
    let (undiscovered, remark) = discovery::told(context, object);
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
        unfollowed: unproven
            .or_else(|| discovery::unwatched_namespace(context, object))
            .or(undiscovered),
        remark,
    }
}

/// Since when services of this platform wait for each job.
fn waiting(context: &Context, platform: &str) -> [Waiting; 2] {
    let mut waiting = [Waiting::default(); 2];
    let keys = context.cache.index.on(platform);
    for key in keys.iter().filter(|key| key.kind == Kind::OcEssentialService) {
        let Some(object) = context.cache.services.get(&key.namespace, &key.name) else {
            continue;
        };
        let Some(sync) = object.status.as_ref().and_then(|status| status.sync.as_ref()) else {
            continue;
        };
        for which in Job::ALL {
            let record = job(&sync.jobs, which.name());
            let open = matches!(
                record.state,
                oc_domain::record::JobState::Due | oc_domain::record::JobState::Requested
            );
            if let Some(due) = record.due.filter(|_| open) {
                let slot = &mut waiting[index(which)].due;
                *slot = Some(slot.map_or((due, due), |(earliest, latest)| {
                    (due.min(earliest), due.max(latest))
                }));
            }
        }
    }
    waiting
}

pub(crate) async fn reconcile(context: &Arc<Context>, key: &ObjectKey) -> (Action, PassOutcome) {
    let Some(object) = context.cache.platforms.get("", &key.name) else {
        return (forgotten(context, key, None), PassOutcome::Gone);
    };
    if context.is_out_of_scope(&object).await {
        tracing::debug!(kind = "LivePlatform", name = key.name, watched = %context.config.scope, "no namespace that is watched may use it: left to others");
        context.connections.set(&key.name, None);
        context.connections.back_off(&key.name, None);
        return (
            Action::RequeueAt(clock::now() + OTHERS_LOOK, Priority::Observe),
            PassOutcome::Waiting,
        );
    }
    let uid = object.meta().uid.clone();
    let memory = context
        .memory
        .with_pass(key, uid.as_deref(), |memory| memory.clone());
    let before = context.connections.of(&key.name);
    let connected = connection::connection(context, &object, memory.failures > 0).await;
    let other = before.as_ref().is_none_or(|before| connected.differs(before));
    let tries = before
        .as_ref()
        .is_some_and(|before| connected.tries_another(before));
    context.connections.set(&key.name, Some(connected.clone()));
    if other {
        handlers::platform_is_back(context, &key.name);
    } else if tries {
        // Nothing has changed for the objects.
    } else if let Some(at) = held(context, &object, &connected) {
        return (Action::RequeueAt(at, Priority::Effect), PassOutcome::Failed);
    }
    let (connected, unproven) = prove(context, key, &object, connected).await;
    // A changed spec begins anew.
    let generation = object.meta().generation.unwrap_or_default();
    let failures = memory.failures_of(generation);
    let unproven = unproven.map(|trouble| oc_domain::platform::unproven(&trouble, failures));
    let tries = unproven.is_some();
    let Driven {
        decision,
        refused,
        ran,
    } = drive(context, &object, &connected.inventory, unproven, failures).await;
    use Reason::{AuthenticationFailed, PlatformRefused, PlatformUnavailable, Throttled};
    let failed = matches!(
        decision.verdict.reason,
        PlatformUnavailable | PlatformRefused | Throttled | AuthenticationFailed
    );
    let written = patch_status(context, &object, &decision, connected.inventory.as_ref().ok()).await;
    events::of_platform(
        context,
        &object,
        &reading::record(&object),
        &decision,
        &ran,
        written.is_ok(),
    );
    let undiscovered = match (&connected.inventory, failed) {
        (Ok(inventory), false) => discover(context, &object, inventory).await,
        _ => None,
    };
    let failed = failed || tries || refused || matches!(&written, Err(failed) if failed.lasts());
    let memory = context.memory.with_pass(key, uid.as_deref(), |memory| {
        memory.failures = if failed { failures.saturating_add(1) } else { 0 };
        memory.conflicts = if matches!(written, Err(WriteError::Conflict)) {
            memory.conflicts.saturating_add(1)
        } else {
            0
        };
        memory.generation = Some(generation);
        memory.clone()
    });
    outcome(decision.verdict.reason, decision.why);
    tracing::debug!(kind = "LivePlatform", name = key.name, step = ?decision.step, why = decision.why, reason = %decision.verdict.reason, "looked");
    let outcome = match &written {
        Err(failed) => PassOutcome::unwritten(failed),
        Ok(()) => PassOutcome::of(&decision.verdict, false),
    };
    let next = match next(&decision, written, &memory) {
        Action::RequeueAt(at, _) if tries => Action::RequeueAt(
            at.min(timing::next_try(clock::now(), memory.failures, None)),
            Priority::Effect,
        ),
        Action::RequeueAt(at, priority) => {
            Action::RequeueAt(undiscovered.map_or(at, |again| at.min(again)), priority)
        }
        Action::AwaitChange => Action::AwaitChange,
    };
    let refused = tries && connected.refused() || decision.verdict.reason == AuthenticationFailed;
    remember(context, key, &object, connected, &decision);
    (hold(context, key, refused, next), outcome)
}

/// Makes the Lead objects that are missing. Returns when the platform is looked at again for their sake: what has come of it is told by the next pass.
async fn discover(context: &Arc<Context>, object: &LivePlatform, inventory: &Inventory) -> Option<Time> {
    let before = discovery::told(context, object);
    let again = discovery::discover(context, object, inventory).await;
    let soon = clock::now() + Duration::from_millis(100);
    if discovery::told(context, object) == before {
        again.map(|again| again.max(soon))
    } else {
        Some(soon)
    }
}

/// Tries a credential that was changed, if there is one.
async fn prove(
    context: &Arc<Context>,
    key: &ObjectKey,
    object: &LivePlatform,
    connected: Connected,
) -> (Connected, Option<Trouble>) {
    let tries = connected.trying.is_some();
    let (connected, unproven) = connection::prove(connected, object).await;
    if tries && unproven.is_none() {
        context.connections.set(&key.name, Some(connected.clone()));
        handlers::platform_is_back(context, &key.name);
    }
    (connected, unproven)
}

/// While the credential fails and neither it nor the object has changed, there is nothing to decide: until when, and whether that is now, says this.
/// The platform is asked no sooner than the back-off has it. Deletions are counted all the same: they can go on by the connection that last worked.
fn held(context: &Context, object: &LivePlatform, connected: &Connected) -> Option<Time> {
    let now = clock::now();
    if deletions::uncounted(context, object) {
        return None;
    }
    let held = context
        .connections
        .credential_backoff(&object.name_any())
        .filter(|held| {
            now < held.until && held.version == object.resource_version() && connected.refused()
        })?;
    Some(held.until.min(now + connection::CREDENTIAL_LOOK))
}

/// A platform whose credential fails is passed over again soon, to see whether there is another Secret.
fn hold(context: &Context, key: &ObjectKey, refused: bool, next: Action) -> Action {
    let until = match next {
        Action::RequeueAt(until, _) if refused => Some(until),
        _ => None,
    };
    // The version after our own write of status, which is no news.
    let version = context
        .cache
        .platforms
        .get("", &key.name)
        .and_then(|object| object.resource_version());
    context
        .connections
        .back_off(&key.name, until.map(|until| CredentialBackoff { version, until }));
    match until {
        Some(until) => Action::RequeueAt(
            until.min(clock::now() + connection::CREDENTIAL_LOOK),
            Priority::Effect,
        ),
        None => next,
    }
}

/// The connection by which the platform was read is remembered as good.
fn remember(
    context: &Context,
    key: &ObjectKey,
    object: &LivePlatform,
    connected: Connected,
    decision: &PlatformDecision,
) {
    let Ok(inventory) = connected.inventory.clone() else {
        return;
    };
    let known = connected
        .last_good
        .as_ref()
        .is_some_and(|good| good.fingerprint == connected.fingerprint);
    if decision.answers() && !known {
        let last_good = Some(LastWorking {
            fingerprint: connected.fingerprint.clone(),
            identity: address::identity(object),
            inventory,
        });
        context.connections.set(
            &key.name,
            Some(Connected {
                last_good,
                ..connected
            }),
        );
    }
}

fn next(decision: &PlatformDecision, written: Result<(), WriteError>, memory: &PassMemory) -> Action {
    match (written, &decision.step) {
        (Err(WriteError::NotFound), _) => Action::AwaitChange,
        (Err(WriteError::Conflict), _) => Action::RequeueAt(
            timing::after_conflict(clock::now(), memory.conflicts),
            Priority::Effect,
        ),
        (Err(failed), _) => {
            tracing::warn!(
                ?failed,
                "the platform object could not be written and is tried again"
            );
            Action::RequeueAt(
                timing::next_try(clock::now(), memory.failures, None),
                Priority::Effect,
            )
        }
        (Ok(()), Step::Idle(until) | Step::Blocked(until) | Step::Wait(until, _)) => {
            Action::RequeueAt(*until, Priority::Effect)
        }
        (Ok(()), _) => Action::RequeueAt(clock::now() + timing::SETTLING, Priority::Effect),
    }
}

/// What the steps of a pass came to.
struct Driven {
    decision: PlatformDecision,
    /// A job that was asked for was not run.
    refused: bool,
    /// The jobs that were run.
    ran: Vec<Job>,
}

/// Performs what is decided until nothing is left for now.
async fn drive(
    context: &Arc<Context>,
    object: &LivePlatform,
    inventory: &Result<Arc<Inventory>, Trouble>,
    unproven: Option<Trouble>,
    failures: u32,
) -> Driven {
    let name = object.name_any();
    let desired = desired(context, object, inventory.as_ref().err().cloned(), unproven);
    // Whoever asks for a look has put something in order, perhaps at the directory, where no Secret changes, or knows that the platform need not be left
    // alone any more. It is one call that finds out.
    if let (true, Ok(inventory)) = (desired.reconcile_requested, inventory) {
        inventory.budget().probe_now();
        inventory.forget_failures();
    }
    let mut record = reading::record(object);
    let mut facts = PlatformFacts {
        leads: Fact::Unread,
        services: Fact::Unread,
        waiting: waiting(context, &name),
        counted: None,
        deletions: deletions::wanted(context, &name),
        answer: None,
        failures,
    };
    for _ in 0..8 {
        let decision = counted(context, object, &desired, &record, &facts);
        let refused = matches!(
            facts.answer,
            Some((_, _, ChangeResult::NotSent(_) | ChangeResult::Rejected(_)))
        );
        let ran = facts
            .answer
            .iter()
            .filter(|(_, _, answer)| *answer == ChangeResult::Done)
            .map(|(job, _, _)| *job)
            .collect();
        let driven = |decision| Driven {
            decision,
            refused,
            ran,
        };
        let Ok(inventory) = inventory else {
            return driven(decision);
        };
        match &decision.step {
            Step::Observe(Query::Services, not_before) => {
                facts.services = fact(
                    inventory
                        .services(*not_before)
                        .await
                        .map(|(at, list)| (at, list.unreadable())),
                );
                facts.counted = Some(absences::recounted(context, &name, inventory));
            }
            Step::Observe(Query::Leads, not_before) => {
                facts.leads = fact(
                    inventory
                        .leads(*not_before)
                        .await
                        .map(|(at, list)| (at, list.unreadable())),
                );
                facts.counted = Some(absences::recounted(context, &name, inventory));
            }
            Step::Execute(Change::RunJob(job)) => {
                let begun = clock::now();
                let line = AuditRecord::asking(object, &name, &Change::RunJob(*job), None).begin();
                let answer = run_job(&context.leadership, object, inventory, *job).await;
                line.answered(&answer);
                facts.answer = Some((*job, begun, answer));
            }
            _ => return driven(decision),
        }
        record = decision.record;
    }
    tracing::error!(name, "a pass over a platform went in circles; this is a bug");
    Driven {
        decision: counted(context, object, &desired, &record, &facts),
        refused: true,
        ran: Vec::new(),
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
            "spec.syncJobs.http holds a text that is no URL.",
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
    )
}

async fn patch_status(
    context: &Context,
    object: &Arc<LivePlatform>,
    decision: &PlatformDecision,
    inventory: Option<&Arc<Inventory>>,
) -> Result<(), WriteError> {
    let before = object.status.clone().unwrap_or_default();
    let now = clock::now();
    let status = compose(object, &before, decision, inventory, now);
    if status == before {
        return Ok(());
    }
    let ran = status.sync_jobs != before.sync_jobs;
    let counted = status.deletions != before.deletions;
    let believed = status.absences != before.absences || held_absences(&status) != held_absences(&before);
    let written = object::PassObject::new(context, Arc::clone(object));
    written.patch_status(&status, false).await?;
    let (object, name) = (written.get(), object.name_any());
    if counted {
        deletions::counted(context, &object);
    }
    if ran {
        handlers::job_ran(context, &name);
    }
    if believed {
        handlers::platform_is_back(context, &name);
    }
    Ok(())
}

fn held_absences(status: &LivePlatformStatus) -> Option<&str> {
    let held = status
        .conditions
        .iter()
        .find(|condition| condition.type_ == ConditionType::AbsencesHeld.as_str());
    held.map(|condition| condition.message.as_str())
}

fn refused_times(refused: &[Option<String>; 2]) -> Vec<RefusedJobTime> {
    let told = |which: Job| {
        Some(RefusedJobTime {
            name: which.name().to_owned(),
            value: refused[index(which)].clone()?,
        })
    };
    Job::ALL.into_iter().filter_map(told).collect()
}

fn compose(
    object: &LivePlatform,
    before: &LivePlatformStatus,
    decision: &PlatformDecision,
    inventory: Option<&Arc<Inventory>>,
    now: Time,
) -> LivePlatformStatus {
    let generation = object.meta().generation.unwrap_or_default();
    let counts = inventory.map(|inventory| inventory.counts()).unwrap_or_default();
    let trouble = inventory.and_then(|inventory| inventory.budget().open_reason());
    let [total, active, suspended, removed] = counts.leads;
    let [services, essential] = counts.services;
    let known = inventory.is_some() && decision.answers();
    LivePlatformStatus {
        observed_generation: Some(generation),
        leads: if known {
            Some(LeadCounts {
                total,
                active,
                suspended,
                removed,
            })
        } else {
            before.leads.clone()
        },
        services: if known {
            Some(ServiceCounts {
                total: services,
                oc_essential: essential,
                other: services - essential,
            })
        } else {
            before.services.clone()
        },
        circuit: Some(Circuit {
            state: if trouble.is_some() {
                oc_api::CircuitState::Open
            } else {
                oc_api::CircuitState::Closed
            },
            reason: trouble.map(|trouble| trouble.reason.to_string()),
        }),
        sync_jobs: Job::ALL
            .iter()
            .map(|which| status::job(*which, &decision.record.jobs[index(*which)]))
            .collect(),
        deletions: status::deletions(&decision.record.ledger),
        absences: status::absences(&decision.record.absences),
        refused_job_times: refused_times(&decision.record.refused),
        capabilities: capabilities(before, inventory),
        last_handled_reconcile_at: requested(object),
        conditions: status::conditions(&before.conditions, &decision.verdict, generation, now),
    }
}

fn capabilities(before: &LivePlatformStatus, inventory: Option<&Arc<Inventory>>) -> Vec<Capability> {
    let Some(inventory) = inventory else {
        return before.capabilities.clone();
    };
    let told = before
        .capabilities
        .iter()
        .find(|told| told.name == LC_CUSTOMERS)
        .cloned();
    let known = |name: &str, has: bool| {
        let state = if has {
            oc_api::CapabilityState::Available
        } else {
            oc_api::CapabilityState::Unavailable
        };
        Capability {
            name: name.to_owned(),
            state,
        }
    };
    let lc_customers = inventory
        .reads_lc_customers()
        .map(|has| known(LC_CUSTOMERS, has))
        .or(told);
    // The inventory began with what status tells of this platform.
    let numbers = inventory.tells_numbers().map(|has| known(NUMBERS, has));
    lc_customers.into_iter().chain(numbers).collect()
}
