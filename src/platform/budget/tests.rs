//! How calls wait for their turn, and what happens to unused turns.

#![allow(clippy::too_many_lines, reason = "each is one story, told in its order")]

use super::*;

fn trouble(reason: Reason) -> Trouble {
    Trouble::new(reason, "x")
}

#[tokio::test]
async fn a_change_that_waited_in_line_is_not_made_by_one_that_leads_no_more() {
    let budget = Budget::new(
        Limits {
            per_second: 1000,
            burst: 1000,
            in_flight: 1,
        },
        |_| {},
    );
    let leadership = Leadership::elected();
    let asked = std::cell::Cell::new(false);
    let (free, taken) = tokio::sync::oneshot::channel::<()>();
    let first = budget.call(async { Ok(taken.await.is_ok()) });
    let second = budget.change(&leadership, async {
        asked.set(true);
        Ok(())
    });
    let go_on = async {
        tokio::task::yield_now().await;
        free.send(()).unwrap();
    };
    let (first, second, ()) = tokio::join!(first, second, go_on);
    assert!(first.unwrap(), "a read needs no lease");
    assert!(
        matches!(second, Err(CallError::LeftAlone(trouble)) if trouble.reason == Reason::Progressing)
            && !asked.get()
    );
    assert!(
        budget
            .change(&Leadership::without_election(), async { Ok(()) })
            .await
            .is_ok(),
        "the turn was given back"
    );
}

/// An unused turn, a cancelled call and one that is still queued: none of them leaves the platform without a
/// probe.
#[tokio::test]
async fn a_turn_is_given_back_by_whoever_does_not_use_it() {
    let budget = Budget::new(
        Limits {
            per_second: 1000,
            burst: 1000,
            in_flight: 1,
        },
        |_| {},
    );
    let open = || {
        let refused = Trouble {
            retry_after: Some(Duration::ZERO),
            ..trouble(Reason::Throttled)
        };
        budget.circuit().report(clock::now(), Some(&refused));
    };
    open();
    let unused = budget.turn().await.unwrap();
    assert!(unused.entered.unheard_probe && budget.used().in_flight == 1);
    assert!(budget.turn().await.is_err(), "one probe, not two");
    drop(unused);
    assert_eq!(
        budget.used(),
        BudgetStats {
            waiting: 0,
            in_flight: 0,
            per_second: 1000,
            open: true
        }
    );
    let broken_off = budget.call(std::future::pending::<Result<(), Error>>());
    assert!(
        tokio::time::timeout(Duration::from_millis(10), broken_off)
            .await
            .is_err()
    );
    let turn = budget.turn().await.unwrap();
    assert!(
        turn.entered.unheard_probe && turn.report(Ok(()), platform_wide).is_ok() && !budget.used().open,
        "found out by the third"
    );
    let ordinary = budget.turn().await.unwrap();
    open();
    let in_line = budget.turn();
    assert!(
        tokio::time::timeout(Duration::from_millis(10), in_line)
            .await
            .is_err(),
        "no room"
    );
    assert_eq!(
        budget.used(),
        BudgetStats {
            waiting: 0,
            in_flight: 1,
            per_second: 1000,
            open: true
        }
    );
    assert!(!ordinary.entered.unheard_probe);
    let (probe, ()) = tokio::join!(budget.turn(), async {
        tokio::task::yield_now().await;
        drop(ordinary);
    });
    assert!(
        probe.is_ok_and(|turn| turn.entered.unheard_probe),
        "the one before gave up, and who goes without having been the probe says nothing of it"
    );
}

#[tokio::test]
async fn a_place_is_at_the_head_of_the_line_and_takes_no_call() {
    let budget = Budget::new(
        Limits {
            per_second: 1000,
            burst: 1000,
            in_flight: 1,
        },
        |_| {},
    );
    let (first, second) = (budget.reserve().await.unwrap(), budget.reserve().await.unwrap());
    assert!(
        tokio::time::timeout(Duration::from_millis(10), budget.reserve())
            .await
            .is_err(),
        "two for one call"
    );
    assert_eq!(
        budget.used(),
        BudgetStats {
            waiting: 0,
            in_flight: 0,
            per_second: 1000,
            open: false
        }
    );
    assert!(
        budget.call(async { Ok(()) }).await.is_ok(),
        "who reads need not wait for them"
    );
    let turn = first.turn().await.unwrap();
    let third = budget.reserve().await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(10), second.turn())
            .await
            .is_err(),
        "one call at once"
    );
    assert_eq!(
        budget.used(),
        BudgetStats {
            waiting: 0,
            in_flight: 1,
            per_second: 1000,
            open: false
        }
    );
    drop(turn);
    assert!(
        third
            .turn()
            .await
            .unwrap()
            .change(&Leadership::without_election(), async { Ok(()) })
            .await
            .is_ok()
    );
    budget.circuit().report(
        clock::now(),
        Some(&Trouble {
            retry_after: Some(Duration::ZERO),
            ..trouble(Reason::Throttled)
        }),
    );
    drop(budget.reserve().await.unwrap());
    let probe = budget.reserve().await.unwrap().turn().await.unwrap();
    assert!(
        probe.entered.unheard_probe && budget.reserve().await.is_err() && budget.turn().await.is_err(),
        "the place was the probe, and its turn is"
    );
    assert_eq!(
        (
            budget.room.places.available_permits(),
            budget.room.in_flight.available_permits()
        ),
        (2, 0)
    );
}

/// Two credentials of one platform: calls in flight of one make the other wait, and a rejection of one says
/// nothing about the other.
#[tokio::test]
async fn who_speaks_to_one_platform_shares_its_room_and_not_its_circuit() {
    let room = Room::new(Limits {
        per_second: 1000,
        burst: 1000,
        in_flight: 1,
    });
    let (one, other) = (
        Budget::sharing(Arc::clone(&room), |_| {}),
        Budget::sharing(room, |_| {}),
    );
    let turn = one.turn().await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(10), other.turn())
            .await
            .is_err(),
        "one call at once, whoever makes it"
    );
    drop(turn);
    one.circuit()
        .report(clock::now(), Some(&trouble(Reason::AuthenticationFailed)));
    assert!(one.turn().await.is_err());
    assert!(other.turn().await.is_ok());
}

#[tokio::test]
async fn it_tells_who_waits_what_is_under_way_and_when_the_circuit_opens_and_closes() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&told);
    let budget = Budget::new(
        Limits {
            per_second: 1000,
            burst: 1000,
            in_flight: 1,
        },
        move |news| hears.lock().push(news),
    );
    let (free, taken) = tokio::sync::oneshot::channel::<()>();
    let first = budget.call(async { Ok(taken.await.is_ok()) });
    let second = budget.call(async { Ok(()) });
    let look = async {
        tokio::task::yield_now().await;
        let used = budget.used();
        free.send(()).unwrap();
        used
    };
    let (_, _, used) = tokio::join!(first, second, look);
    assert_eq!(
        used,
        BudgetStats {
            waiting: 1,
            in_flight: 1,
            per_second: 1000,
            open: false
        }
    );
    assert_eq!(
        budget.used(),
        BudgetStats {
            waiting: 0,
            in_flight: 0,
            per_second: 1000,
            open: false
        }
    );
    // It asks for no pause at all, so the pause is over at once.
    let refused = Trouble {
        retry_after: Some(Duration::ZERO),
        ..trouble(Reason::Throttled)
    };
    budget.record_result(Some(&refused));
    budget.record_result(Some(&refused));
    assert!(budget.used().open);
    let news = || {
        told.lock()
            .iter()
            .filter(|news| !matches!(news, BudgetEvent::Waited(_)))
            .copied()
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (news(), told.lock().len()),
        (vec![BudgetEvent::Opened(Reason::Throttled)], 3),
        "and twice how long a call had waited"
    );
    assert!(
        budget.call(async { Ok(()) }).await.is_ok() && !budget.used().open,
        "the probe went well"
    );
    assert!(budget.call(async { Ok(()) }).await.is_ok());
    assert_eq!(
        (news(), told.lock().len()),
        (vec![BudgetEvent::Opened(Reason::Throttled), BudgetEvent::Back], 6),
        "it is back once"
    );
}

fn tenant(number: usize) -> TenantId {
    TenantId::parse(&format!("22222222-2222-4222-8222-{number:012}")).unwrap()
}

/// Ten changes of channels come before a create: only two of them wait among the calls, so it is third.
#[tokio::test]
async fn few_channel_changes_are_ahead_of_anything_else() {
    let budget = Budget::new(
        Limits {
            per_second: 1000,
            burst: 1000,
            in_flight: 1,
        },
        |_| {},
    );
    let leads = Leadership::without_election();
    let order = Mutex::new(Vec::new());
    let channels = futures::future::join_all((0..10).map(|number| {
        let (budget, leads, order) = (&budget, &leads, &order);
        async move {
            let tenant = tenant(number);
            budget.enter_channel_line(&tenant).unwrap();
            let call = async {
                tokio::time::sleep(Duration::from_millis(10)).await;
                order.lock().push("channel");
                Ok(())
            };
            budget.change_channel(&tenant, leads, call).await.unwrap();
        }
    }));
    let create = async {
        tokio::task::yield_now().await;
        let call = async {
            order.lock().push("create");
            Ok(())
        };
        budget.change(&leads, call).await.unwrap();
    };
    tokio::join!(channels, create);
    let order = order.into_inner();
    assert_eq!(
        (order.len(), order.iter().position(|what| *what == "create")),
        (11, Some(2)),
        "{order:?}"
    );
}

/// Without a call left in the second, a channel change is made at once: it counts for another limit.
#[tokio::test]
async fn a_channel_change_takes_no_call_from_the_others() {
    let limits = Limits {
        per_second: 1,
        burst: 1,
        in_flight: 4,
    };
    let budget = Budget::new(limits, |_| {});
    let leads = Leadership::without_election();
    budget.call(async { Ok(()) }).await.unwrap();
    let tenant = tenant(1);
    let channel = budget.change_channel(&tenant, &leads, async { Ok(()) });
    tokio::select! {
        biased;
        read = budget.call(async { Ok(()) }) => panic!("the read was first: {}", read.is_ok()),
        channel = channel => assert!(channel.is_ok()),
    }
}

/// A channel change has no intent that a successor would find, so the lease is looked at when it leaves, after
/// it has waited.
#[tokio::test]
async fn a_channel_change_that_waited_is_not_made_by_one_that_leads_no_more() {
    let limits = Limits {
        per_second: 1000,
        burst: 1000,
        in_flight: 1,
    };
    let budget = Budget::new(limits, |_| {});
    let leadership = Leadership::elected();
    let asked = std::cell::Cell::new(false);
    let (free, taken) = tokio::sync::oneshot::channel::<()>();
    let first = budget.call(async { Ok(taken.await.is_ok()) });
    let tenant = tenant(1);
    let channel = budget.change_channel(&tenant, &leadership, async {
        asked.set(true);
        Ok(())
    });
    let go_on = async {
        tokio::task::yield_now().await;
        free.send(()).unwrap();
    };
    let (first, channel, ()) = tokio::join!(first, channel, go_on);
    assert!(first.is_ok() && !asked.get());
    assert!(matches!(channel, Err(CallError::LeftAlone(trouble)) if trouble.reason == Reason::Progressing));
}
