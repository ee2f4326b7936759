//! Performs one pass over one object: executes each step that `oc_domain::pass` names, through an
//! [`Actuator`].
//!
//! It knows no kind and decides nothing.

use oc_domain::conditions::{Reason, Trouble};
use oc_domain::decision::{Change, ChangeResult, Decision, Mark, Query, Step, Wake};
use oc_domain::facts::Facts;
use oc_domain::pass::Pass;
use oc_domain::record::{Intent, OperationId, OperationKind, Record};
use oc_domain::time::Time;

/// Why one of our objects could not be written.
#[derive(Debug)]
pub enum WriteError {
    /// The object no longer exists.
    NotFound,
    /// The object was changed since it was read: the pass starts again with the newer version.
    Conflict,
    /// The API server rejected the write, in these words: a missing permission, an admission policy, a
    /// webhook.
    Rejected(String),
    /// The API server accepted the write but dropped a part that the operator needs: a mutating policy
    /// removes it.
    Dropped(&'static str),
    /// There was no response, or none that says whether the write happened: it may have been made.
    Unanswered(String),
}

impl WriteError {
    /// Whether this is a failure that is retried with back-off: not a conflict or a missing object.
    pub fn lasts(&self) -> bool {
        !matches!(self, Self::NotFound | Self::Conflict)
    }

    /// Returns what the object reports; `None` if it is no trouble of the object: a conflict, a missing
    /// object, an API server that is away.
    pub fn trouble(&self) -> Option<Trouble> {
        let message = match self {
            Self::NotFound | Self::Conflict | Self::Unanswered(_) => return None,
            Self::Rejected(sentence) => format!(
                "The API server refuses what the operator must record on this object: {sentence} Check admission policies, webhooks and the operator's permissions. The operator tries again."
            ),
            Self::Dropped(what) => format!(
                "The API server drops {what} from what the operator records on this object, so the operator requests nothing from the platform. Look for a mutating admission policy or webhook that removes it. The operator tries again."
            ),
        };
        Some(Trouble::new(Reason::ProgressingWithRetry, message))
    }
}

/// Everything that a pass can read or change.
pub trait Actuator: Send + Sync {
    /// Returns the time of day.
    fn now(&self) -> Time;
    /// Reads one thing and stores it in `facts`. This never fails: an unreadable fact is a fact too.
    fn observe(
        &self,
        query: &Query,
        not_before: Time,
        record: &Record,
        facts: &mut Facts,
    ) -> impl Future<Output = ()> + Send;
    /// Prepares the request of a coming change from everything that it needs. Missing inputs must be known
    /// before an intent is recorded on the object.
    ///
    /// # Errors
    /// What is missing.
    fn prepare(&self, kind: OperationKind) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// Waits for a place at the head of the platform's queue. The next change of this pass uses it.
    ///
    /// # Errors
    /// Why there is none.
    fn reserve(&self) -> impl Future<Output = Result<(), Trouble>> + Send;
    /// Returns an id that no other operation has.
    fn draw(&self) -> OperationId;
    /// Writes a mark to the object's metadata, provided that the object is as this pass read it. An intent
    /// gets this id.
    fn patch_metadata(
        &self,
        mark: &Mark,
        record: &Record,
        id: OperationId,
    ) -> impl Future<Output = Result<Option<Intent>, WriteError>> + Send;
    /// Requests one change from the platform.
    fn execute(&self, change: &Change, record: &Record) -> impl Future<Output = ChangeResult> + Send;
    /// Writes status if it differs. If a request was `sent`, its operation is written whatever else has
    /// changed on the object.
    fn patch_status(
        &self,
        decision: &Decision,
        facts: &Facts,
        sent: bool,
    ) -> impl Future<Output = Result<(), WriteError>> + Send;
}

/// How a pass ended.
#[derive(Debug)]
pub enum PassResult {
    /// The object waits until this time.
    Until(Time, Wake),
    /// The finalizer was removed, and the API server accepted that.
    Released,
    /// The object is gone; somebody else removed it.
    Gone,
    /// The object could not be written; the pass is retried.
    Unwritten(WriteError),
}

/// Runs a pass. Returns the last decision, and how it ended. The pass stays with the caller: moved here, a future
/// would have room for it three times, and a hundred passes wait at once.
pub async fn run<W: Actuator>(
    actuator: &W,
    pass: &mut Pass,
    decide: impl Fn(Time, &Record, &Facts) -> Decision + Send + Sync,
) -> (Decision, PassResult) {
    let mut has_place = false;
    loop {
        let decision = pass.next(actuator.now(), &decide);
        if let Some(bug) = &pass.bug {
            tracing::error!(bug, "a decision was refused; this is a bug");
        }
        let ended = match decision.step.clone() {
            Step::Observe(query, not_before) => {
                actuator
                    .observe(&query, not_before, &decision.record, &mut pass.facts)
                    .await;
                pass.looked(decision);
                continue;
            }
            // Reserve the place first, then record the intent, with the time of that moment. After a crash,
            // an intent whose request is still queued looks like one whose response was lost, and costs its
            // customer the grace.
            Step::PatchMetadata(Mark::RecordIntent { kind, .. }) if !has_place => {
                match ready(actuator, kind).await {
                    Ok(()) => has_place = true,
                    Err(trouble) => pass.held_back(trouble),
                }
                continue;
            }
            Step::PatchMetadata(mark) => {
                let id = actuator.draw();
                if matches!(mark, Mark::RecordIntent { .. }) {
                    pass.draws(id.clone());
                }
                match actuator.patch_metadata(&mark, &decision.record, id).await {
                    Ok(_) if mark == Mark::RemoveFinalizer => PassResult::Released,
                    Ok(intent) => {
                        pass.kept(&mark, decision, intent);
                        continue;
                    }
                    Err(WriteError::NotFound) => PassResult::Gone,
                    Err(failed) => {
                        if matches!(failed, WriteError::Dropped(_)) {
                            pass.dropped(&mark);
                        }
                        // Boxed, because it is rare, and has a copy of everything.
                        return Box::pin(unkept(actuator, pass, decision, failed)).await;
                    }
                }
            }
            Step::Execute(change) => {
                let answer = actuator.execute(&change, &decision.record).await;
                pass.answered(change, decision, answer);
                continue;
            }
            Step::Wait(until, wake) => said(actuator, &decision, pass, until, wake).await,
            Step::Idle(until) | Step::Blocked(until) => {
                said(actuator, &decision, pass, until, Wake::Inventory).await
            }
        };
        return (decision, ended);
    }
}

/// Prepares the request, then reserves its place.
async fn ready<W: Actuator>(actuator: &W, kind: OperationKind) -> Result<(), Trouble> {
    actuator.prepare(kind).await?;
    actuator.reserve().await
}

/// Reports on the object that the API server did not accept a mark, as far as its status can be written.
async fn unkept<W: Actuator>(
    actuator: &W,
    pass: &Pass,
    decision: Decision,
    failed: WriteError,
) -> (Decision, PassResult) {
    let Some(trouble) = failed.trouble() else {
        return (decision, PassResult::Unwritten(failed));
    };
    let decision = pass.unkept(actuator.now(), decision, &trouble);
    // Whatever the result of this write, the first write is the one that failed and is retried.
    let _said = actuator.patch_status(&decision, &pass.facts, pass.sent()).await;
    (decision, PassResult::Unwritten(failed))
}

async fn said<W: Actuator>(
    actuator: &W,
    decision: &Decision,
    pass: &Pass,
    until: Time,
    wake: Wake,
) -> PassResult {
    if decision.hold {
        return PassResult::Until(until, wake);
    }
    match actuator.patch_status(decision, &pass.facts, pass.sent()).await {
        Ok(()) => PassResult::Until(until, wake),
        Err(WriteError::NotFound) => PassResult::Gone,
        Err(failed) => PassResult::Unwritten(failed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oc_domain::conditions::{Reason, Verdict};
    use oc_domain::memory::PassMemory;
    use oc_domain::names::TenantId;
    use oc_domain::policy::PlatformAccess;
    use oc_domain::record::{OperationId, OperationKind, Sent};
    use oc_domain::requests::NewLead;
    use parking_lot::Mutex;

    /// An actuator that records what is done to it.
    struct Told {
        done: Mutex<Vec<&'static str>>,
        said: Mutex<Option<Verdict>>,
        /// Whether the platform has room, and whether the request has all its inputs.
        room: bool,
        whole: bool,
        /// The API server's response to an intent.
        refusal: Option<fn() -> WriteError>,
    }

    impl Default for Told {
        fn default() -> Self {
            Self {
                done: Mutex::default(),
                said: Mutex::default(),
                room: true,
                whole: true,
                refusal: None,
            }
        }
    }

    impl Told {
        fn does(&self, what: &'static str) {
            self.done.lock().push(what);
        }
    }

    impl Actuator for Told {
        fn now(&self) -> Time {
            Time(i64::try_from(self.done.lock().len()).unwrap() * 1000)
        }

        async fn observe(&self, _: &Query, _: Time, _: &Record, _: &mut Facts) {
            self.does("look");
        }

        async fn prepare(&self, _: OperationKind) -> Result<(), Trouble> {
            self.does("prepare");
            self.whole
                .then_some(())
                .ok_or_else(|| Trouble::new(Reason::InvalidSpec, "The Secret is not there."))
        }

        fn draw(&self) -> OperationId {
            OperationId("op".into())
        }

        async fn reserve(&self) -> Result<(), Trouble> {
            self.does("place");
            self.room
                .then_some(())
                .ok_or_else(|| Trouble::new(Reason::Throttled, "There is no room."))
        }

        async fn patch_metadata(
            &self,
            mark: &Mark,
            _: &Record,
            id: OperationId,
        ) -> Result<Option<Intent>, WriteError> {
            let Mark::RecordIntent { kind, start, .. } = *mark else {
                return Ok(None);
            };
            assert_eq!(start, self.now(), "the time after the place was waited for");
            self.does("keep");
            match self.refusal {
                Some(failed) => Err(failed()),
                None => Ok(Some(Intent {
                    kind,
                    id,
                    start,
                    tenant: None,
                    place: None,
                    sent: Sent::No,
                })),
            }
        }

        async fn execute(&self, _: &Change, _: &Record) -> ChangeResult {
            self.does("ask");
            ChangeResult::Done
        }

        async fn patch_status(&self, decision: &Decision, _: &Facts, sent: bool) -> Result<(), WriteError> {
            self.does(if sent { "say what was sent" } else { "say" });
            *self.said.lock() = Some(decision.verdict.clone());
            Ok(())
        }
    }

    /// Records an intent, requests the change, and idles.
    fn decide(now: Time, record: &Record, facts: &Facts) -> Decision {
        let tenant = TenantId::parse("22222222-2222-4222-8222-222222222222").unwrap();
        let step = match (&record.intent, &facts.answer) {
            (_, Some(_)) => Step::Idle(now),
            (Some(_), None) => Step::Execute(Change::CreateLead(NewLead {
                tenant,
                company_name: "Contoso".into(),
            })),
            (None, None) => Step::PatchMetadata(Mark::RecordIntent {
                kind: OperationKind::Create,
                start: now,
                tenant: None,
                place: None,
            }),
        };
        Decision {
            step,
            why: "",
            verdict: Verdict::ready("x"),
            record: record.clone(),
            plan: Vec::new(),
            hold: false,
        }
    }

    async fn done(actuator: &Told) -> (Vec<&'static str>, Pass, PassResult) {
        let facts = Facts::unread(
            Time(0),
            PlatformAccess::Unusable(Trouble::new(Reason::PlatformNotFound, "x")),
        );
        let mut pass = Pass::begin(Record::default(), facts, &PassMemory::default());
        let (_, ended) = run(actuator, &mut pass, decide).await;
        assert!(pass.bug.is_none(), "{:?}", pass.bug);
        (actuator.done.lock().clone(), pass, ended)
    }

    #[tokio::test]
    async fn the_request_is_whole_and_a_place_is_waited_for_before_an_intent_is_written() {
        let (steps, pass, ended) = done(&Told::default()).await;
        assert_eq!(
            (steps, pass.facts.answer),
            (
                vec!["prepare", "place", "keep", "ask", "say what was sent"],
                Some(ChangeResult::Done)
            )
        );
        assert!(matches!(ended, PassResult::Until(..)), "{ended:?}");
        for (actuator, expected, reason) in [
            (
                Told {
                    room: false,
                    ..Told::default()
                },
                vec!["prepare", "place", "say"],
                Reason::Throttled,
            ),
            (
                Told {
                    whole: false,
                    ..Told::default()
                },
                vec!["prepare", "say"],
                Reason::InvalidSpec,
            ),
        ] {
            let (steps, pass, _) = done(&actuator).await;
            assert_eq!(steps, expected);
            assert!(
                matches!(pass.facts.answer, Some(ChangeResult::NotSent(trouble)) if trouble.reason == reason)
            );
        }
    }

    #[tokio::test]
    async fn what_the_api_server_does_not_take_is_told_and_nothing_is_sent() {
        type Row = (fn() -> WriteError, &'static [&'static str], Option<&'static str>);
        let table: [Row; 4] = [
            (
                || WriteError::Rejected("denied by a policy.".into()),
                &["prepare", "place", "keep", "say"],
                Some("denied by a policy."),
            ),
            (
                || WriteError::Dropped("the finalizer"),
                &["prepare", "place", "keep", "say"],
                Some("drops the finalizer"),
            ),
            // An object reports neither what affects every object nor what the next pass corrects.
            (
                || WriteError::Unanswered("timed out".into()),
                &["prepare", "place", "keep"],
                None,
            ),
            (|| WriteError::Conflict, &["prepare", "place", "keep"], None),
        ];
        for (failed, expected, told) in table {
            let actuator = Told {
                refusal: Some(failed),
                ..Told::default()
            };
            let (steps, pass, ended) = done(&actuator).await;
            assert_eq!((steps.as_slice(), pass.sent()), (expected, false));
            assert!(matches!(ended, PassResult::Unwritten(_)), "{ended:?}");
            let said = actuator.said.lock().clone();
            assert_eq!(
                said.as_ref().map(|verdict| verdict.reason),
                told.map(|_| Reason::ProgressingWithRetry)
            );
            assert!(said.is_none_or(|verdict| verdict.message.contains(told.unwrap_or_default())));
            // This process drew the id of the intent, so it knows that nothing was sent, whatever happened to
            // the write.
            let mut memory = PassMemory::default();
            let rest = Decision {
                step: Step::Idle(Time(0)),
                why: "",
                verdict: Verdict::ready("x"),
                record: Record::default(),
                plan: Vec::new(),
                hold: false,
            };
            pass.remember(&mut memory, &rest, oc_domain::pass::PassEnd::Unwritten);
            assert_eq!(memory.unsent, [OperationId("op".into())]);
        }
    }
}
