//! What is to be done about the pack: it is installed, brought up to date, or removed.

use postgres_protocol::escape::escape_literal;

use super::installed::InstalledObject;
use super::object::Object;
use super::{objects, past};
use crate::config::Config;
use crate::setup::inspect::Found;
use crate::setup::plan::{Action, Plan, Side, Step};
use crate::setup::source_schema::{create_schema, drop_schema};

/// What of the pack setup has installed, in the order in which it was made.
const CREATE_TABLE: &str = "\
CREATE TABLE IF NOT EXISTS bemi.sql_pack (
    object text PRIMARY KEY,
    place integer NOT NULL,
    head text NOT NULL,
    digest text NOT NULL,
    version text NOT NULL,
    installed_at timestamptz NOT NULL DEFAULT now()
)";

/// The steps to the pack of this version, or to none. `wanted` is what was asked for; what is not
/// said stays.
pub(crate) fn plan(wanted: Option<bool>, config: &Config, found: &Found, plan: &mut Plan) {
    let installed = &found.destination.sql_pack;
    if !wanted.unwrap_or(installed.is_installed()) {
        remove(found, plan);
        return;
    }
    let pack = objects(&config.changes_schema, found.is_one_database());
    if !is_current(&pack, &installed.objects) {
        let what = if installed.is_installed() {
            "bring the SQL pack in schema bemi up to date"
        } else {
            "install the SQL pack in schema bemi"
        };
        step(what, install(&pack, found), found, plan);
    } else if installed.has_stale_past {
        let refresh = vec![past::REFRESH.to_owned()];
        step("bring the views of the past in schema bemi_past up to date", refresh, found, plan);
    }
}

/// The steps that take it back.
pub(crate) fn remove(found: &Found, plan: &mut Plan) {
    let installed = &found.destination.sql_pack;
    if !installed.has_table {
        return;
    }
    let mut sql = past_dropped(found);
    sql.extend(installed.objects.iter().rev().map(|object| drop(&object.identity)));
    sql.push("DROP TABLE bemi.sql_pack".to_owned());
    if found.is_one_database() {
        sql.push(drop_schema(past::SCHEMA));
    }
    let what = "remove the SQL pack from schema bemi".to_owned();
    plan.steps.push(Step { what, side: Side::Destination, action: Action::Sql(sql) });
}

fn step(what: &str, sql: Vec<String>, found: &Found, plan: &mut Plan) {
    let otherwise = format!(
        "the SQL pack is missing, or not up to date: role {} may not change it; run `bemi-worker setup \
         --sql-pack` once as the role that installed it, or as a superuser",
        found.destination.role
    );
    plan.steps.push(Step {
        what: what.to_owned(),
        side: Side::Destination,
        action: Action::IfAllowed { sql, otherwise },
    });
}

/// Whether the pack that is installed is not that of this version, or not whole.
pub(crate) fn is_outdated(config: &Config, found: &Found) -> bool {
    let installed = &found.destination.sql_pack;
    let pack = objects(&config.changes_schema, found.is_one_database());
    !is_current(&pack, &installed.objects) || installed.has_stale_past
}

fn is_current(pack: &[Object], installed: &[InstalledObject]) -> bool {
    pack.len() == installed.len()
        && pack.iter().zip(installed).all(|(ours, theirs)| {
            ours.identity == theirs.identity && ours.digest() == theirs.digest
        })
}

fn install(pack: &[Object], found: &Found) -> Vec<String> {
    let installed = &found.destination.sql_pack.objects;
    let stays = |theirs: &&InstalledObject| {
        pack.iter().any(|ours| ours.identity == theirs.identity && ours.head == theirs.head)
    };
    let mut sql = vec![CREATE_TABLE.to_owned()];
    let dropped: Vec<String> =
        installed.iter().rev().filter(|o| !stays(o)).map(|o| drop(&o.identity)).collect();
    if !dropped.is_empty() {
        // Views of the past may stand on what goes.
        sql.extend(past_dropped(found));
        sql.extend(dropped);
    }
    let has_past = found.is_one_database();
    if has_past && !found.destination.has_past_schema {
        sql.extend(create_schema(past::SCHEMA));
        // Where it could not be used, a path with it would silently lead to the tables of now.
        sql.push(format!("GRANT USAGE ON SCHEMA {} TO PUBLIC", past::SCHEMA));
    }
    for object in pack {
        sql.push(object.create.clone());
        sql.push(object.describe());
        if !installed.iter().filter(stays).any(|theirs| theirs.identity == object.identity) {
            sql.push(object.grant());
        }
    }
    sql.push("DELETE FROM bemi.sql_pack".to_owned());
    sql.extend(pack.iter().enumerate().map(|(place, object)| record(place, object)));
    if has_past {
        sql.push(past::REFRESH.to_owned());
    }
    sql
}

fn past_dropped(found: &Found) -> Vec<String> {
    let knows_past = |o: &InstalledObject| o.identity.ends_with(past::DROP_IDENTITY);
    if found.destination.sql_pack.objects.iter().any(knows_past) {
        vec![past::DROP.to_owned()]
    } else {
        Vec::new()
    }
}

fn drop(identity: &str) -> String {
    let (kind, name) = identity.split_once(' ').unwrap_or((identity, ""));
    format!("DROP {kind} IF EXISTS {name}")
}

fn record(place: usize, object: &Object) -> String {
    format!(
        "INSERT INTO bemi.sql_pack (object, place, head, digest, version) \
         VALUES ({}, {place}, {}, {}, {})",
        escape_literal(&object.identity),
        escape_literal(&object.head),
        escape_literal(&object.digest()),
        escape_literal(env!("CARGO_PKG_VERSION")),
    )
}
