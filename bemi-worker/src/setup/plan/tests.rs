//! What is planned for what is found. No server is asked: that applying a plan leaves nothing to
//! plan is for the tests against one to show.

mod adopt;
mod failover;

use std::collections::{BTreeMap, BTreeSet};

use super::slot::READ_BY_ANOTHER;
use super::*;
use crate::error::Problem;
use crate::setup::IdentityPolicy;
use crate::setup::inspect::{
    ContextObjects, DdlObjects, Destination, Installation, Member, Original, Persistence,
    Publication, Record, ReplicaIdentity, Role, Roles,
};
use crate::setup::script::script;
use crate::setup::sql_pack::InstalledPack;
use crate::sink::Checkpoint;
use crate::source::SlotState;

fn config() -> Config {
    Config::new("postgres://worker@localhost/shop".parse().unwrap())
}

fn source(tables: Vec<Table>) -> Source {
    Source {
        database: "shop".to_owned(),
        system_identifier: "7".to_owned(),
        timeline: 1,
        version: 150_018,
        is_standby: false,
        wal_level: "logical".to_owned(),
        slots_used: 0,
        slots_max: 10,
        senders_used: 0,
        senders_max: 10,
        role: Role {
            name: "worker".to_owned(),
            may_replicate: true,
            may_create: true,
            may_use_schema: true,
            may_create_in_public: true,
        },
        tables,
        publications: Vec::new(),
        slot: None,
        given_up: None,
        has_schema: false,
        installation: None,
        table_triggers: BTreeMap::new(),
        told_by_triggers: BTreeSet::new(),
        untrusted_owner: None,
        ddl: DdlObjects::default(),
        has_current_functions: false,
        context: ContextObjects::default(),
    }
}

fn found(tables: Vec<Table>) -> Found {
    let destination = Destination {
        database: "shop".to_owned(),
        system_identifier: "7".to_owned(),
        is_standby: false,
        role: "worker".to_owned(),
        may_create: true,
        has_schema: false,
        may_use_schema: true,
        has_changes_schema: true,
        may_use_changes_schema: true,
        has_own_tables: false,
        changes: None,
        checkpoint: None,
        table_events: BTreeSet::new(),
        sql_pack: InstalledPack::default(),
        has_tamper_evidence: false,
        has_past_schema: false,
        newer_version: None,
        shape: crate::partitions::Shape::Missing,
        is_append_only: false,
    };
    Found {
        source: source(tables),
        destination,
        original: Original::default(),
        roles: Roles::default(),
    }
}

/// A table with a primary key `id`.
fn table(schema: &str, name: &str) -> Table {
    Table {
        oid: 16_400,
        schema: schema.to_owned(),
        name: name.to_owned(),
        persistence: Persistence::Permanent,
        is_foreign: false,
        is_of_extension: false,
        columns: vec!["id".to_owned(), "note".to_owned()],
        key_columns: vec!["id".to_owned()],
        has_virtual_columns: false,
        has_stored_columns: false,
        is_partitioned: false,
        is_owned: true,
        members: vec![Member {
            schema: schema.to_owned(),
            name: name.to_owned(),
            identity: ReplicaIdentity::Default,
            is_identified: true,
            has_key: true,
            holds_rows: true,
        }],
        root: None,
    }
}

fn publication(name: &str, tables: &[&str]) -> Publication {
    Publication {
        name: name.to_owned(),
        tables: tables.iter().map(|&table| table.to_owned()).collect(),
        narrowed: BTreeSet::new(),
        operations: if name.ends_with("_insert_only") {
            ["insert", "truncate"].map(str::to_owned).into()
        } else {
            ["insert", "update", "delete", "truncate"].map(str::to_owned).into()
        },
        is_via_root: true,
        has_generated_columns: false,
    }
}

fn without_key(mut table: Table) -> Table {
    table.key_columns.clear();
    table.members[0].is_identified = false;
    table.members[0].has_key = false;
    table
}

fn plan_for(options: &SetupOptions, found: &Found) -> Plan {
    plan(options, &config(), found).unwrap()
}

fn all() -> SetupOptions {
    SetupOptions::new().all_tables()
}

/// All statements of the plan.
fn sql(plan: &Plan) -> String {
    let statements = plan.steps.iter().flat_map(|step| match &step.action {
        Action::Sql(sql) | Action::Locking { sql, .. } | Action::IfAllowed { sql, .. } => {
            sql.clone()
        }
        Action::CreateSlot { .. }
        | Action::CopySlot { .. }
        | Action::AlterSlot { .. }
        | Action::Partition { .. }
        | Action::StartCheckpoint(_) => Vec::new(),
    });
    statements.collect::<Vec<_>>().join(";\n")
}

fn problems(plan: &Plan) -> String {
    plan.problems.to_string()
}

/// What a setup of that slot leaves behind.
fn set_up(mut found: Found, began: &str, confirmed: u64) -> Found {
    let record = |kind, name: &str, former: Option<&str>| Record {
        kind,
        name: name.to_owned(),
        former: former.map(str::to_owned),
    };
    found.source.installation = Some(Installation {
        records: vec![
            record(RecordKind::Publication, "bemi", None),
            record(RecordKind::Publication, "bemi_insert_only", None),
            record(RecordKind::Slot, "bemi", Some(began)),
        ],
        tracked: BTreeSet::from(["*.*".to_owned()]),
        excluded: BTreeSet::from(["public.changes".to_owned()]),
        publication: Some("bemi".to_owned()),
        has_given_up: true,
        ..Installation::default()
    });
    found.source.slot = Some(SlotState {
        plugin: "pgoutput".to_owned(),
        database: "shop".to_owned(),
        active_process: None,
        confirmed: Lsn::new(confirmed),
        is_lost: false,
        invalidation: None,
        is_failover: false,
    });
    found.destination.has_own_tables = true;
    let told = |table: &Table| (table.schema.clone(), table.name.clone(), table.oid);
    found.destination.table_events = found.source.tables.iter().map(told).collect();
    found.destination.checkpoint = Some(Checkpoint {
        system_identifier: "7".to_owned(),
        timeline: 1,
        database: "shop".to_owned(),
        publications: Vec::new(),
        position: Lsn::new(confirmed),
    });
    found
}

fn slot_steps(plan: &Plan) -> Vec<&Action> {
    plan.steps
        .iter()
        .map(|step| &step.action)
        .filter(|a| matches!(a, Action::CreateSlot { .. } | Action::StartCheckpoint(_)))
        .collect()
}

#[test]
fn names_of_any_kind_are_quoted_wherever_they_go() {
    let odd = table("My \"Schema\"", "T.a'b\\😀");
    let plan = plan_for(&all().replica_identity(IdentityPolicy::Full), &found(vec![odd]));
    let sql = sql(&plan);
    let quoted = "\"My \"\"Schema\"\"\".\"T.a'b\\😀\"";
    assert!(sql.contains(&format!("ALTER TABLE {quoted} REPLICA IDENTITY FULL")), "{sql}");
    assert!(sql.contains(&format!("FOR TABLE ONLY {quoted} WITH")), "{sql}");
    assert!(sql.contains("E'\"My \"\"Schema\"\"\".\"T.a''b\\\\😀\"'"), "{sql}");
}

#[test]
fn a_name_cannot_break_out_of_a_comment_of_the_script() {
    let found = found(vec![table("public", "a\nDROP TABLE b; --")]);
    let plan = plan_for(&all().replica_identity(IdentityPolicy::Full), &found);
    let script = script(&plan, &config(), &found);
    assert!(script.contains("\n-- set REPLICA IDENTITY FULL on public.\"a DROP TABLE b; --\"\n"));
    assert!(!script.contains("on public.\"a\n"), "{script}");
}

#[test]
fn a_table_without_identity_is_published_for_insert_only_and_said_so() {
    let found = found(vec![table("public", "todo"), without_key(table("public", "log"))]);
    let plan = plan_for(&all(), &found);
    let sql = sql(&plan);
    assert!(sql.contains("CREATE PUBLICATION \"bemi\" FOR TABLE ONLY \"public\".\"todo\" WITH"));
    assert!(sql.contains(
        "CREATE PUBLICATION \"bemi_insert_only\" FOR TABLE ONLY \"public\".\"log\" \
         WITH (publish = 'insert, truncate', publish_via_partition_root = true)"
    ));
    assert!(plan.notes.iter().any(|note| note.contains("public.log are untracked")));

    let full = plan_for(&all().replica_identity(IdentityPolicy::Full), &found);
    let both = "FOR TABLE ONLY \"public\".\"log\", ONLY \"public\".\"todo\" WITH";
    assert!(self::sql(&full).contains(both));
}

#[test]
fn a_root_is_identified_only_if_every_partition_is() {
    let mut root = table("public", "events");
    let mut leaf = root.members[0].clone();
    leaf.name = "events_2026".to_owned();
    leaf.is_identified = false;
    root.members.push(leaf);
    let found = found(vec![root]);
    assert!(sql(&plan_for(&all(), &found)).contains("\"bemi_insert_only\" FOR TABLE"));
    let full = sql(&plan_for(&all().replica_identity(IdentityPolicy::Full), &found));
    assert!(full.contains("ALTER TABLE \"public\".\"events_2026\" REPLICA IDENTITY FULL"));
    assert!(full.contains("CREATE PUBLICATION \"bemi\" FOR TABLE ONLY \"public\".\"events\" WITH"));
}

#[test]
fn both_publications_are_made_also_without_tables() {
    let sql = sql(&plan_for(&all(), &found(Vec::new())));
    assert!(sql.contains("CREATE PUBLICATION \"bemi\" WITH"));
    assert!(sql.contains("CREATE PUBLICATION \"bemi_insert_only\" WITH"));
}

#[test]
fn stored_generated_columns_are_published_where_the_server_can() {
    let mut found = found(vec![table("public", "todo")]);
    assert!(!sql(&plan_for(&all(), &found)).contains("publish_generated_columns"));
    found.source.version = 180_004;
    assert!(sql(&plan_for(&all(), &found)).contains("publish_generated_columns = stored"));
}

#[test]
fn a_publication_of_before_the_upgrade_gets_the_generated_columns_that_full_needs() {
    let mut found = set_up(found(vec![table("public", "todo")]), "0/1", 1);
    found.source.publications =
        vec![publication("bemi", &[]), publication("bemi_insert_only", &[])];
    let alter = "ALTER PUBLICATION \"bemi\" SET (publish = 'insert, update, delete, truncate', \
                 publish_via_partition_root = true, publish_generated_columns = stored)";
    assert!(!sql(&plan_for(&SetupOptions::new(), &found)).contains("\"bemi\" SET"));
    found.source.version = 180_004;
    assert!(sql(&plan_for(&SetupOptions::new(), &found)).contains(alter));
}

#[test]
fn full_is_refused_where_virtual_columns_would_break_the_application() {
    let mut with_virtual = table("public", "todo");
    with_virtual.has_virtual_columns = true;
    let found = found(vec![with_virtual, table("public", "other")]);
    let plan = plan_for(&all().replica_identity(IdentityPolicy::Full), &found);
    assert!(!sql(&plan).contains("ALTER TABLE \"public\".\"todo\""));
    assert!(plan.notes.iter().any(|note| note.contains("public.todo keeps its replica identity")));
    // Asked for by name, it is an error.
    let named = all().full_identity("other,todo").unwrap();
    assert!(problems(&plan_for(&named, &found)).contains("UPDATE and DELETE of public.todo fail"));
    let other = plan_for(&all().full_identity("other").unwrap(), &found);
    assert_eq!(other.problems, Problems::default());
}

#[test]
fn full_that_a_virtual_column_has_made_impossible_is_taken_back_where_setup_set_it() {
    let mut of_ours = table("public", "ours");
    let mut of_others = table("public", "theirs");
    for table in [&mut of_ours, &mut of_others] {
        table.has_virtual_columns = true;
        table.members[0].identity = ReplicaIdentity::Full;
        table.members[0].is_identified = false;
    }
    let mut found = set_up(found(vec![of_ours, of_others]), "0/1", 1);
    let records = &mut found.source.installation.as_mut().unwrap().records;
    records.push(Record {
        kind: RecordKind::ReplicaIdentity,
        name: "\"public\".\"ours\"".to_owned(),
        former: Some("DEFAULT".to_owned()),
    });
    let sql = sql(&plan_for(&SetupOptions::new(), &found));
    assert!(sql.contains("ALTER TABLE \"public\".\"ours\" REPLICA IDENTITY DEFAULT"), "{sql}");
    assert!(!sql.contains("ALTER TABLE \"public\".\"theirs\""), "{sql}");
    assert!(sql.contains("\"bemi\" FOR TABLE ONLY \"public\".\"ours\" WITH"), "{sql}");
    assert!(
        sql.contains("\"bemi_insert_only\" FOR TABLE ONLY \"public\".\"theirs\" WITH"),
        "{sql}"
    );
}

#[test]
fn full_is_for_some_tables_where_they_are_named() {
    let found = found(vec![table("public", "todo"), table("sales", "orders")]);
    let sql = sql(&plan_for(&all().full_identity("sales.*").unwrap(), &found));
    assert!(sql.contains("ALTER TABLE \"sales\".\"orders\" REPLICA IDENTITY FULL"), "{sql}");
    assert!(!sql.contains("ALTER TABLE \"public\""), "{sql}");
    assert!(sql.contains("INTO bemi.full_identity (pattern, schema_like, table_like)"), "{sql}");
}

#[test]
fn what_is_not_in_the_wal_and_what_extensions_own_is_left_out() {
    let mut unlogged = table("public", "cache");
    unlogged.persistence = Persistence::Unlogged;
    let mut of_extension = table("public", "spatial_ref_sys");
    of_extension.is_of_extension = true;
    let found = found(vec![unlogged, of_extension, table("public", "todo")]);
    let plan = plan_for(&all(), &found);
    assert!(sql(&plan).contains("\"bemi\" FOR TABLE ONLY \"public\".\"todo\" WITH"));
    assert!(plan.notes.iter().any(|note| note.contains("public.cache cannot be tracked")));
    let named = plan_for(&SetupOptions::new().tables("cache").unwrap(), &found);
    assert!(problems(&named).contains("not in the WAL"));
}

#[test]
fn what_the_worker_writes_does_not_come_back_to_it() {
    let tables = vec![table("public", "changes"), table("public", "todo")];
    let one = found(tables.clone());
    assert!(!sql(&plan_for(&all(), &one)).contains("\"public\".\"changes\", ONLY"));
    // Elsewhere a table of that name is the application's.
    let mut two = found(tables);
    two.destination.system_identifier = "8".to_owned();
    let both = "FOR TABLE ONLY \"public\".\"changes\", ONLY \"public\".\"todo\" WITH";
    assert!(sql(&plan_for(&all(), &two)).contains(both));
}

#[test]
fn rules_add_up_and_the_last_word_on_a_pattern_counts() {
    let mut found = set_up(found(vec![table("public", "a"), table("public", "b")]), "0/1", 1);
    let installation = found.source.installation.as_mut().unwrap();
    installation.tracked = BTreeSet::from(["public.a".to_owned()]);
    let merge = |options: SetupOptions| Rules::merge(&options, &config(), &found).unwrap();

    let more = merge(SetupOptions::new().tables("b").unwrap());
    assert!(found.source.tables.iter().all(|table| more.tracks(table)));
    let without = merge(SetupOptions::new().exclude("a").unwrap());
    assert!(!without.tracks(&found.source.tables[0]));
    let again = merge(SetupOptions::new().exclude("a").unwrap().tables("a").unwrap());
    assert!(!again.tracks(&found.source.tables[0]), "an exclusion beats what includes");
}

#[test]
fn columns_of_a_key_cannot_be_left_out() {
    let found = found(vec![table("public", "todo")]);
    let plan = plan_for(&all().exclude("*.*.i*").unwrap(), &found);
    assert!(problems(&plan).contains("id of public.todo"), "{}", problems(&plan));
    let fine = plan_for(&all().exclude("*.*.password_hash").unwrap(), &found);
    assert_eq!(fine.problems, Problems::default());
    assert!(sql(&fine).contains("'_bemi_config'"));
}

#[test]
fn all_that_must_be_mended_is_told_at_once() {
    let mut found = found(vec![table("public", "todo")]);
    found.source.wal_level = "replica".to_owned();
    found.source.role.may_replicate = false;
    found.source.role.may_create = false;
    found.source.slots_used = 10;
    found.source.tables[0].is_owned = false;
    let problems = plan_for(&all(), &found).problems.0;
    let not_allowed = problems.iter().filter(|p| matches!(p, Problem::NotAllowed(_))).count();
    // The database is one, so the destination's privileges are not told twice.
    assert_eq!((problems.len(), not_allowed), (5, 3), "{problems:#?}");
}

#[test]
fn who_owns_nothing_may_run_it_again_where_nothing_is_to_do() {
    let mut found = set_up(found(vec![table("public", "todo")]), "0/1", 1);
    found.source.tables[0].is_owned = false;
    for (name, tables) in [("bemi", &["\"public\".\"todo\""][..]), ("bemi_insert_only", &[])] {
        found.source.publications.push(publication(name, tables));
    }
    assert_eq!(plan_for(&SetupOptions::new(), &found).problems, Problems::default());
}

#[test]
fn a_publication_of_somebody_else_is_refused() {
    let mut found = found(vec![table("public", "todo")]);
    found.source.publications.push(publication("bemi", &[]));
    assert!(problems(&plan_for(&all(), &found)).contains("--publication"));
}

#[test]
fn a_table_that_gained_a_key_moves_and_is_published_all_the_while() {
    let mut found = set_up(found(vec![table("public", "todo")]), "0/1", 1);
    found.source.publications =
        vec![publication("bemi", &[]), publication("bemi_insert_only", &["\"public\".\"todo\""])];
    let sql = sql(&plan_for(&SetupOptions::new(), &found));
    let added = sql.find("ALTER PUBLICATION \"bemi\" ADD TABLE ONLY \"public\".\"todo\"").unwrap();
    let removed = sql.find("ALTER PUBLICATION \"bemi_insert_only\" DROP TABLE").unwrap();
    assert!(added < removed);
}

#[test]
fn an_event_trigger_does_not_rely_on_tables_of_a_lesser_role() {
    let mut found = found(vec![table("public", "todo")]);
    found.source.untrusted_owner = Some("mallory".to_owned());
    let plan = plan_for(&all(), &found);
    assert!(!sql(&plan).contains("EVENT TRIGGER"));
    assert!(plan.notes.iter().any(|note| note.contains("mallory")));
}

#[test]
fn a_trigger_comes_after_its_function_and_before_the_event_trigger_that_makes_more() {
    let mut root = table("public", "events");
    let mut leaf = root.members[0].clone();
    leaf.name = "events_2026".to_owned();
    root.members.push(leaf);
    let found = found(vec![root]);
    assert!(!sql(&plan_for(&all(), &found)).contains("emit_request_context() RETURNS trigger"));

    let plan = plan_for(&all().postgrest(true), &found);
    let at = |what: &str| {
        let place = plan.steps.iter().position(|step| step.what.contains(what));
        place.unwrap_or_else(|| panic!("no step to {what}"))
    };
    let requests = "PostgREST's requests on public.";
    assert!(at("create the functions that take") < at(&format!("{requests}events")));
    assert!(at(&format!("{requests}events_2026")) < at("create the event triggers"));
    // Writers of the table must not queue behind it.
    assert!(matches!(&plan.steps[at(requests)].action, Action::Locking { .. }));
}

#[test]
fn a_function_that_setup_did_not_make_is_refused_where_it_is_needed() {
    let mut found = found(vec![table("public", "todo")]);
    let functions = &mut found.source.context.functions;
    functions.insert("public.bemi_set_context(text)".to_owned(), "SELECT 1".to_owned());
    assert_eq!(plan_for(&all(), &found).problems, Problems::default());
    let problems = problems(&plan_for(&all().postgrest(true), &found));
    assert!(problems.contains("DROP FUNCTION public.bemi_set_context(text)"), "{problems}");
}

#[test]
fn a_first_slot_starts_the_checkpoint() {
    let plan = plan_for(&all(), &found(Vec::new()));
    assert_eq!(
        slot_steps(&plan),
        [
            &Action::CreateSlot { drops_lost: false, failover: false },
            &Action::StartCheckpoint(Start::Fresh)
        ]
    );
}

#[test]
fn a_slot_of_somebody_else_is_refused() {
    let ours = set_up(found(Vec::new()), "0/1", 1);
    let mut unrecorded = ours.clone();
    unrecorded.source.installation.as_mut().unwrap().records.clear();
    let mut other_plugin = ours.clone();
    other_plugin.source.slot.as_mut().unwrap().plugin = "test_decoding".to_owned();
    let mut other_database = ours.clone();
    other_database.source.slot.as_mut().unwrap().database = "elsewhere".to_owned();
    for found in [unrecorded, other_plugin, other_database] {
        let plan = plan_for(&SetupOptions::new(), &found);
        assert!(problems(&plan).contains("give another name with --slot"), "{}", problems(&plan));
        assert!(slot_steps(&plan).is_empty());
    }
    assert!(slot_steps(&plan_for(&SetupOptions::new(), &ours)).is_empty());
}

#[test]
fn a_slot_that_is_gone_or_lost_is_made_again_only_when_told() {
    let ours = set_up(found(Vec::new()), "0/1", 100);
    let mut gone = ours.clone();
    gone.source.slot = None;
    let mut lost = ours;
    lost.source.slot.as_mut().unwrap().is_lost = true;
    for (found, drops_lost) in [(gone, false), (lost, true)] {
        let refused = plan_for(&SetupOptions::new(), &found);
        assert!(problems(&refused).contains("--recreate-slot"), "{}", problems(&refused));
        assert!(slot_steps(&refused).is_empty());
        let told = plan_for(&SetupOptions::new().recreate_slot(true), &found);
        assert_eq!(told.problems, Problems::default());
        let steps = slot_steps(&told);
        assert_eq!(steps[0], &Action::CreateSlot { drops_lost, failover: false });
        assert!(matches!(steps[1], Action::StartCheckpoint(Start::OverGap { .. })));
    }
}

#[test]
fn a_setup_that_was_killed_before_it_made_the_slot_goes_on() {
    let mut found = set_up(found(Vec::new()), "0/1", 100);
    found.source.slot = None;
    found.destination.checkpoint = None;
    let records = &mut found.source.installation.as_mut().unwrap().records;
    records.last_mut().unwrap().former = None;
    let plan = plan_for(&SetupOptions::new(), &found);
    assert_eq!(slot_steps(&plan).len(), 2);
    assert_eq!(plan.problems, Problems::default());
}

#[test]
fn after_a_teardown_what_was_missed_is_a_gap() {
    let mut found = set_up(found(Vec::new()), "0/1", 100);
    found.source.slot = None;
    found.source.installation = None;
    let plan = plan_for(&all(), &found);
    let steps = slot_steps(&plan);
    assert!(matches!(steps[1], Action::StartCheckpoint(Start::OverGap { .. })), "{steps:?}");
}

#[test]
fn a_new_destination_of_an_old_slot_starts_where_it_is_and_knows_what_it_missed() {
    let mut found = set_up(found(Vec::new()), "0/10", 0x10);
    found.destination.checkpoint = None;
    let plan = plan_for(&SetupOptions::new(), &found);
    assert_eq!(slot_steps(&plan), [&Action::StartCheckpoint(Start::Fresh)]);
    found.source.slot.as_mut().unwrap().confirmed = Lsn::new(0x20);
    let plan = plan_for(&SetupOptions::new(), &found);
    let after = Start::After { began: Lsn::new(0x10), reason: READ_BY_ANOTHER };
    assert_eq!(slot_steps(&plan), [&Action::StartCheckpoint(after)]);
}

#[test]
fn a_checkpoint_of_another_source_is_not_taken_over() {
    let mut of_database = set_up(found(Vec::new()), "0/1", 1);
    of_database.destination.checkpoint.as_mut().unwrap().database = "other".to_owned();
    let recreate = SetupOptions::new().recreate_slot(true);
    for options in [&SetupOptions::new(), &recreate] {
        assert!(problems(&plan_for(options, &of_database)).contains("--slot"));
    }
    let mut of_cluster = set_up(found(Vec::new()), "0/1", 1);
    of_cluster.destination.checkpoint.as_mut().unwrap().system_identifier = "8".to_owned();
    assert!(problems(&plan_for(&SetupOptions::new(), &of_cluster)).contains("--recreate-slot"));
    let told = plan_for(&recreate, &of_cluster);
    assert!(matches!(slot_steps(&told)[0], Action::StartCheckpoint(Start::OverGap { .. })));
}
