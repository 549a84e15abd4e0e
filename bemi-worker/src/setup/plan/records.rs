//! Schema `bemi` in the source: the records of what setup made, and the rules.

use std::collections::BTreeSet;

use postgres_protocol::escape::escape_literal;

use super::{Plan, is_set_up};
use crate::config::Config;
use crate::config::pattern::TablePattern;
use crate::setup::inspect::{Installation, Source};
use crate::setup::rules::Rules;
use crate::setup::source_schema;

pub(super) fn plan(config: &Config, source: &Source, rules: &Rules, plan: &mut Plan) {
    if !is_set_up(source) {
        let mut sql = Vec::new();
        if !source.has_schema {
            sql.extend(source_schema::create_schema("bemi"));
        }
        sql.extend(source_schema::CREATE_TABLES.map(str::to_owned));
        plan.source("create the tables in schema bemi that say what setup made", sql);
    }
    if source.installation.as_ref().is_some_and(|installation| !installation.has_given_up) {
        let what = "create the table bemi.given_up, for slots that a worker gives up";
        plan.source(what, vec![source_schema::CREATE_GIVEN_UP.to_owned()]);
    }
    if source.installation.as_ref().is_some_and(|installation| installation.is_older) {
        let mut sql = source_schema::CREATE_TABLES.map(str::to_owned).to_vec();
        sql.push(source_schema::UPGRADE_TABLES.to_owned());
        plan.source("bring the records of setup in schema bemi up to date", sql);
    }
    let none = Installation::default();
    let before = source.installation.as_ref().unwrap_or(&none);
    plan_settings(config, before, plan);
    plan_full(before, rules, plan);
    plan_tables(before, rules, plan);
}

fn plan_settings(config: &Config, before: &Installation, plan: &mut Plan) {
    let name = config.publication.as_str();
    if before.publication.as_deref() == Some(name) {
        return;
    }
    let insert =
        format!("INSERT INTO bemi.settings (publication) VALUES ({})", escape_literal(name));
    let what = format!("write down the name of the publications: {name}");
    plan.source(what, vec!["DELETE FROM bemi.settings".to_owned(), insert]);
}

fn plan_full(before: &Installation, rules: &Rules, plan: &mut Plan) {
    for pattern in rules.full.iter().filter(|p| !before.full.contains(&p.to_string())) {
        let insert = format!(
            "INSERT INTO bemi.full_identity (pattern, schema_like, table_like) VALUES ({}, {}, {})",
            escape_literal(&pattern.to_string()),
            escape_literal(&pattern.schema.like()),
            escape_literal(&pattern.table.like()),
        );
        plan.source(format!("add {pattern} to the tables with whole old rows"), vec![insert]);
    }
    for pattern in before.full.difference(&texts(&rules.full)) {
        let delete =
            format!("DELETE FROM bemi.full_identity WHERE pattern = {}", escape_literal(pattern));
        plan.source(format!("take {pattern} off the tables with whole old rows"), vec![delete]);
    }
}

fn texts(patterns: &BTreeSet<TablePattern>) -> BTreeSet<String> {
    patterns.iter().map(ToString::to_string).collect()
}

fn plan_tables(before: &Installation, rules: &Rules, plan: &mut Plan) {
    for (patterns, before, excluded) in
        [(&rules.tracked, &before.tracked, false), (&rules.excluded, &before.excluded, true)]
    {
        let list = if excluded { "tables left out" } else { "tables to track" };
        for pattern in patterns.iter().filter(|pattern| !before.contains(&pattern.to_string())) {
            let insert = format!(
                "INSERT INTO bemi.tracked_tables (pattern, excluded, schema_like, table_like) \
                 VALUES ({}, {excluded}, {}, {})",
                escape_literal(&pattern.to_string()),
                escape_literal(&pattern.schema.like()),
                escape_literal(&pattern.table.like()),
            );
            plan.source(format!("add {pattern} to the {list}"), vec![insert]);
        }
        for pattern in before.difference(&texts(patterns)) {
            let delete = format!(
                "DELETE FROM bemi.tracked_tables WHERE pattern = {} AND excluded = {excluded}",
                escape_literal(pattern)
            );
            plan.source(format!("take {pattern} off the {list}"), vec![delete]);
        }
    }
}
