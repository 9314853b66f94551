//! The keys of `[run]`.

use super::check_each;

#[test]
fn quantities_need_their_unit_and_their_range() {
    check_each(&[
        (
            "[run]\nmemory = 5",
            (2, "run.memory", "a size needs a unit", "integer 5", "\"5MiB\""),
        ),
        (
            "[run]\nmemory = \"512\"",
            (2, "run.memory", "a size needs a unit", "\"512\"", "MiB"),
        ),
        (
            "[run]\nmemory = \"512M\"",
            (2, "run.memory", "not a unit of a size", "\"512M\"", "KiB"),
        ),
        (
            "[run]\nmemory = \"lots\"",
            (2, "run.memory", "a whole number and a unit", "\"lots\"", "MiB"),
        ),
        (
            "[run]\nmemory = \"1MiB\"",
            (
                2,
                "run.memory",
                "below the least, 16MiB",
                "\"1MiB\"",
                "\"16MiB\" to \"1TiB\"",
            ),
        ),
        (
            "[run]\nmemory = \"2TiB\"",
            (2, "run.memory", "above the most, 1TiB", "\"2TiB\"", "\"1TiB\""),
        ),
        (
            "[run]\nmemory = \"99999999999999999999MiB\"",
            (2, "run.memory", "this large cannot be told", "\"9999", "MiB"),
        ),
        (
            "[run]\nmemory = true",
            (2, "run.memory", "expected a string", "boolean true", "quotes"),
        ),
        (
            "[run]\ncommit_interval = 1",
            (
                2,
                "run.commit_interval",
                "a duration needs a unit",
                "integer 1",
                "\"1s\"",
            ),
        ),
        (
            "[run]\ncommit_interval = \"1.5s\"",
            (2, "run.commit_interval", "a whole number", "\"1.5s\"", "ms, s, m"),
        ),
        (
            "[run]\ncommit_interval = \"1ms\"",
            (2, "run.commit_interval", "below the least, 10ms", "1ms", "\"5m\""),
        ),
        (
            "[run]\ncommit_interval = \"0\"",
            (2, "run.commit_interval", "needs a unit", "\"0\"", "10ms"),
        ),
        (
            "[run]\nstart_timeout = 0",
            (
                2,
                "run.start_timeout",
                "needs a unit",
                "integer 0",
                "\"0\" for no limit",
            ),
        ),
        (
            "[run]\nstart_timeout = \"0s1\"",
            (2, "run.start_timeout", "not a unit", "0s1", "\"0\" for no limit"),
        ),
        (
            "[run]\nstart_timeout = \"9d\"",
            (2, "run.start_timeout", "above the most, 1d", "9d", "\"1s\" to \"1d\""),
        ),
        (
            "[run]\nstart_timeout = \"1ms\"",
            (2, "run.start_timeout", "below the least", "1ms", "\"1s\" to \"1d\""),
        ),
        (
            "[run]\nwrite_timeout = \"2m\"",
            (2, "run.write_timeout", "above the most, 1m", "2m", "\"10ms\" to \"1m\""),
        ),
        (
            "[run]\nbatch_rows_max = 0",
            (2, "run.batch_rows_max", "out of range", "integer 0", "1 to 5000"),
        ),
        (
            "[run]\nbatch_rows_max = 5001",
            (2, "run.batch_rows_max", "out of range", "integer 5001", "1 to 5000"),
        ),
        (
            "[run]\nguard_epoch = -1",
            (2, "run.guard_epoch", "out of range", "integer -1", "0 to 4294967295"),
        ),
        (
            "[run]\nguard_epoch = 4294967296",
            (2, "run.guard_epoch", "out of range", "4294967296", "0 to 4294967295"),
        ),
        (
            "[run]\nheartbeat_file = \"\"",
            (
                2,
                "run.heartbeat_file",
                "a path is empty",
                "\"\"",
                "write the path of a file",
            ),
        ),
        (
            "[run]\nheartbeat_file = \"/run/penstock/\"",
            (
                2,
                "run.heartbeat_file",
                "that is a folder",
                "penstock/",
                "write the path of a file",
            ),
        ),
        (
            "[run]\nheartbeat_file = true",
            (2, "run.heartbeat_file", "expected a string", "true", ""),
        ),
        (
            "[run]\nbatch_rows_max = \"5\"",
            (
                2,
                "run.batch_rows_max",
                "expected an integer",
                "\"5\"",
                "batch_rows_max = 5, without quotes",
            ),
        ),
        (
            "[run]\nbatch_rows_max = 5.0",
            (2, "run.batch_rows_max", "expected an integer", "float 5.0", "1 to 5000"),
        ),
        (
            "[run]\nbatch_rows_max = 99999999999999999999",
            (2, "run.batch_rows_max", "out of range", "integer 9999", "1 to 5000"),
        ),
        (
            "[run]\nbatch_rows_max = \"${env:SECRET}\"",
            (
                2,
                "run.batch_rows_max",
                "expected an integer",
                "the value of ${env:SECRET}",
                "1 to 5000",
            ),
        ),
        (
            "[run]\npartitions_max = -1",
            (2, "run.partitions_max", "out of range", "integer -1", "0 to 10000"),
        ),
    ]);
}

#[test]
fn the_keys_of_run_agree_with_each_other() {
    check_each(&[
        (
            "[run]\nshutdown_grace = \"3s\"",
            (
                2,
                "run.shutdown_grace",
                "less than two write_timeouts",
                "\"3s\"",
                "\"4s\" or more",
            ),
        ),
        (
            "[run]\nwrite_timeout = \"4500ms\"",
            (
                2,
                "run.write_timeout",
                "less than two write_timeouts",
                "4500ms",
                "shutdown_grace = \"9s\"",
            ),
        ),
        (
            "[run]\nwrite_timeout = \"1s\"\nshutdown_grace = \"1999ms\"",
            (
                3,
                "run.shutdown_grace",
                "less than two write_timeouts",
                "1999ms",
                "\"2s\"",
            ),
        ),
        (
            "[run]\nwrite_timeout = \"1s\"\nstall_after = \"1999ms\"",
            (
                3,
                "run.stall_after",
                "a write under way would look like a stall",
                "1999ms",
                "write stall_after = \"2s\" or more",
            ),
        ),
        // The value of a reference is not shown, nor anything that is computed from it.
        (
            "[run]\nshutdown_grace = \"20s\"\nstall_after = \"9s\"\nwrite_timeout = \"${env:DURATION}\"",
            (
                3,
                "run.stall_after",
                "less than two write_timeouts",
                "\"9s\"",
                "raise stall_after, or lower write_timeout",
            ),
        ),
        (
            "[run]\nmemory = \"16MiB\"\nbatch_bytes_max = \"9MiB\"",
            (
                3,
                "run.batch_bytes_max",
                "more than half of run.memory",
                "9MiB",
                "raise run.memory",
            ),
        ),
    ]);
}
