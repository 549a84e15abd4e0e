//! What PostgreSQL does not tell the worker, as far as this database has it: what is not in the WAL, or
//! is there and is not decoded.
//!
//! Some of it can be mended, and warns. What cannot is noted, so that nobody looks in `changes` for what
//! was never there.

use super::checks::{SETUP, Subject, names};
use super::facts::{Facts, Inheritance};
use super::finding::Diagnosis;
use crate::config::Config;
use crate::config::pattern::TablePattern;
use crate::setup::ddl::DDL_TRIGGERS;
use crate::setup::inspect::{Member, RecordKind, ReplicaIdentity, Table};
use crate::setup::plan::operations_of;
use crate::setup::rules::Rules;

/// The first version that sends stored generated columns.
const GENERATED_COLUMNS_SINCE: i32 = 180_000;

pub(super) fn check(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let Subject { config, facts, rules } = subject;
    let tables = &facts.found.source.tables;
    let selected: Vec<&Table> = rules.selected(tables).into_values().collect();
    outside_wal(tables, rules, diagnosis);
    publications(config, facts, diagnosis);
    generated_columns(facts, &selected, diagnosis);
    ddl(facts, rules, diagnosis);
    large_objects(facts, diagnosis);
    partitions(&selected, rules, diagnosis);
    partitions_outside_wal(tables, &selected, diagnosis);
    mixed_identities(&selected, diagnosis);
    inheritance(facts, rules, diagnosis);
}

fn outside_wal(tables: &[Table], rules: &Rules, diagnosis: &mut Diagnosis) {
    let outside = tables.iter().filter(|t| t.root.is_none() && !t.is_in_wal() && rules.tracks(t));
    let outside = names(outside);
    if outside.is_empty() {
        diagnosis.ok(
            "B019",
            "no table to be tracked is unlogged or foreign; temporary ones never are tracked",
        );
    } else {
        diagnosis.warn(
            "B019",
            format!("{outside}: unlogged or foreign"),
            "changes there, and in temporary tables, are not in the WAL and cannot be tracked",
            "make the table LOGGED, or leave it out with `bemi-worker setup --exclude`",
        );
    }
}

/// What somebody has set otherwise than setup did. The stream does not say that anything is left out.
fn publications(config: &Config, facts: &Facts, diagnosis: &mut Diagnosis) {
    let source = &facts.found.source;
    let mut left_out = Vec::new();
    for publication in &source.publications {
        let name = &publication.name;
        if !source.made(RecordKind::Publication, name) {
            continue;
        }
        let missing: Vec<&str> = operations_of(config, name)
            .iter()
            .copied()
            .filter(|wanted| !publication.operations.iter().any(|found| found == wanted))
            .collect();
        if !missing.is_empty() {
            left_out.push(format!("{name} does not publish {}", missing.join(", ")));
        }
        if !publication.is_via_root {
            left_out.push(format!("{name} does not publish partitions as their root"));
        }
        if !publication.narrowed.is_empty() {
            let tables: Vec<&str> = publication.narrowed.iter().map(String::as_str).collect();
            left_out.push(format!(
                "{name} has a row filter or a column list for {}",
                tables.join(", ")
            ));
        }
    }
    if left_out.is_empty() {
        diagnosis.ok("B051", "the publications leave out nothing of their tables");
    } else {
        diagnosis.fail(
            "B051",
            left_out.join("; "),
            "what a publication leaves out is not sent, and nothing says that it is missing",
            SETUP,
        );
    }
}

fn generated_columns(facts: &Facts, selected: &[&Table], diagnosis: &mut Diagnosis) {
    let source = &facts.found.source;
    let virtual_ones = names(selected.iter().filter(|t| t.has_virtual_columns).copied());
    if !virtual_ones.is_empty() {
        diagnosis.warn(
            "B020",
            format!("{virtual_ones}: has virtual generated columns"),
            "PostgreSQL does not publish them: they are missing in `before` and `after`, and with \
             REPLICA IDENTITY FULL, UPDATE and DELETE would fail, so `before` holds the key alone",
            "make them STORED where they are wanted",
        );
    }
    let stored: Vec<&Table> = selected.iter().filter(|t| t.has_stored_columns).copied().collect();
    if stored.is_empty() {
        return;
    }
    if source.version < GENERATED_COLUMNS_SINCE {
        diagnosis.note(
            "B043",
            format!("{}: has stored generated columns", names(stored)),
            "PostgreSQL sends them from 18 on: until then they are missing in `before` and `after`",
            "nothing to do, as they follow from the other columns; or upgrade the source",
        );
        return;
    }
    let lacking = |table: &&Table| {
        source
            .publications
            .iter()
            .any(|p| !p.has_generated_columns && p.tables.contains(&table.quoted()))
    };
    let (breaking, missing): (Vec<&Table>, Vec<&Table>) =
        stored.into_iter().filter(lacking).partition(|table| table.has_full_member());
    if !breaking.is_empty() {
        diagnosis.fail(
            "B044",
            format!(
                "{}: REPLICA IDENTITY FULL, with stored generated columns that are not published",
                names(breaking)
            ),
            "UPDATE and DELETE of the application itself fail; it happens where the source was \
             upgraded to PostgreSQL 18",
            SETUP,
        );
    }
    if !missing.is_empty() {
        diagnosis.warn(
            "B043",
            format!("{}: has stored generated columns that are not published", names(missing)),
            "they are missing in `before` and `after`",
            SETUP,
        );
    }
}

/// What records DDL, where setup was told to.
fn ddl(facts: &Facts, rules: &Rules, diagnosis: &mut Diagnosis) {
    if !rules.records_ddl {
        return;
    }
    let found = &facts.found.source.ddl;
    let why = "commands that change the shape of tables may be missing in changes";
    let disabled: Vec<&str> = found
        .triggers
        .iter()
        .filter(|(_, fires)| !**fires)
        .map(|(name, _)| name.as_str())
        .collect();
    if !found.is_current() {
        diagnosis.warn(
            "B042",
            "event triggers that record DDL are missing, or of another version",
            why,
            "run `bemi-worker setup` once as a superuser",
        );
    } else if disabled.is_empty() {
        diagnosis.ok("B042", format!("DDL is recorded by {} event triggers", DDL_TRIGGERS.len()));
    } else {
        diagnosis.warn(
            "B042",
            format!("event trigger {} is disabled", disabled.join(", ")),
            why,
            format!(
                "run ALTER EVENT TRIGGER {} ENABLE",
                disabled.join(" ENABLE; ALTER EVENT TRIGGER ")
            ),
        );
    }
}

fn large_objects(facts: &Facts, diagnosis: &mut Diagnosis) {
    if facts.has_large_objects {
        diagnosis.note(
            "B045",
            "there are large objects",
            "what is written to them is in the WAL, but PostgreSQL does not decode it: of a large \
             object, changes know no more than its oid, where a row has it",
            "nothing to do, unless their history is wanted: then keep such values in bytea columns",
        );
    }
}

fn partitions(selected: &[&Table], rules: &Rules, diagnosis: &mut Diagnosis) {
    let partitioned = names(selected.iter().filter(|t| t.is_partitioned).copied());
    if partitioned.is_empty() {
        return;
    }
    let what = format!("{partitioned}: partitioned");
    if rules.records_ddl {
        diagnosis.note(
            "B046",
            what,
            "TRUNCATE of a single partition is not in changes: PostgreSQL does not send it. DROP, \
             DETACH and ATTACH of one leave rows of operation DDL, and none for the rows in it",
            "nothing to do; where it must be seen, DELETE, or TRUNCATE the partitioned table itself",
        );
    } else {
        diagnosis.note(
            "B046",
            what,
            "TRUNCATE, DROP, DETACH and ATTACH of a single partition are not in changes: PostgreSQL \
             does not send them",
            "run `bemi-worker setup --ddl` as a superuser to have all but TRUNCATE recorded; where that \
             must be seen, DELETE, or TRUNCATE the partitioned table itself",
        );
    }
}

fn partitions_outside_wal(tables: &[Table], selected: &[&Table], diagnosis: &mut Diagnosis) {
    let is_of_tracked = |table: &&Table| {
        table.root.as_ref().is_some_and(|(schema, name)| {
            selected.iter().any(|root| root.schema == *schema && root.name == *name)
        })
    };
    let outside = names(tables.iter().filter(|t| !t.is_in_wal()).filter(is_of_tracked));
    if !outside.is_empty() {
        diagnosis.warn(
            "B047",
            format!("{outside}: partitions of tracked tables that are unlogged or foreign"),
            "changes there are not in the WAL, while those of the other partitions are tracked",
            "make the partition LOGGED; a foreign one is to be tracked where its rows are",
        );
    }
}

/// Partitions that hold rows, and of whose old rows not as much is there as of others.
fn mixed_identities(selected: &[&Table], diagnosis: &mut Diagnosis) {
    let mut partial = Vec::new();
    for table in selected {
        let (full, others): (Vec<&Member>, Vec<&Member>) = table
            .members
            .iter()
            .filter(|member| member.holds_rows)
            .partition(|member| member.identity == ReplicaIdentity::Full);
        if !full.is_empty() {
            partial.extend(others.into_iter().map(Member::name));
        }
    }
    if !partial.is_empty() {
        diagnosis.warn(
            "B048",
            format!("{}: without REPLICA IDENTITY FULL, unlike other partitions", partial.join(", ")),
            "a NULL in an old row may then be invented by the server: `before` shows only what is \
             certain, for all partitions of the table",
            "run `bemi-worker setup --replica-identity full`, or ALTER TABLE … REPLICA IDENTITY FULL",
        );
    }
}

fn inheritance(facts: &Facts, rules: &Rules, diagnosis: &mut Diagnosis) {
    let find = |(schema, name): &(String, String)| {
        facts.found.source.tables.iter().find(|t| t.schema == *schema && t.name == *name)
    };
    let is_tracked = |name| find(name).is_some_and(|table| rules.tracks(table));
    let tracked: Vec<&Inheritance> =
        facts.inheritances.iter().filter(|i| is_tracked(&i.parent)).collect();
    if tracked.is_empty() {
        return;
    }
    let list = |names: Vec<&(String, String)>| {
        let mut names: Vec<String> = names
            .into_iter()
            .map(|(schema, name)| TablePattern::exactly(schema, name).to_string())
            .collect();
        names.sort();
        names.dedup();
        names.join(", ")
    };
    diagnosis.note(
        "B049",
        format!("{}: has children by INHERITS", list(tracked.iter().map(|i| &i.parent).collect())),
        "each is a table of its own: a change of a child's row is under the child's name, also where \
         the statement named the parent, and so is its primary key",
        "nothing to do; ask for the children's changes, too",
    );
    let untracked: Vec<&(String, String)> =
        tracked.iter().map(|i| &i.child).filter(|child| !is_tracked(child)).collect();
    if !untracked.is_empty() {
        diagnosis.warn(
            "B050",
            format!("{}: not tracked, while the table that it inherits from is", list(untracked)),
            "a statement that names the parent changes rows there, too, and they are missing",
            "run `bemi-worker setup --tables` with their names",
        );
    }
}
