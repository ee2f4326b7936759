//! The entries of `fuzz/`, run for a moment: with any bytes, and with slightly changed seeds of the corpus. A run of libFuzzer takes longer and finds more.
#![allow(clippy::unwrap_used, reason = "a seed that can't be read fails the test")]

mod entries;
mod mutation;

use proptest::prelude::*;

macro_rules! entries {
    ($($entry:ident),+) => {
        proptest! {
            #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]
            $(
                #[test]
                fn $entry(body in mutation::near(stringify!($entry)), any: Vec<u8>) {
                    entries::$entry(&body);
                    entries::$entry(&any);
                }
            )+
        }
    };
}

entries!(leads, services, task, token, fault, lc_customer, numbers);

/// Seeds that are all refused would find nothing: some of each kind of answer must be accepted.
#[test]
fn the_seeds_are_answers() {
    use live_platform::wire;
    use live_platform::wire::entries::KnownEntries;
    let taken = |entry: &str, reads: &dyn Fn(&[u8]) -> bool| {
        let seeds = mutation::seeds(entry);
        assert!(seeds.iter().any(|seed| reads(seed)), "no seed of {entry} is read");
    };
    let task = oc_domain::names::TaskId::parse("wst_1").unwrap();
    taken("leads", &|body| wire::leads::leads(body, true, &mut KnownEntries::default().begin()).is_ok_and(|page| !page.items.is_empty()));
    taken("services", &|body| wire::services::services(body, &mut KnownEntries::default().begin()).is_ok_and(|page| !page.items.is_empty()));
    taken("task", &|body| wire::tasks::task(body, &task, &live_platform::Secrets::none()).is_ok());
    taken("task", &|body| wire::tasks::task_id(body).is_ok());
    taken("token", &|body| wire::token::grant(body).is_ok());
    taken("token", &|body| !wire::token::refusal(body, &live_platform::Secrets::none()).error.is_empty());
    taken("fault", &|body| !wire::errors::fault(body, &live_platform::Secrets::none()).fields.is_empty());
    taken("lc_customer", &|body| wire::topology::lc_customer(body).is_ok_and(|found| found.is_some()));
    // Two that were found: a blank token is none, and a guid without a tenant does not hide the same guid with one.
    taken("token", &|body| body.windows(3).any(|part| part == b"\" \"") && wire::token::grant(body).is_err());
    taken("services", &|body| {
        wire::services::services(body, &mut KnownEntries::default().begin())
            .is_ok_and(|page| page.elements == 2 && page.items.len() == 1 && page.items[0].tenant.is_some())
    });
    taken("numbers", &|body| wire::services::count_numbers(body) == Ok(2));
}
