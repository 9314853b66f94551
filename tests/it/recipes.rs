//! Checks the recipes in `docs/guide` with the program: each is a whole configuration that `penstock check` accepts.

use crate::support::schema;
use penstock::config::{self, Outside};
use penstock::message::Message;
use penstock::output::Output;
use penstock::processor::Processor as _;
use penstock::rules::mapping::Mapping;

const PAGES: [&str; 4] = [
    include_str!("../../docs/guide/recipes.md"),
    include_str!("../../docs/guide/recipes-checks.md"),
    include_str!("../../docs/guide/recipes-connect.md"),
    include_str!("../../docs/guide/recipes-debezium.md"),
];

/// The first block of this language in a recipe.
fn block<'a>(recipe: &'a str, language: &str) -> Option<&'a str> {
    let (_, rest) = recipe.split_once(&format!("```{language}\n"))?;
    rest.split("```").next()
}

/// The JSON of a recipe is the file that it names.
struct Beside<'a>(&'a str);

impl Outside for Beside<'_> {
    fn env(&self, _: &str) -> Result<String, String> {
        Err("is not set".to_owned())
    }

    fn file(&self, _: &str) -> Result<String, String> {
        let json = block(self.0, "json").ok_or("stands not in the recipe")?;
        Ok(json.to_owned())
    }
}

fn accepted(recipe: &str) -> Mapping {
    let text = block(recipe, "toml").unwrap_or_else(|| panic!("a recipe without a configuration:\n{recipe}"));
    let config = config::parse_with(text, "recipe.toml", &Beside(recipe));
    let config = config.unwrap_or_else(|faults| panic!("{text}\n{faults}"));
    schema::assert_accepts(text);
    Mapping::compile(&config).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

#[test]
fn every_recipe_is_a_configuration_that_is_accepted() {
    let recipes: Vec<&str> = PAGES.iter().flat_map(|page| page.split("\n## ").skip(1)).collect();
    assert!(recipes.len() > 6, "{} recipes", recipes.len());
    for recipe in recipes {
        accepted(recipe);
    }
}

#[test]
fn the_recipe_with_a_schema_says_what_it_promises() {
    let recipe = PAGES[1]
        .split("\n## ")
        .find(|recipe| recipe.contains("payload_schema = "))
        .unwrap();
    let mapping = accepted(recipe);
    let rules = mapping.topic("orders").unwrap();
    let process = |payload: &str| {
        let message = Message {
            topic: "orders",
            partition: 0,
            offset: 0,
            timestamp_ms: None,
            key: None,
            payload: Some(payload.as_bytes()),
            headers: Vec::new(),
        };
        rules
            .process(&message, 0, &mut Output::default())
            .map_err(|rejection| rejection.to_string())
    };
    let line = recipe.lines().find(|line| line.starts_with("- `echo '")).unwrap();
    let payload = line.trim_start_matches("- `echo '").split('\'').next().unwrap();
    let told = process(payload).unwrap_err();
    let promised = recipe.split("says\n  `").nth(1).unwrap().split('`').next().unwrap();
    assert!(
        told.starts_with("schema: ") && told.ends_with(promised),
        "{told}\n{promised}"
    );
    assert!(process(&payload.replace("\"qty\": 0", "\"qty\": 2")).is_ok());
}
