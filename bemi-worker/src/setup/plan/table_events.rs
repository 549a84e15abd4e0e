//! What setup says in the stream of the tables that it finds: that they are tracked from here on.
//!
//! It comes last: what is said before there is a slot is heard by nobody. What happens to tables later
//! the event triggers say.

use std::collections::BTreeMap;

use bemi_core::Lsn;
use postgres_protocol::escape::escape_literal;

use super::{Action, Plan, Side, names};
use crate::config::Config;
use crate::setup::inspect::{Found, RecordKind, Source, Table};
use crate::setup::rules::Rules;
use crate::setup::table_events;

/// Says it of every table of which nothing is known yet, and of all of them where the slot begins anew.
pub(super) fn plan(config: &Config, found: &Found, rules: &Rules, plan: &mut Plan) {
    let begins = plan.steps.iter().any(|step| matches!(step.action, Action::StartCheckpoint(_)));
    let makes_slot = plan
        .steps
        .iter()
        .any(|step| matches!(step.action, Action::CreateSlot { .. } | Action::CopySlot { .. }));
    let untold = |table: &&Table| begins || !is_told(found, table);
    let tracked = tracked(config, &found.source, rules);
    let (published, new): (Vec<&Table>, Vec<&Table>) = tracked
        .into_values()
        .filter(untold)
        // A slot is made when all transactions before have ended.
        .partition(|table| makes_slot || is_published(config, &found.source, table));
    tell(&published, plan);
    for table in new {
        tell_alone(table, plan);
    }
}

/// Says it of the tables that are about to be published.
pub(super) fn plan_new(config: &Config, source: &Source, rules: &Rules, plan: &mut Plan) {
    for table in tracked(config, source, rules).into_values() {
        if !is_published(config, source, table) {
            tell_alone(table, plan);
        }
    }
}

/// Says that tables have left the publications, in the transaction in which they leave.
pub(super) fn untracked(tables: &[String]) -> Vec<String> {
    let mut sql = table_events::emit("untracked", tables);
    sql.extend(tables.iter().map(|table| super::forget(RecordKind::TableEvent, table)));
    sql
}

/// The tracked tables of which nobody knows since when they are.
pub(crate) fn untold<'a>(config: &Config, found: &'a Found, rules: &Rules) -> Vec<&'a Table> {
    let tracked = tracked(config, &found.source, rules);
    tracked.into_values().filter(|table| !is_told(found, table)).collect()
}

/// The tables that are tracked when all steps are taken, by their names in SQL. One that was renamed stays
/// published, whatever the patterns say.
fn tracked<'a>(config: &Config, source: &'a Source, rules: &Rules) -> BTreeMap<String, &'a Table> {
    let mut tracked = rules.selected(&source.tables);
    let published = source.tables.iter().filter(|table| {
        table.root.is_none() && !rules.unpublishes(table) && is_published(config, source, table)
    });
    tracked.extend(published.map(|table| (table.quoted(), table)));
    tracked
}

fn is_published(config: &Config, source: &Source, table: &Table) -> bool {
    let quoted = table.quoted();
    let publications = config.publication.both();
    publications
        .iter()
        .filter_map(|name| source.publication(name))
        .any(|publication| publication.tables.contains(&quoted))
}

/// Whether the destination knows since when the table is tracked, or is about to.
fn is_told(found: &Found, table: &Table) -> bool {
    if found.destination.tells_of(table) || found.source.told_by_triggers.contains(&table.oid) {
        return true;
    }
    let installation = found.source.installation.as_ref();
    let told = installation
        .and_then(|made| made.record(RecordKind::TableEvent, &table.quoted()))
        .and_then(|record| record.former.as_deref()?.parse::<Lsn>().ok());
    let stored = found.destination.checkpoint.as_ref().map(|checkpoint| checkpoint.position);
    told.is_some_and(|told| stored.is_none_or(|stored| stored <= told))
}

fn tell(tables: &[&Table], plan: &mut Plan) {
    if !tables.is_empty() {
        let what =
            format!("say in the stream that it is tracked: {}", names(tables.iter().copied()));
        plan.source(what, sql(tables));
    }
}

/// A transaction that has written to the table already is not seen as a whole. So whoever is writing is
/// waited for.
fn tell_alone(table: &Table, plan: &mut Plan) {
    let quoted = table.quoted();
    let mut statements = vec![format!("LOCK TABLE {quoted} IN SHARE MODE")];
    statements.extend(sql(&[table]));
    plan.step(
        Side::Source,
        format!("say in the stream that it is tracked: {}", table.name()),
        Action::Locking { table: quoted, sql: statements },
    );
}

fn sql(tables: &[&Table]) -> Vec<String> {
    let quoted: Vec<String> = tables.iter().map(|table| table.quoted()).collect();
    let mut sql = table_events::emit("tracked", &quoted);
    let list: Vec<String> = quoted.iter().map(|table| escape_literal(table)).collect();
    sql.push(format!(
        "INSERT INTO bemi.installation (kind, name, former) \
         SELECT {}, name, pg_current_wal_insert_lsn()::text FROM unnest(ARRAY[{}]) AS name \
         ON CONFLICT (kind, name) DO UPDATE SET former = excluded.former",
        escape_literal(RecordKind::TableEvent.text()),
        list.join(", ")
    ));
    sql
}
