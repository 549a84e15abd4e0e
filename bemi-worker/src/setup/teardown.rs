//! Takes back what setup did, by what it wrote down.
//!
//! Invariant: what is not in `bemi.installation` stays, and so does `changes`, unless it is asked
//! for by name.

use postgres_protocol::escape::{escape_identifier, escape_literal};

use super::append_only;
use super::apply::{Sessions, apply};
use super::inspect::{Found, Installation, Record, RecordKind};
use super::options::TeardownOptions;
use super::plan::{Action, Plan, Side, Step, context, ddl, forget, roles};
use super::source_schema::{self, drop_schema};
use super::sql_pack;
use super::strangers::Strangers;
use super::table_events::TABLE_TRIGGERS;
use super::{Preview, SetupReport};
use crate::WorkerError;
use crate::config::Config;

/// Removes what setup made, and puts back what it changed. The table `changes` and the worker's own
/// tables in the destination stay, unless they are to be dropped too.
///
/// # Errors
/// [`WorkerError::SlotInUse`] while a worker runs; [`WorkerError::Connect`] and
/// [`WorkerError::Database`] when a server refuses. What was done until then stays, and another run
/// goes on from there.
///
/// # Cancellation
/// Each step is taken as a whole or not at all; another run goes on from there.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use bemi_worker::config::Config;
/// use bemi_worker::setup::{TeardownOptions, teardown};
///
/// let config = Config::new("postgres://postgres@localhost/shop".parse()?);
/// let report = teardown(&config, TeardownOptions::new()).await?;
/// # Ok(())
/// # }
/// ```
pub async fn teardown(
    config: &Config,
    options: TeardownOptions,
) -> Result<SetupReport, WorkerError> {
    teardown_with(config, options, |_| Ok(())).await
}

/// [`teardown`], which tells each step as soon as it is taken.
///
/// # Errors
/// Those of [`teardown`], and that of `tell`.
///
/// # Cancellation
/// As [`teardown`].
pub async fn teardown_with(
    config: &Config,
    options: TeardownOptions,
    mut tell: impl FnMut(&str) -> std::io::Result<()> + Send,
) -> Result<SetupReport, WorkerError> {
    let mut sessions = Sessions::open(config).await?;
    let found = sessions.inspect(config).await?;
    let strangers = Strangers::inspect(&sessions, config, &found).await?;
    let plan = plan(options, config, &found, &strangers)?;
    let outcome = apply(&plan, config, &found, &mut sessions, &mut tell).await?;
    Ok(SetupReport { steps: outcome.done, notes: plan.notes })
}

/// What [`teardown`] would do, which changes nothing.
///
/// # Errors
/// As [`teardown`].
///
/// # Cancellation
/// Safe.
pub async fn preview_teardown(
    config: &Config,
    options: TeardownOptions,
) -> Result<Preview, WorkerError> {
    let sessions = Sessions::open(config).await?;
    let found = sessions.inspect(config).await?;
    let strangers = Strangers::inspect(&sessions, config, &found).await?;
    Preview::of(plan(options, config, &found, &strangers)?, config, &found)
}

fn plan(
    options: TeardownOptions,
    config: &Config,
    found: &Found,
    strangers: &Strangers,
) -> Result<Plan, WorkerError> {
    let mut plan = Plan::default();
    // Elsewhere it serves others, too.
    if strangers.other_checkpoints.is_empty() {
        sql_pack::remove(found, &mut plan);
    }
    match &found.source.installation {
        Some(installation) => plan_source(installation, config, found, strangers, &mut plan)?,
        None => plan.notes.push(format!(
            "{} has no records of a setup, so there is nothing to take back there",
            config.source
        )),
    }
    if options.drops_changes {
        plan_destination(config, found, strangers, &mut plan);
    } else if found.destination.changes.is_some() {
        plan.notes.push(format!(
            "{}.changes and what the worker knows of it stay in {}; --drop-changes removes them",
            config.changes_schema, config.destination
        ));
    }
    Ok(plan)
}

fn plan_source(
    installation: &Installation,
    config: &Config,
    found: &Found,
    strangers: &Strangers,
    plan: &mut Plan,
) -> Result<(), WorkerError> {
    // Of any worker: nothing is taken from under one.
    if let Some((slot, process)) = strangers.active.first_key_value() {
        return Err(WorkerError::SlotInUse { slot: slot.clone(), process: process.to_string() });
    }
    // The event triggers go first, so that they see nothing of what follows.
    ddl::drop(&found.source, plan);
    let of = |kind| installation.records.iter().filter(move |record| record.kind == kind);
    if TABLE_TRIGGERS.iter().any(|t| found.source.made(RecordKind::EventTrigger, t.name)) {
        let sql = source_schema::drop_event_triggers();
        push(plan, Side::Source, "drop the event triggers that follow tables".to_owned(), sql);
    }
    for name in &strangers.event_triggers {
        leave_event_trigger(name, plan);
    }
    for trigger in found.source.context.triggers.values() {
        context::drop_trigger(trigger, plan);
    }
    context::drop_functions(&found.source, plan);
    context::drop_function(&found.source, plan);
    for record in of(RecordKind::Slot) {
        if let Some(what) = strangers.slots.get(&record.name) {
            plan.notes.push(format!(
                "replication slot {0} is {what} by now, which setup did not make, and stays; if nobody \
                 needs it: SELECT pg_drop_replication_slot('{0}')",
                record.name
            ));
            continue;
        }
        // Of this database, and not made by somebody else since.
        let drop = format!(
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots \
             WHERE slot_name = {} AND database = current_database() AND plugin = 'pgoutput'",
            escape_literal(&record.name)
        );
        let what = format!("drop replication slot {}", record.name);
        push(plan, Side::Source, what, vec![drop, forget(record.kind, &record.name)]);
    }
    for record in of(RecordKind::Publication) {
        if strangers.publications.contains(&record.name) {
            plan.notes.push(format!(
                "publication {0} is of all tables, or of a schema, by now, which setup did not make, and \
                 stays; if nobody needs it: DROP PUBLICATION {0}",
                record.name
            ));
            continue;
        }
        let drop = format!("DROP PUBLICATION IF EXISTS {}", escape_identifier(&record.name));
        let what = format!("drop publication {}", record.name);
        push(plan, Side::Source, what, vec![drop, forget(record.kind, &record.name)]);
    }
    for record in of(RecordKind::ReplicaIdentity) {
        plan_identity(record, found, plan);
    }
    let mut sql: Vec<String> =
        source_schema::TABLES.iter().map(|table| format!("DROP TABLE IF EXISTS {table}")).collect();
    sql.push(drop_schema("bemi"));
    sql.extend(roles::teardown(Side::Source, config, found));
    push(plan, Side::Source, "drop the records of setup in schema bemi".to_owned(), sql);
    Ok(())
}

/// Puts the identity back, if the table is still there and still as setup left it.
fn plan_identity(record: &Record, found: &Found, plan: &mut Plan) {
    let Some(former) = &record.former else { return };
    let member = found
        .source
        .tables
        .iter()
        .flat_map(|table| &table.members)
        .find(|member| member.quoted() == record.name);
    let Some(member) = member else { return };
    if member.identity != super::inspect::ReplicaIdentity::Full {
        plan.notes.push(format!(
            "{} keeps its replica identity, which somebody has changed since setup",
            record.name
        ));
        return;
    }
    plan.steps.push(Step {
        what: format!("set REPLICA IDENTITY {former} on {}", member.name()),
        side: Side::Source,
        action: Action::Locking {
            table: record.name.clone(),
            sql: vec![
                format!("ALTER TABLE {} REPLICA IDENTITY {former}", record.name),
                forget(record.kind, &record.name),
            ],
        },
    });
}

/// One of the name of ours that runs something else.
fn leave_event_trigger(name: &str, plan: &mut Plan) {
    plan.notes.push(format!(
        "event trigger {name} runs a function that setup did not make, and stays; if nobody needs it: \
         DROP EVENT TRIGGER {name}"
    ));
    let drop = format!("DROP EVENT TRIGGER IF EXISTS {name}");
    for step in &mut plan.steps {
        if let Action::Sql(sql) = &mut step.action {
            sql.retain(|statement| *statement != drop);
        }
    }
}

fn plan_destination(config: &Config, found: &Found, strangers: &Strangers, plan: &mut Plan) {
    let destination = &found.destination;
    let schema = &config.changes_schema;
    if !strangers.other_checkpoints.is_empty() {
        plan.notes.push(format!(
            "{schema}.changes and the worker's own tables stay: changes of slot {} are stored there, too",
            strangers.other_checkpoints.join(", ")
        ));
        return;
    }
    let mut sql = Vec::new();
    match &destination.changes {
        Some(changes) if changes.is_adopted => plan.notes.push(format!(
            "{schema}.changes was taken over with rows that this worker did not store, and stays; \
             if nobody needs them: DROP TABLE {schema}.changes"
        )),
        Some(changes) if changes.unlike_ours().is_none() => {
            sql.push(format!("DROP TABLE {}.changes", escape_identifier(schema)));
        }
        Some(_) => plan.notes.push(format!("{schema}.changes is not ours, and stays")),
        None => {}
    }
    if sql.is_empty() {
        if destination.is_append_only {
            let sql = append_only::remove(&append_only::table(schema));
            let what = format!("no longer refuse UPDATE, DELETE and TRUNCATE of {schema}.changes");
            push(plan, Side::Destination, what, sql);
        }
    } else {
        sql.push(drop_schema(schema));
        push(plan, Side::Destination, format!("drop table {schema}.changes"), sql);
    }
    // One of an older version may lack some.
    if destination.has_own_tables || destination.checkpoint.is_some() {
        let mut sql = vec![
            "DROP TABLE IF EXISTS bemi.checkpoint, bemi.gaps, bemi.quarantine, bemi.backfill, bemi.table_events, \
             bemi.retention, bemi.chain_heads, bemi.chain, bemi.chain_rows, bemi.erasures"
                .to_owned(),
            append_only::drop_function(),
            drop_schema("bemi"),
        ];
        sql.extend(roles::teardown(Side::Destination, config, found));
        let what = "drop the worker's own tables in schema bemi".to_owned();
        push(plan, Side::Destination, what, sql);
    }
}

fn push(plan: &mut Plan, side: Side, what: String, sql: Vec<String>) {
    plan.steps.push(Step { what, side, action: Action::Sql(sql) });
}
