//! Flows on a real API server. The operator runs as a separate process under the chart's rights, with one simulated platform for each case. Each case has its
//! own namespace and `LivePlatform`, so all of them run side by side under one operator.
//!
//! Run one by name: `cargo xtask test -- --test flows lost_answer`.

mod adoption;
mod answers;
mod breaker;
mod channels;
mod consentless;
mod credential;
mod deletion;
mod discovery;
mod drift;
#[path = "../shared/gallery.rs"]
mod gallery;
mod history;
mod lead_policies;
mod leads;
mod letting_go;
mod modes;
mod namespaces;
mod others;
mod outage;
mod personal;
mod places;
mod platform;
mod provisioning;
mod ready;
mod seldom;
#[path = "../shared/simulated.rs"]
mod simulated;
#[allow(dead_code, reason = "shared with other tests, which use the rest")]
#[path = "../shared/stage.rs"]
mod stage;
#[macro_use]
#[path = "../shared/trials.rs"]
mod trials;
mod troubles;
mod vanished;

use std::process::ExitCode;

use anyhow::Result;
use stage::{Case, Stage};
use trials::Trials;

const CASES: &[(&str, Case)] = &cases![
    provisioning::tenant_id_service_becomes_ready,
    provisioning::a_lead_that_was_made_just_before_its_object_is_found,
    provisioning::ip_group_service_sends_its_variables_and_never_tells_them,
    provisioning::one_job_run_serves_all_that_wait,
    provisioning::jobs_by_hand_are_asked_for_and_noticed,
    provisioning::a_time_of_a_job_that_can_not_be_is_told_and_never_counts,
    provisioning::plan_and_observe_change_nothing,
    provisioning::service_without_lead_object_becomes_ready,
    leads::a_lead_shows_what_the_platform_has,
    leads::a_suspended_lead_waits_for_the_customer,
    leads::a_consentless_lead_is_made_and_removed,
    leads::of_two_leads_the_consented_one_counts,
    leads::a_lead_says_whether_it_can_become_a_service,
    leads::a_channel_is_assigned_and_unassigned,
    channels::many_channel_changes_hold_up_nothing,
    channels::a_channel_that_does_not_exist_is_reported_first,
    leads::leads_are_discovered_by_the_rules,
    leads::a_discovered_lead_keeps_its_name,
    discovery::discovery_says_that_its_namespace_is_missing,
    discovery::discovery_says_that_a_policy_refuses_a_lead,
    discovery::discovery_says_that_a_quota_is_used_up,
    discovery::discovery_says_that_a_name_is_taken,
    discovery::discovery_is_steady_and_nothing_waits_for_it,
    personal::personal_data_stays_out_unless_asked_for,
    personal::contacts_leave_every_lead,
    consentless::what_is_taken_is_named,
    consentless::a_tenant_that_does_not_exist_is_told_first,
    consentless::a_customer_who_consents_later_keeps_the_object,
    lead_policies::a_lead_that_appears_becomes_a_service_by_a_rule,
    lead_policies::a_policy_plans_first_and_then_applies,
    lead_policies::of_two_policies_the_older_one_has_the_lead,
    lead_policies::a_short_name_that_is_taken_is_numbered_or_refused,
    lead_policies::a_deleted_service_is_made_again_only_when_asked,
    lead_policies::an_expression_that_fails_for_a_lead_refuses_it_alone,
    lead_policies::a_wrong_expression_is_told_with_its_place,
    lead_policies::a_policy_keeps_its_limits,
    lead_policies::a_suspended_policy_creates_nothing,
    lead_policies::a_tenant_with_a_service_is_left_to_an_import,
    lead_policies::what_the_cluster_refuses_is_told,
    adoption::a_matching_service_is_taken_over,
    adoption::another_service_is_a_conflict_until_adoption_is_always,
    adoption::the_older_of_two_objects_keeps_the_tenant,
    adoption::an_older_object_that_learns_of_its_tenant_late_makes_no_second_service,
    adoption::a_lead_made_anew_for_another_tenant_moves_nothing,
    adoption::a_create_is_looked_for_where_it_was_asked,
    adoption::a_service_that_comes_before_its_lead_waits_for_its_platform,
    adoption::the_younger_takes_over_when_the_older_goes,
    adoption::a_short_name_that_is_taken_is_refused_before_anything_is_asked,
    others::a_replace_while_the_request_is_under_way_makes_no_second_service,
    others::a_tool_that_puts_its_manifest_again_and_again_makes_no_second_service,
    others::a_restored_status_ends_no_create_and_nothing_of_it_stays,
    others::a_namespace_is_restored_in_the_middle_of_creates_and_deletions,
    others::a_policy_that_strips_the_record_stops_the_request_and_is_told,
    others::a_refused_write_is_told_and_tried_ever_more_rarely,
    deletion::retain_lets_go_and_keeps_the_service,
    deletion::delete_deletes_and_looks_until_it_is_gone,
    deletion::a_service_deleted_behind_our_back_is_told_and_made_again_only_when_asked,
    breaker::deletions_beyond_the_hours_number_wait_for_a_person,
    breaker::a_held_object_goes_at_once_when_nothing_is_to_be_deleted_for_it,
    breaker::leads_count_as_services_do,
    breaker::an_intent_that_somebody_wrote_passes_no_breaker,
    breaker::the_count_survives_others_who_write_the_platform_object,
    letting_go::a_tenant_with_telephone_numbers_keeps_its_service,
    letting_go::a_platform_that_does_not_tell_the_numbers_deletes_nothing,
    letting_go::a_service_that_no_list_shows_is_deleted_by_what_its_task_has_told,
    letting_go::deleting_needs_no_lead_object_and_no_valid_spec,
    letting_go::a_changed_spec_is_tried_at_once_however_long_the_next_try_was_away,
    platform::a_missing_secret_is_told_and_its_coming_noticed,
    platform::a_namespace_that_is_not_allowed_is_told,
    platform::objects_wait_for_a_platform_that_comes_later,
    platform::counts_and_circuit_are_shown,
    places::two_platform_objects_of_one_place_share_tenants_and_names,
    places::a_service_of_another_platform_objects_object_is_not_deleted,
    places::deletions_are_counted_for_a_place,
    places::what_could_not_ask_holds_nothing,
    places::discovery_is_kept_by_nobody_from_its_objects,
    places::a_rotated_secret_that_is_not_known_yet_costs_nothing,
    credential::a_refused_token_costs_a_probe_and_a_changed_secret_helps_at_once,
    credential::a_directory_that_was_put_in_order_is_noticed_when_asked,
    credential::a_list_that_is_forbidden_closes_the_gate,
    credential::the_secret_is_read_when_it_is_due,
    outage::settled_objects_are_left_alone_while_the_platform_is_down,
    outage::a_platform_that_hangs_is_left_as_soon_as_its_url_is_corrected,
    outage::all_kinds_wait_together_when_the_platform_throttles,
    answers::of_the_token_endpoint,
    answers::of_the_lists,
    answers::of_a_create,
    answers::of_a_task,
    answers::of_a_deletion,
    answers::of_an_lc_customer,
    answers::of_the_changes_to_a_lead,
    history::a_customer_has_a_history,
    history::what_stays_so_is_told_once,
    history::each_change_has_its_audit_line,
    namespaces::a_deleted_namespace_goes_though_its_secret_goes_first,
    namespaces::a_platform_object_that_is_gone_holds_only_what_must_be_deleted,
    modes::observe_and_plan_change_nothing_in_a_whole_life,
    modes::a_wiped_status_comes_back_by_reading_alone,
    drift::what_others_change_is_shown_and_not_fought,
    ready::what_no_call_can_change_stays_as_it_was_asked_for,
    ready::what_was_taken_over_is_compared_as_far_as_it_shows,
    ready::errors_of_a_task_that_succeeded_are_told,
    ready::a_rule_for_short_names_is_for_creates_alone,
    ready::a_direct_routing_service_is_neither_ours_nor_in_the_way,
    drift::a_lead_that_is_lost_after_licensing_is_shown,
    seldom::suspended_objects_are_left_alone,
    seldom::a_license_of_another_kind_and_a_refusal_are_told,
    troubles::a_lost_answer_makes_no_second_service,
    troubles::a_failed_task_is_told_and_tried_again_with_a_changed_spec,
    troubles::a_throttling_platform_is_obeyed,
    troubles::a_look_ends_the_rest_that_the_platform_asked_for,
    troubles::a_list_that_is_whole_again_wakes_who_waited_for_it,
    troubles::a_broken_answer_is_told_and_survived,
    troubles::a_wrong_channel_is_refused_before_anything_is_asked,
    troubles::a_service_that_shows_late_is_waited_for,
    vanished::a_list_that_is_empty_for_a_while_is_not_believed,
    vanished::services_that_are_really_gone_wait_for_a_persons_word,
    vanished::another_address_proves_nothing_of_what_is_at_the_former_one,
    vanished::one_service_after_another_is_not_believed_without_end,
];

fn main() -> Result<ExitCode> {
    let mut trials = Trials::new(|| Box::pin(Stage::set()))?;
    for &(name, case) in CASES {
        trials.case(name, move |stage| async move { stage.play(name, case).await });
    }
    // Most of a case is waiting; the limit is the API-server writes the machine can take, not the number of cases.
    Ok(trials.play(8))
}
