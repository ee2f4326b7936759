//! The runbook pages, and the dashboard as Grafana sees it.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::queries;

/// The sections of each page, in this order.
const PARTS: [&str; 5] = ["## What it means for customers", "## How to look", "## Likely causes", "## What to do", "## How to know that it is over"];

/// The version of Grafana's model that the dashboard has.
const SCHEMA: u64 = 41;

fn pages() -> Result<BTreeSet<String>> {
    let entries = std::fs::read_dir(queries::file("docs/runbooks"))?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect::<Result<BTreeSet<_>>>()?;
    Ok(names.into_iter().filter(|name| name != "README.md").collect())
}

pub fn each_alert_has_a_page_and_each_page_an_alert() -> Result<()> {
    let alerts: BTreeSet<String> = queries::alerts()?.iter().filter_map(|alert| Some(format!("{}.md", alert["alert"].as_str()?))).collect();
    let pages = pages()?;
    ensure!(alerts == pages, "without a page: {:?}; without an alert: {:?}", alerts.difference(&pages), pages.difference(&alerts));
    let index = queries::text("docs/runbooks/README.md")?;
    for page in &pages {
        ensure!(index.contains(&format!("({page})")), "docs/runbooks/README.md does not list {page}");
    }
    Ok(())
}

pub fn each_page_has_its_parts() -> Result<()> {
    for alert in queries::alerts()? {
        let name = alert["alert"].as_str().context("a name")?;
        let page = queries::text(&format!("docs/runbooks/{name}.md"))?;
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        ensure!(page.starts_with(&format!("# {name}\n")), "{name}: the page has another title");
        ensure!(page.contains(&format!("**{severity}**")), "{name}: the page does not say that it is {severity}");
        let mut at = 0;
        for part in PARTS {
            let found = page.find(&format!("\n{part}\n")).with_context(|| format!("{name}: the page lacks: {part}"))?;
            ensure!(found > at, "{name}: {part} is out of order");
            at = found;
        }
        for (begins, called) in [("```sh", "a kubectl command"), ("```promql", "a query")] {
            ensure!(page.contains(begins), "{name}: the page has no {called}");
        }
    }
    Ok(())
}

/// Faults that only people would notice, not Grafana: panels on top of each other, without description or unit, or from another source.
pub fn the_dashboard_is_one() -> Result<()> {
    let dashboard = queries::dashboard()?;
    ensure!(dashboard["schemaVersion"] == SCHEMA && dashboard["uid"].is_string() && dashboard["id"].is_null());
    ensure!(queries::variables(&dashboard).starts_with(&["datasource"]), "{:?}", queries::variables(&dashboard));
    let (mut ids, mut taken) = (BTreeSet::new(), BTreeSet::new());
    for panel in queries::panels(&dashboard) {
        let title = panel["title"].as_str().context("a title")?;
        ensure!(ids.insert(panel["id"].as_u64().context("an id")?), "{title}: its id is another one's too");
        let [x, y, w, h] = ["x", "y", "w", "h"].map(|side| panel["gridPos"][side].as_u64().unwrap_or(99));
        ensure!(x + w <= 24 && h < 30, "{title}: {x} + {w} is more than the 24 columns that there are");
        for cell in (x..x + w).flat_map(|x| (y..y + h).map(move |y| (x, y))) {
            ensure!(taken.insert(cell), "{title} lies on another panel, at {cell:?}");
        }
        if panel["type"] != "row" {
            is_a_panel(title, panel)?;
        }
    }
    Ok(())
}

fn is_a_panel(title: &str, panel: &Value) -> Result<()> {
    ensure!(["stat", "timeseries", "state-timeline", "table", "bargauge"].contains(&panel["type"].as_str().unwrap_or_default()), "{title}: {}", panel["type"]);
    ensure!(panel["description"].as_str().is_some_and(|words| words.len() > 20), "{title}: what does it show?");
    ensure!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}: no unit");
    let source = serde_json::json!({"type": "prometheus", "uid": "${datasource}"});
    let targets = panel["targets"].as_array().context("targets")?;
    ensure!(!targets.is_empty() && panel["datasource"] == source, "{title}: from where?");
    let references: BTreeSet<&str> = targets.iter().filter_map(|target| target["refId"].as_str()).collect();
    ensure!(references.len() == targets.len(), "{title}: two queries have one refId");
    for target in targets {
        ensure!(target["datasource"] == source, "{title}: from where?");
        let expression = target["expr"].as_str().unwrap_or_default();
        let ours = expression.matches("operatorconnect_").count() + expression.matches("process_").count();
        ensure!(expression.matches("=~\"$job\"").count() == ours, "{title}: each metric is asked of the chosen jobs alone: {expression}");
    }
    Ok(())
}
