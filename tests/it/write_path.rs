//! Silent failures between a Kafka consumer and an Aerospike cluster. For each trap, and for each promise of the guard,
//! there is a test that fails if the code for it is removed.
//!
//! Each is tested at the cheapest level that exercises it: rules, plan and write loop with a store that is connected to
//! a simulator (`write_path/bench.rs`); the whole service if offsets, exit codes or several services are part of the
//! claim (`write_path/service.rs`). If another test already covers it, that test is named here and not repeated.
//!
//! | trap | test |
//! |---|---|
//! | `batch()` returns `Ok` and rows were refused; a batch refused whole has one code, on its first row | `calls::of_a_batch_that_is_refused_whole_no_row_is_taken_for_written_nor_for_doubtful` |
//! | two rows on one key in one batch are not ordered | `outcomes::a_call_holds_a_record_once_whatever_is_asked_of_it`, `guards::several_writes_of_a_route_and_several_routes_share_a_record` |
//! | 14, 18 and 9 are retried by the client for a lone row, for none in company | `calls::the_client_sends_nothing_again_by_itself`, `calls::only_the_rows_without_success_are_sent_again` |
//! | the batch policy's default is for reads, with retries | `calls::the_client_sends_nothing_again_by_itself` |
//! | the client's circuit breaker | `calls::many_failing_rows_do_not_shut_a_node_out` |
//! | a filter makes a write conditional, and must hold where its bin is no integer | `guards::a_replay_and_an_older_message_are_refused_and_a_newer_one_is_taken`, `guards::the_filter_holds_where_the_bin_is_absent_or_no_integer` |
//! | an outcome in doubt | `late::what_is_guarded_is_applied_once_however_its_answer_is_lost`, `late::an_unknown_outcome_of_what_cannot_be_repeated_is_the_configurations_to_judge`, `service::what_cannot_be_repeated_and_may_be_applied_holds_its_partition` |
//! | what each result code means | `delivery::row_outcomes` (`the_documented_table_is_the_one_in_the_code`), and `outcomes::a_closed_namespace_holds_its_own_rows_and_probes_until_it_opens`, `outcomes::busy_records_delay_their_own_rows_only`, `outcomes::what_is_not_known_holds_its_record_and_is_told`, `service::a_user_who_may_not_write_any_more_ends_the_service` |
//! | names of sets are never freed | `outcomes::a_set_from_the_message_is_one_of_those_that_are_allowed` |
//! | 0 seconds are the namespace's default; a life where nothing ends is refused with 22 | `outcomes::a_life_from_the_message_is_one_that_the_server_knows`, `outcomes::a_closed_namespace_holds_its_own_rows_and_probes_until_it_opens` |
//! | a batch in flight must not be cancelled | `calls::a_call_under_way_is_waited_for_and_believed_also_after_a_stop`, `late::a_time_out_bounds_the_call_and_the_row_is_asked_again` |
//! | the client needs its runtime chosen, and no code of ours is async | `tests/it/repository.rs`: `no_code_of_ours_is_async`, `no_direct_dependency_is_an_async_runtime` |
//! | a batch of one row a node gains nothing | `calls::a_batch_is_one_message_to_each_node`, `outcomes::fewer_rows_are_sent_than_operations_asked_for` |
//! | a call waits for the slowest of its nodes; a connection that is refused looks like a time-out | `calls::a_node_that_is_gone_holds_up_its_own_rows_until_the_others_have_them` |
//! | without a node the rows come back as placeholders, at once | `calls::a_cluster_that_is_away_loses_no_row_and_is_not_asked_in_a_hot_loop` |
//! | a client that has lost all nodes looks only for those it knew at first | `calls::a_cluster_that_comes_back_without_the_node_that_was_asked_first_is_found_again`, `calls::a_cluster_that_comes_back_without_the_node_that_was_asked_first_is_found_while_nobody_writes` |
//! | every failure of the client is called a time-out | `calls::what_failed_is_told_by_its_cause` |
//! | the pool has 256 connections | `calls::every_worker_has_a_connection` |
//! | a call takes up to two time-outs, connecting has no bound | `tests/it/pipeline.rs`: `a_stop_while_the_database_is_silent_ends_in_time_and_commits_only_what_is_written`, `a_stop_while_waiting_for_the_database_is_obeyed_at_once` |
//! | an empty partition map looks like a wrong namespace | `calls::a_namespace_that_a_reachable_node_lacks_is_the_end`, `calls::a_node_that_answers_20_and_has_the_namespace_is_asked_again`, `service::a_namespace_that_went_away_ends_the_service_and_a_cluster_that_did_does_not` |
//! | one bad row, or an error of the call, spoils them all | `calls::a_message_that_says_nothing_of_its_record_spoils_no_other`, `calls::a_row_that_is_refused_for_itself_spoils_no_other`, `calls::an_error_of_the_whole_call_rejects_no_row` |
//! | rows without a code may have been applied | `calls::rows_of_a_batch_that_ended_early_are_in_doubt` |
//! | an original lands after its retry and after newer writes | `late::a_guarded_counter_does_not_move_when_its_original_lands_after_its_retry_and_after_newer_writes`, `late::a_guarded_create_and_delete_do_not_take_effect_late`, `late::an_unguarded_put_lands_late_unless_it_has_a_version` |
//! | one row is not always the same as one after another | `outcomes::what_travels_together_ends_as_one_after_another`, `delivery::plan` (its tests), `outcomes::a_sum_wraps_as_one_by_one_and_a_float_on_an_integer_is_rejected_alone` |
//! | a row takes 32,768 operations | `delivery::plan`: `a_row_has_a_cap_on_its_operations` |
//! | `info` asks any node | `calls::nothing_is_asked_of_a_node_by_chance_that_another_would_answer_otherwise` |
//!
//! | the guard | test |
//! |---|---|
//! | its bin is of group, topic, partition and epoch; two services or topics on one record | `guards::a_guard_is_of_its_group_topic_partition_and_epoch_alone`, `service::several_topics_and_several_groups_write_one_record`, `delivery::guard`: `the_name_of_a_guard_is_a_stored_format` |
//! | its value tells two rows of one message apart | `guards::two_rows_of_one_message_on_one_record_are_both_taken_and_both_refused_when_it_comes_again`, `guards::the_second_of_two_rows_is_taken_when_only_the_first_was` |
//! | absent, no integer, or less than the first; the last is stored | `guards::the_filter_holds_where_the_bin_is_absent_or_no_integer`, `guards::a_merged_row_compares_with_its_first_and_stores_its_last` |
//! | 27 on a merged row: read once, the rest as one row | `guards::a_merged_row_that_is_refused_reads_the_guard_once_and_sends_the_rest_as_one_row` |
//! | 5 on a guarded `create` reads it | `guards::a_create_that_finds_its_own_record_is_done_and_one_that_finds_another_is_refused` |
//! | a rejected row holds its record | `guards::a_rejected_row_holds_its_record` |
//! | deletes carry the filter, and so do the other writes of the set | `guards::a_delete_in_a_guarded_set_carries_the_filter`, `guards::the_other_writes_of_a_guarded_set_are_guarded_with_it` |
//! | a life that is over deletes, also when the message comes again | `guards::a_deletion_at_the_end_of_a_life_that_comes_again_deletes_nothing_newer` |
//! | who has one | `guards::what_cannot_be_repeated_is_guarded_unless_told_otherwise_and_nothing_else_is` |
//! | what takes it along | `guards::what_ends_the_record_ends_its_guard`, `guards::a_row_that_only_removes_makes_no_record_and_leaves_its_guard_in_one` |
//! | a crash, and other batches | `guards::redelivery_with_other_batch_boundaries_changes_nothing`, `service::messages_that_come_again_in_other_batches_count_once_and_as_written` |
//! | rows of one call of which each is otherwise covered | `guards::several_messages_several_records_and_rows_of_which_some_are_applied` |
//! | a former owner | `guards::a_former_owner_that_wakes_up_is_refused` |
//!
//! | outcome of a row | test |
//! |---|---|
//! | a batch that is too big is sent in halves | `calls::a_batch_that_the_server_finds_too_big_goes_out_in_halves` |
//! | modes and conflicts | `outcomes::a_conflict_is_rejected_or_ignored_and_counted_as_the_write_says`, `guards::an_update_only_is_refused_without_its_record_and_comes_again_in_peace`, `service::a_conflict_holds_its_partition_and_one_that_is_ignored_is_counted` |
//! | tombstones | `outcomes::a_tombstone_does_what_the_write_says` |
//! | lives | `outcomes::a_life_that_counts_at_the_creation_is_set_once` |
//! | stored keys | `outcomes::the_key_is_stored_where_it_is_asked_for` |
//! | counting | `outcomes::every_row_is_counted_for_what_became_of_it`, `service::messages_that_come_again_in_other_batches_count_once_and_as_written` |

// Rules and a database, without Kafka.
mod bench;
// The result of a call for each of its rows.
mod calls;
// Unknown results, late requests.
mod late;
// The guard, sentence by sentence.
mod guards;
// The result for each row.
mod outcomes;
// The whole service.
mod service;

/// The tables above contain every test of this folder.
#[test]
fn the_tables_name_every_test() {
    let files = [
        ("calls", include_str!("write_path/calls.rs")),
        ("late", include_str!("write_path/late.rs")),
        ("guards", include_str!("write_path/guards.rs")),
        ("outcomes", include_str!("write_path/outcomes.rs")),
        ("service", include_str!("write_path/service.rs")),
    ];
    let (head, _) = include_str!("write_path.rs").split_once("\n\n").unwrap();
    let mut tests = Vec::new();
    for (module, text) in files {
        let functions = text.split("#[test]\nfn ").skip(1);
        tests.extend(functions.map(|function| format!("{module}::{}", function.split_once('(').unwrap().0)));
    }
    for test in &tests {
        assert!(head.contains(&format!("`{test}`")), "{test} is in no table");
    }
    for named in head
        .split('`')
        .filter(|quoted| quoted.contains("::") && !quoted.starts_with("delivery::"))
    {
        assert!(tests.iter().any(|test| test == named), "there is no {named}");
    }
}
