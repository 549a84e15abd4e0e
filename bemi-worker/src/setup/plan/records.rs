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
    let none = Installation::default();
    let before = source.installation.as_ref().unwrap_or(&none);
    plan_settings(config, before, rules, plan);
    plan_tables(before, rules, plan);
}

fn plan_settings(config: &Config, before: &Installation, rules: &Rules, plan: &mut Plan) {
    let is_same = before.publication.as_deref() == Some(config.publication.as_str());
    if is_same && before.is_full == rules.is_full {
        return;
    }
    let policy = if rules.is_full { "full" } else { "keep" };
    let insert = format!(
        "INSERT INTO bemi.settings (publication, replica_identity) VALUES ({}, '{policy}')",
        escape_literal(config.publication.as_str())
    );
    let what = format!("write down the policy for replica identities: {policy}");
    plan.source(what, vec!["DELETE FROM bemi.settings".to_owned(), insert]);
}

fn plan_tables(before: &Installation, rules: &Rules, plan: &mut Plan) {
    let texts = |patterns: &BTreeSet<TablePattern>| -> BTreeSet<String> {
        patterns.iter().map(ToString::to_string).collect()
    };
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
