//! The topic of the letters, for the commands that read one: which it is, and what is said if there is none.

use crate::config::model::{Config, RejectAction};

/// The topic of dead letters that the configuration names.
pub fn configured(config: &Config) -> Option<&str> {
    match &config.reject.action {
        RejectAction::DeadLetter { topic, .. } => Some(topic),
        RejectAction::Hold | RejectAction::Stop | RejectAction::Drop => None,
    }
}

/// The topic to read: that of `--from`, or the one of the configuration.
///
/// # Errors
/// What to say if there is neither.
pub fn choose<'c>(from: Option<&'c str>, config: &'c Config) -> Result<&'c str, String> {
    match from {
        Some("") => Err("--from needs the name of a topic".to_owned()),
        Some(topic) => Ok(topic),
        None => configured(config).ok_or_else(|| {
            "the configuration has no [reject].topic: name the topic of the dead letters with --from".to_owned()
        }),
    }
}

/// What is said of a topic that does not exist.
pub fn absent(topic: &str, config: &Config) -> String {
    // A name from the command line may have anything in it.
    let shown: String = topic.chars().flat_map(char::escape_debug).collect();
    let cure = match configured(config) {
        Some(own) if own == topic => "create it; the configuration names it as [reject].topic".to_owned(),
        Some(own) => format!("the configuration's topic of dead letters is {own} ([reject].topic)"),
        None => "the configuration names no topic of dead letters ([reject].topic)".to_owned(),
    };
    format!("kafka: there is no topic {shown}: {cure}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    fn config(reject: &str) -> Config {
        let text = format!(
            "[kafka]\nbrokers = \"127.0.0.1:9092\"\ntopics = [\"events\"]\ngroup = \"g\"\n[aerospike]\nhosts = \
             \"127.0.0.1:3000\"\nnamespace = \"test\"\n[[route]]\n[[route.write]]\nset = \"s\"\nkey = \"id\"\nadd = {{ n = 1 \
             }}\n[reject]\n{reject}\n"
        );
        config::parse(&text, "test.toml").unwrap_or_else(|faults| panic!("{faults}"))
    }

    #[test]
    fn the_topic_is_that_of_the_call_or_that_of_the_configuration() {
        let with = config("action = \"dead_letter\"\ntopic = \"events.dead\"");
        let without = config("action = \"drop\"");
        assert_eq!(choose(None, &with), Ok("events.dead"));
        assert_eq!(choose(Some("other"), &with), Ok("other"));
        assert_eq!(choose(Some("other"), &without), Ok("other"));
        assert!(choose(Some(""), &with).unwrap_err().contains("--from"));
        assert!(choose(None, &without).unwrap_err().contains("--from"));
        for (topic, config, told) in [
            (
                "nosuch\n",
                &with,
                "no topic nosuch\\n: the configuration's topic of dead letters is events.dead ",
            ),
            ("events.dead", &with, "no topic events.dead: create it"),
            (
                "nosuch",
                &without,
                "no topic nosuch: the configuration names no topic of dead letters",
            ),
        ] {
            assert!(absent(topic, config).contains(told), "{}", absent(topic, config));
        }
    }
}
