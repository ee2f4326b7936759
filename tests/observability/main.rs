//! Alerts, dashboard and runbooks: each query is checked against what the operator really exposes, in a run against an API server and a simulated platform.

#[path = "../shared/gallery.rs"]
mod gallery;
#[path = "../shared/simulated.rs"]
mod simulated;
#[allow(dead_code, reason = "shared with other tests, which use the rest")]
#[path = "../shared/stage.rs"]
mod stage;
#[path = "../shared/trials.rs"]
mod trials;

mod exposition;
mod labels;
mod live;
mod pages;
mod promtool;
mod queries;
mod rules;
mod teeth;
mod values;

use std::process::ExitCode;

use anyhow::Result;
use stage::Stage;
use trials::Trials;

fn main() -> Result<ExitCode> {
    let mut trials = Trials::<Stage>::new(|| Box::pin(Stage::set()))?;
    trials.check("teeth::what_is_wrong_is_seen", teeth::what_is_wrong_is_seen);
    trials.check("teeth::what_is_right_passes", teeth::what_is_right_passes);
    trials.check("teeth::metrics_are_read", teeth::metrics_are_read);
    trials.check("rules::promtool_is_content", rules::promtool_is_content);
    trials.check("rules::each_alert_fires_when_it_should_and_only_then", rules::each_alert_fires_when_it_should_and_only_then);
    trials.check("rules::each_alert_says_what_a_person_needs", rules::each_alert_says_what_a_person_needs);
    trials.check("rules::each_reason_that_stalls_has_an_alert", rules::each_reason_that_stalls_has_an_alert);
    trials.check("rules::each_query_for_people_parses", rules::each_query_for_people_parses);
    trials.check("pages::each_alert_has_a_page_and_each_page_an_alert", pages::each_alert_has_a_page_and_each_page_an_alert);
    trials.check("pages::each_page_has_its_parts", pages::each_page_has_its_parts);
    trials.check("pages::the_dashboard_is_one", pages::the_dashboard_is_one);
    trials.case("live::what_is_asked_for_is_told", |stage| async move { stage.play("live", live::what_is_asked_for_is_told).await });
    Ok(trials.play(2))
}
