//! Tests of the check itself: it reports what is wrong and accepts what is right.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};

use super::exposition;
use super::labels::{Known, infer};

/// A page as the operator serves it, written by hand.
const PAGE: &str = r#"# HELP calls Calls.
# TYPE calls counter
calls_total{platform="a \"b\" \\ c",call="leads"} 7 # {trace="x"} 1
# HELP wait_seconds Wait.
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
wait_seconds_sum{priority="changed"} 1.5
wait_seconds_count{priority="changed"} 3
wait_seconds_bucket{priority="changed",le="+Inf"} 3
# HELP leader Whether.
# TYPE leader gauge
leader 1
# EOF
"#;

fn known() -> Result<Known> {
    let page = exposition::read(PAGE)?;
    let values = BTreeMap::from([("call".into(), vec!["leads".into(), "task".into()]), ("priority".into(), vec!["changed".into(), "effect".into()])]);
    Ok(Known { samples: page.labels(), counters: page.counters(), values })
}

/// Wrong expressions, and a part of the message for each.
const WRONG: [(&str, &str); 20] = [
    ("call_total", "no metric \"call_total\""),
    ("rate(calls[5m])", "no metric \"calls\""),
    ("sum by (plattform) (rate(calls_total[5m]))", "no label plattform"),
    ("calls_total{plattform=\"a\"}", "no label plattform"),
    ("sum without (kind) (leader)", "no label kind"),
    ("calls_total{call=\"lead\"}", "never \"lead\""),
    ("calls_total{call!=\"lead\"}", "never \"lead\""),
    ("calls_total{call=~\"leads|tusk\"}", "never \"tusk\""),
    ("rate(leader[5m])", "no counter"),
    ("max by (priority) (sum by (platform) (calls_total))", "no label priority"),
    ("histogram_quantile(0.9, sum by (priority) (rate(wait_seconds_bucket[5m])))", "no label le"),
    ("histogram_quantile(0.9, rate(wait_seconds_count[5m]))", "no label le"),
    ("sum by (platform) (calls_total) / sum by (call) (calls_total)", "never match"),
    ("calls_total / leader", "never match"),
    ("calls_total and on (platform) leader", "right of and: there is no label platform"),
    ("calls_total * on (job, instance) group_left (priority) leader", "no label priority"),
    ("max by (platform) (leader and on (job) calls_total)", "no label platform"),
    ("max_over_time(max by (priority) (leader)[1d:5m])", "no label priority"),
    ("leader{endpoint=\"leads\"}", "no label endpoint"),
    ("sum by (", "is no PromQL"),
];

/// Correct expressions, and the labels of their results.
const RIGHT: [(&str, Option<&[&str]>); 12] = [
    ("max by (namespace, job) (leader) == 0", Some(&["namespace", "job"])),
    ("1 - time()", None),
    ("absent(leader)", Some(&[])),
    ("absent(leader{job=\"x\"})", Some(&["job"])),
    ("up{job=~\".*\"} == 0", Some(&["job", "instance", "namespace"])),
    ("histogram_quantile(0.9, sum by (le, priority) (rate(wait_seconds_bucket[5m])))", Some(&["priority"])),
    ("sum by (platform) (rate(calls_total{call=~\"leads|task\"}[5m])) > 0.5 * max by (platform) (calls_total)", Some(&["platform"])),
    ("max by (platform) (calls_total and on (job, instance) leader == 1)", Some(&["platform"])),
    ("sum(rate(wait_seconds_sum[5m])) / sum(rate(wait_seconds_count[5m]))", Some(&[])),
    ("topk(3, sum by (platform) (calls_total))", Some(&["platform"])),
    (
        "sum by (job, instance, priority) (wait_seconds_count) * on (job, instance) group_left () sum by (job, instance) (leader)",
        Some(&["job", "instance", "priority"]),
    ),
    ("vector(0) or sum by (platform) (calls_total)", Some(&[])),
];

pub fn what_is_wrong_is_seen() -> Result<()> {
    let known = known()?;
    for (expression, said) in WRONG {
        let (_, wrong) = infer(expression, &known);
        ensure!(wrong.iter().any(|wrong| wrong.contains(said)), "{expression}: said {wrong:?}, and not {said:?}");
    }
    Ok(())
}

pub fn what_is_right_passes() -> Result<()> {
    let known = known()?;
    for (expression, labels) in RIGHT {
        let (found, wrong) = infer(expression, &known);
        ensure!(wrong.is_empty(), "{expression}: {wrong:?}");
        let wanted = labels.map(|labels| labels.iter().map(|label| (*label).to_owned()).collect());
        ensure!(found == wanted, "{expression}: {found:?}, and not {wanted:?}");
    }
    Ok(())
}

pub fn metrics_are_read() -> Result<()> {
    let page = exposition::read(PAGE)?;
    ensure!(page.values("platform").into_iter().eq(["a \"b\" \\ c"]), "{:?}", page.values("platform"));
    ensure!(page.sum("calls_total", &[("call", "leads")]) == 7.0);
    ensure!(page.counters().into_iter().eq(["calls_total", "wait_seconds_bucket", "wait_seconds_count", "wait_seconds_sum"]), "{:?}", page.counters());
    ensure!(exposition::read(PAGE.trim_end_matches("# EOF\n")).is_err(), "what is cut off is seen");
    let plain = exposition::as_plain_text(PAGE)?;
    ensure!(plain.contains("# TYPE calls_total counter\n") && !plain.contains("EOF") && plain.contains("# TYPE leader gauge"), "{plain}");
    Ok(())
}
