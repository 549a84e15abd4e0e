//! The checks, one function each, in the order in which to mend what they find.

use super::facts::Facts;
use super::finding::Diagnosis;
use super::{
    chain, clock, context, coverage, drift, exposed, failover, privileges, record, retained, rules,
    server, toast, version,
};
use crate::WorkerError;
use crate::config::Config;
use crate::setup::LOOK_INTERVAL;
use crate::setup::inspect::{RecordKind, Table};
use crate::setup::plan::belongs;
use crate::setup::rules::Rules;
use crate::source::check_gap;

/// Less than this many milliseconds, and a network's hiccup ends the stream.
const SENDER_TIMEOUT_MIN: i64 = 10_000;

/// With less room than this many bytes the slot may be lost at any moment.
const SAFE_BYTES_MIN: i64 = 256 * 1024 * 1024;

pub(super) const SETUP: &str = "run `bemi-worker setup`";

/// What the checks look at.
pub(super) struct Subject<'a> {
    pub(super) config: &'a Config,
    pub(super) facts: &'a Facts,
    /// The rules in force; those of nothing where nothing is set up.
    pub(super) rules: Rules,
}

/// Looks at one thing, and pushes what it finds.
type Check = fn(&Subject<'_>, &mut Diagnosis);

/// Those that make sense before setup has run, too. A check of one more area: a file of its own with a
/// `fn check`, a line here or below, a section in docs/findings.md; what it must ask a server is a field
/// of [`Facts`].
const SERVER: &[Check] = &[
    server,
    version::support,
    version::decoding,
    room,
    replication,
    sender_timeout,
    server::vanished,
    server::timeouts,
    server::synchronous,
    server::durable,
    server::idle_slots,
    server::idle_slot_timeout,
    clock::check,
];

/// Those of what setup has made in the source.
const INSTALLATION: &[Check] = &[
    publications,
    event_trigger,
    context::set_context,
    context::request_triggers,
    rules::unmatched,
    identities,
    coverage::check,
    toast::check,
    record::events,
    drift::published,
    slot,
    retained::given_up,
    retained::place,
    server::open_transactions,
    failover::check,
    retained::failover,
];

/// Those of the destination.
const DESTINATION: &[Check] = &[
    server::writable,
    destination,
    drift::own_tables,
    drift::unlogged,
    drift::triggers,
    drift::constraints,
    record::indexes,
    drift::indexes,
    drift::pack,
    privileges::check,
    exposed::check,
    chain::check,
    gaps,
];

pub(super) fn check(
    config: &Config,
    facts: &Facts,
    diagnosis: &mut Diagnosis,
) -> Result<(), WorkerError> {
    let rules = match &facts.found.source.installation {
        Some(installation) => Rules::of(installation)?,
        None => Rules::default(),
    };
    let subject = Subject { config, facts, rules };
    let mut run = |checks: &[Check]| checks.iter().for_each(|check| check(&subject, diagnosis));
    run(SERVER);
    run(&[installation]);
    if facts.found.source.installation.is_some() {
        run(INSTALLATION);
    }
    run(DESTINATION);
    Ok(())
}

fn server(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let facts = subject.facts;
    let source = &facts.found.source;
    diagnosis.ok("B003", format!("the source runs PostgreSQL {}", source.version / 10_000));
    if source.is_standby {
        diagnosis.fail(
            "B004",
            "the source is a standby",
            "the worker writes to it, if only when it is set up",
            "connect to the primary",
        );
    }
    if source.wal_level == "logical" {
        diagnosis.ok("B005", "wal_level is logical");
    } else {
        diagnosis.fail(
            "B005",
            format!("wal_level is {}", source.wal_level),
            "the WAL does not hold what logical decoding needs",
            "run ALTER SYSTEM SET wal_level = logical and restart the server; managed services have \
             a setting of their own, such as rds.logical_replication",
        );
    }
    if source.role.may_replicate {
        diagnosis.ok("B006", format!("role {} may replicate", source.role.name));
    } else {
        diagnosis.fail(
            "B006",
            format!("role {} may not replicate", source.role.name),
            "the worker cannot read the WAL",
            format!("run ALTER ROLE {} REPLICATION as a superuser", source.role.name),
        );
    }
}

fn room(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let &Subject { config, facts, .. } = subject;
    let source = &facts.found.source;
    if source.slot.is_none() && source.slots_used >= source.slots_max {
        diagnosis.fail(
            "B007",
            format!("all {} replication slots are in use", source.slots_max),
            "there is none left for the worker",
            "drop one that nobody needs (see pg_replication_slots), or raise max_replication_slots",
        );
    } else {
        let (used, max) = (source.slots_used, source.slots_max);
        diagnosis.ok("B007", format!("{used} of {max} replication slots are in use"));
    }
    let is_streaming = source.slot.as_ref().is_some_and(|slot| slot.active_process.is_some());
    let (used, max) = (source.senders_used, source.senders_max);
    if used >= max && !is_streaming {
        diagnosis.fail(
            "B008",
            format!("all {max} WAL senders are in use"),
            "there is none left for the worker",
            format!("stop one that nobody needs (see pg_stat_replication of {}), or raise max_wal_senders", config.source),
        );
    } else {
        diagnosis.ok("B008", format!("{used} of {max} WAL senders are in use"));
    }
}

fn replication(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let facts = subject.facts;
    match &facts.replication {
        Ok(_) => diagnosis.ok("B009", "the source answers in replication mode"),
        Err(why) => diagnosis.fail(
            "B009",
            format!("the source does not answer in replication mode: {why}"),
            "the worker reads the WAL in that mode",
            "if there is a pooler such as PgBouncer in between, connect to the server itself; else \
             look at what the server says",
        ),
    }
}

fn sender_timeout(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let facts = subject.facts;
    if (1..SENDER_TIMEOUT_MIN).contains(&facts.sender_timeout) {
        diagnosis.warn(
            "B010",
            format!("wal_sender_timeout is {} ms", facts.sender_timeout),
            "a short silence ends the stream, and a large transaction is then decoded from its start",
            "set wal_sender_timeout to 60 s, the default",
        );
    }
}

/// Whether setup has run.
fn installation(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    if subject.facts.found.source.installation.is_some() {
        diagnosis.ok("B011", "the source is set up");
    } else {
        diagnosis.fail(
            "B011",
            "the source is not set up, or its schema bemi cannot be read by this role",
            "nothing is tracked",
            "run `bemi-worker setup --all-tables`, as the role that the worker runs as",
        );
    }
}

fn publications(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let Subject { config, facts, rules } = subject;
    let source = &facts.found.source;
    let missing: Vec<String> = config
        .publication
        .both()
        .into_iter()
        .filter(|name| source.publication(name).is_none())
        .collect();
    if !missing.is_empty() {
        diagnosis.fail(
            "B012",
            format!("publication {} is missing", missing.join(" and ")),
            "the server streams nothing of the tables in it, or refuses to stream",
            SETUP,
        );
        return;
    }
    let selected = rules.selected(&source.tables);
    let in_publication = |name: &str, quoted: &String| {
        source.publication(name).is_some_and(|publication| publication.tables.contains(quoted))
    };
    let both = config.publication.both();
    let unpublished = selected
        .iter()
        .filter(|(quoted, _)| !both.iter().any(|name| in_publication(name, quoted)))
        .map(|(_, table)| *table);
    let unpublished = names(unpublished);
    // Published with UPDATE while its rows have no identity: that breaks the application.
    let breaking = source
        .tables
        .iter()
        .filter(|t| in_publication(config.publication.as_str(), &t.quoted()) && !t.is_identified());
    let breaking = names(breaking);
    let half = selected
        .iter()
        .filter(|(quoted, table)| {
            table.is_identified()
                && belongs(config, source, rules, table) == config.publication.as_str()
                && in_publication(&config.publication.insert_only(), quoted)
        })
        .map(|(_, table)| *table);
    let half = names(half);
    if !breaking.is_empty() {
        diagnosis.fail(
            "B013",
            format!("{breaking}: published without a usable replica identity"),
            "UPDATE and DELETE of the application itself fail",
            SETUP,
        );
    }
    if !unpublished.is_empty() {
        diagnosis.fail(
            "B014",
            format!("{unpublished}: to be tracked, but not published"),
            "changes there are not tracked; it happens where setup could not create its event trigger",
            SETUP,
        );
    }
    if !half.is_empty() {
        diagnosis.warn(
            "B015",
            format!("{half}: UPDATE and DELETE could be tracked by now, and are not"),
            "these changes are missing",
            SETUP,
        );
    }
    if unpublished.is_empty() && breaking.is_empty() {
        diagnosis.ok("B014", format!("all {} tables to be tracked are published", selected.len()));
    }
}

fn event_trigger(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let facts = subject.facts;
    let source = &facts.found.source;
    if source.has_event_triggers() && source.has_current_functions {
        diagnosis.ok("B016", "new tables are tracked as they are made");
    } else {
        let what = if source.has_event_triggers() {
            "the event triggers that follow tables are of another version"
        } else {
            "there are no event triggers that follow tables, or not all of them"
        };
        let why = format!(
            "a running worker looks for new tables every {} s, as far as its role owns them; what is \
             written to them before is not tracked; and how a table was altered is not recorded",
            LOOK_INTERVAL.as_secs()
        );
        diagnosis.warn(
            "B016",
            what,
            &why,
            "run `bemi-worker setup` once as a superuser, or after each migration",
        );
    }
}

fn identities(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let Subject { facts, rules, .. } = subject;
    let selected = rules.selected(&facts.found.source.tables);
    let unidentified = names(selected.values().filter(|t| !t.is_identified()).copied());
    if !unidentified.is_empty() {
        diagnosis.warn(
            "B017",
            format!("{unidentified}: UPDATE and DELETE are untracked"),
            "without a primary key or REPLICA IDENTITY FULL rows have no identity",
            "add a primary key, or run `bemi-worker setup --replica-identity full`",
        );
    }
    let partial: Vec<&Table> =
        selected.values().filter(|t| t.is_identified() && !t.is_full()).copied().collect();
    // What can never be FULL is told of by another finding.
    let mendable = names(partial.iter().filter(|t| !t.has_virtual_columns).copied());
    if partial.is_empty() {
        diagnosis.ok("B018", "every tracked UPDATE and DELETE has the whole row before it");
    } else if !mendable.is_empty() {
        diagnosis.warn(
            "B018",
            format!("{mendable}: `before` holds the key alone"),
            "what a row was before its change is then known from earlier changes only",
            "run `bemi-worker setup --replica-identity full`",
        );
    }
}

fn slot(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let &Subject { config, facts, .. } = subject;
    let source = &facts.found.source;
    let name = &config.slot;
    let recreate = "run `bemi-worker setup --recreate-slot`, which records what was lost";
    let Some(slot) = &source.slot else {
        diagnosis.fail(
            "B021",
            format!("replication slot {name} is missing"),
            "the changes since it was last read are lost, and more every minute",
            if source.made(RecordKind::Slot, name.as_str()) { recreate } else { SETUP },
        );
        return;
    };
    if slot.plugin != "pgoutput" || slot.database != source.database {
        let (plugin, database) = (&slot.plugin, &slot.database);
        diagnosis.fail(
            "B022",
            format!("replication slot {name} is of plugin {plugin} in database {database}"),
            "it is somebody else's",
            "give this worker another --slot",
        );
        return;
    }
    if slot.is_lost {
        diagnosis.fail(
            "B023",
            format!("replication slot {name} is lost"),
            "the server has given up the WAL that it needs, as max_slot_wal_keep_size told it to",
            recreate,
        );
        return;
    }
    diagnosis.ok("B021", format!("replication slot {name} is there"));
    match slot.active_process {
        Some(process) => diagnosis.ok("B024", format!("process {process} streams from it")),
        None => diagnosis.warn(
            "B024",
            "no worker streams from it",
            "changes wait in the WAL, which grows until one does",
            "start `bemi-worker run`",
        ),
    }
    let Some(health) = &facts.slot else { return };
    let held = health.held_bytes / (1024 * 1024);
    match health.safe_bytes {
        Some(safe) if safe < SAFE_BYTES_MIN => diagnosis.fail(
            "B025",
            format!(
                "the slot holds {held} MB of WAL ({}), and is lost after {} MB more",
                health.wal_status,
                safe.max(0) / (1024 * 1024)
            ),
            "the server then gives up the WAL that is not stored yet",
            "start the worker, or find out what slows it; meanwhile raise max_slot_wal_keep_size",
        ),
        _ if facts.wal_kept_max < 0 => diagnosis.warn(
            "B025",
            format!("the slot holds {held} MB of WAL, and may hold any amount"),
            "while no worker runs the disk of the source can fill up",
            "set max_slot_wal_keep_size to what the disk can spare, and watch `bemi-worker status`",
        ),
        _ => diagnosis.ok("B025", format!("the slot holds {held} MB of WAL")),
    }
}

fn destination(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let &Subject { config, facts, .. } = subject;
    let destination = &facts.found.destination;
    if !destination.has_own_tables {
        diagnosis.fail(
            "B030",
            "the worker's own tables in schema bemi of the destination are missing",
            "it cannot write down how far it has stored",
            SETUP,
        );
    }
    let schema = &config.changes_schema;
    match destination.changes.as_ref().map(super::super::setup::inspect::ChangesTable::unlike_ours)
    {
        None => diagnosis.fail(
            "B031",
            format!("there is no table {schema}.changes in the destination"),
            "changes have nowhere to go",
            SETUP,
        ),
        Some(Some(why)) => diagnosis.fail(
            "B031",
            format!("{schema}.changes is not the table that the worker stores into: {why}"),
            "changes cannot be stored there",
            "put it back as it was, or choose another schema with --changes-schema",
        ),
        Some(None) => diagnosis.ok("B031", format!("changes are stored in {schema}.changes")),
    }
    let Some(checkpoint) = &destination.checkpoint else {
        if destination.has_own_tables {
            diagnosis.fail(
                "B032",
                format!("the destination has no checkpoint of slot {}", config.slot),
                "the worker does not know where to go on",
                SETUP,
            );
        }
        return;
    };
    let Ok((system, fork)) = &facts.replication else { return };
    match check_gap(checkpoint, facts.found.source.slot.as_ref(), system, *fork) {
        None => diagnosis.ok(
            "B033",
            format!("changes are stored up to {}, and none are lost", checkpoint.position),
        ),
        Some(gap) => diagnosis.fail(
            "B033",
            format!("changes were lost: {}", gap.reason),
            "what happened in between is not in changes",
            match gap.resume {
                Some(_) => "run `bemi-worker run --on-gap continue`, which records what was lost",
                None => "run `bemi-worker setup --recreate-slot`, which records what was lost",
            },
        ),
    }
}

fn gaps(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let facts = subject.facts;
    if facts.gaps > 0 {
        diagnosis.warn(
            "B034",
            format!("{} gaps are recorded", facts.gaps),
            "what happened in them is not in changes",
            "see SELECT * FROM bemi.gaps; there is nothing to mend",
        );
    }
    if facts.quarantined > 0 {
        diagnosis.warn(
            "B035",
            format!("{} changes are in quarantine", facts.quarantined),
            "they could not be stored as rows of changes",
            "see SELECT \"table\", error, committed_at FROM bemi.quarantine",
        );
    }
}

pub(super) fn names<'a>(tables: impl IntoIterator<Item = &'a Table>) -> String {
    tables.into_iter().map(Table::name).collect::<Vec<_>>().join(", ")
}
