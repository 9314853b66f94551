//! Checks the pages of recipes with the program: each recipe is a whole configuration that `penstock check` accepts.

use crate::support::schema;
use penstock::config;
use penstock::rules::mapping::Mapping;

#[test]
fn every_recipe_is_a_configuration_that_is_accepted() {
    let pages = [
        include_str!("../../docs/guide/recipes.md"),
        include_str!("../../docs/guide/recipes-connect.md"),
    ];
    let recipes: Vec<&str> = pages
        .iter()
        .flat_map(|page| page.split("\n## ").skip(1))
        .map(|recipe| {
            let (_, rest) = recipe
                .split_once("```toml\n")
                .unwrap_or_else(|| panic!("a recipe without a configuration:\n{recipe}"));
            rest.split("```").next().unwrap_or_default()
        })
        .collect();
    assert!(recipes.len() > 5, "{} recipes", recipes.len());
    for recipe in recipes {
        let config = config::parse(recipe, "recipe.toml").unwrap_or_else(|faults| panic!("{recipe}\n{faults}"));
        Mapping::compile(&config).unwrap_or_else(|error| panic!("{recipe}\n{error}"));
        schema::assert_accepts(recipe);
    }
}
