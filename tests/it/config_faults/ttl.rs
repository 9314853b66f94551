//! `ttl` and `ttl_on`.

use super::check_lines;

#[test]
fn a_ttl_on_create_has_a_ttl_and_a_record_to_create() {
    check_lines(&[
        (
            "bins = [\"x\"]\nttl_on = \"create\"",
            (
                5,
                "ttl_on",
                "the write has no ttl of its own",
                "\"create\"",
                "ttl = \"keep\"",
            ),
        ),
        (
            "bins = [\"x\"]\nttl = \"default\"\nttl_on = \"create\"",
            (
                6,
                "ttl_on",
                "the write has no ttl of its own",
                "\"create\"",
                "ttl = \"keep\"",
            ),
        ),
        (
            "bins = [\"x\"]\nttl = \"keep\"\nttl_on = \"create\"",
            (
                6,
                "ttl_on",
                "contradicts ttl = \"keep\"",
                "\"create\"",
                "a ttl such as \"30d\"",
            ),
        ),
        (
            "bins = [\"x\"]\nttl = \"1d\"\nttl_on = \"update\"",
            (
                6,
                "ttl_on",
                "none of the values",
                "\"update\"",
                "\"write\" or \"create\"",
            ),
        ),
    ]);
    for (mode, why) in [
        ("create", "every write makes its record"),
        ("update_only", "no write makes a record"),
        ("replace", "every write sets the record's life"),
    ] {
        let lines = format!("bins = [\"x\"]\nttl = \"1d\"\nmode = \"{mode}\"\nttl_on = \"create\"");
        let problem = format!("ttl_on = \"create\" contradicts mode = \"{mode}\": there {why}");
        check_lines(&[(&lines, (7, "ttl_on", &problem, "\"create\"", "mode = \"update\""))]);
    }
}
