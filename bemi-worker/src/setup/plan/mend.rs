//! What doctor mends by itself: what setup has made, and somebody has removed, altered or outrun. It is
//! planned as setup plans it, by the rules that were given, and less.
//!
//! Invariants: no replica identity is changed and no slot is touched; a table is never put where the
//! application's own statements would fail, as it is now; what bears the name of something of ours and is
//! not ours stays.

use bemi_core::changes_table::TABLE;
use postgres_protocol::escape::escape_identifier;

use super::{Plan, Step, context, ddl, destination, publication, table_events};
use crate::WorkerError;
use crate::config::Config;
use crate::setup::inspect::{Found, RecordKind, Source};
use crate::setup::rules::Rules;
use crate::setup::sql_pack;

/// Steps that mend these findings of doctor's, as far as they can be mended without anybody's decision.
pub(crate) struct Mending {
    pub(crate) codes: &'static [&'static str],
    pub(crate) steps: Vec<Step>,
}

/// Plans them; nothing where setup has never run.
pub(crate) fn mending(config: &Config, found: &Found) -> Result<Vec<Mending>, WorkerError> {
    let Some(installation) = &found.source.installation else { return Ok(Vec::new()) };
    // Set up by another name, it is not this configuration's.
    if installation.publication.as_deref() != Some(config.publication.as_str()) {
        return Ok(Vec::new());
    }
    let rules = Rules::of(installation)?;
    let mut groups: Vec<Mending> = Vec::new();
    let mut group = |codes, plan: &dyn Fn(&mut Plan)| {
        let mut planned = Plan::default();
        plan(&mut planned);
        groups.push(Mending { codes, steps: planned.steps });
    };
    let source = &found.source;
    group(&["B030", "B065"], &|plan| destination::plan_own_tables(found, plan));
    group(&["B031"], &|plan| destination::plan_changes(config, found, plan));
    if context::strangers(source, &rules).next().is_none() {
        group(&["B036"], &|plan| context::plan_function(source, plan));
        if rules.takes_requests {
            group(&["B037"], &|plan| context::plan_request_functions(source, plan));
            group(&["B038"], &|plan| context::plan_triggers(source, &rules, plan));
        }
    }
    if are_publications_ours(config, source) {
        group(&["B069"], &|plan| unpublish_own(config, found, plan));
        let (as_is, keeping) = (as_it_is(source), without_full(&rules));
        group(&["B012", "B013", "B014", "B015", "B043", "B044", "B051"], &|plan| {
            publication::plan(config, &as_is, &keeping, plan);
        });
    }
    if publication::strangers(source).next().is_none() {
        group(&["B016"], &|plan| publication::plan_event_triggers(source, plan));
    }
    if rules.records_ddl && ddl::strangers(source, &rules).next().is_none() {
        group(&["B042"], &|plan| ddl::plan(source, &rules, plan));
    }
    if source.slot.is_some() {
        group(&["B052"], &|plan| table_events::plan(config, found, &rules, plan));
    }
    if found.destination.sql_pack.has_table {
        group(&["B070"], &|plan| sql_pack::plan(Some(true), config, found, plan));
    }
    Ok(groups)
}

/// A publication of somebody else's with the name of one of ours is none of our business.
fn are_publications_ours(config: &Config, source: &Source) -> bool {
    config.publication.both().iter().all(|name| {
        source.publication(name).is_none() || source.made(RecordKind::Publication, name)
    })
}

/// The source, with no replica identity about to be put back as it was: each counts as it is now.
fn as_it_is(source: &Source) -> Source {
    let mut source = source.clone();
    if let Some(installation) = &mut source.installation {
        installation.records.retain(|record| record.kind != RecordKind::ReplicaIdentity);
    }
    source
}

/// The rules, with no table about to become whole.
fn without_full(rules: &Rules) -> Rules {
    let mut rules = rules.clone();
    rules.full.clear();
    rules
}

/// What the worker writes must not come back to it.
fn unpublish_own(config: &Config, found: &Found, plan: &mut Plan) {
    if !found.is_one_database() {
        return;
    }
    let changes =
        format!("{}.{}", escape_identifier(&config.changes_schema), escape_identifier(TABLE));
    for publication in &found.source.publications {
        let own =
            publication.tables.iter().filter(|t| **t == changes || t.starts_with("\"bemi\"."));
        for table in own {
            plan.source(
                format!("remove {table} from publication {}", publication.name),
                vec![format!(
                    "ALTER PUBLICATION {} DROP TABLE {table}",
                    escape_identifier(&publication.name)
                )],
            );
        }
    }
}
