//! `revert`: takes changes back, after a plan that can be read first.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use bemi_core::record::{
    Key, OnConflict, Plan, Point, ReversibleSet, RevertError, RevertOptions, Selection, TableName,
};
use bemi_core::{ChangeId, CommitPosition, Lsn, TransactionId};

use super::asking::{self, WaitOption};
use super::filter_options::{FilterOptions, SpanOptions};
use super::output_options::{ScreenOptions, standard_output};
use super::{Format, question};
use crate::WorkerError;
use crate::config::{ConfigError, Given};
use crate::connect::Session;
use crate::view::{plan, printable};

/// What conflicts end with.
const CONFLICTS: u8 = 5;

const AFTER_HELP: &str = "\
Examples:
  bemi-worker revert change 018bcfe5-6800-8a40-9b52-e72401e8144d --dry-run
  bemi-worker revert tx 740 --reason 'ticket 4711'
  bemi-worker revert record todo 26 --since -2h
  bemi-worker revert where request_id=b7ad6b71 --on-conflict skip --yes
  bemi-worker revert where user_id=188 --since -1h --sql > undo.sql

It undoes the net of the changes, the newest first, and touches only the columns that they touched.
What stands in the way is found before anything is written, and told in full: a row that was changed
since, a key that is taken, a row that is still referenced, a record that does not tell. It runs in
one transaction on the source, whose context names what was reverted, why and by whom: so it is in
the record, and can be reverted itself. Exit code 5 if conflicts stand in the way.";

/// Take changes back: one change, a transaction, what became of a record, or what a filter finds
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP, disable_help_subcommand = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// One change
    #[command(after_help = "\
Example:
  bemi-worker revert change 018bcfe5-6800-8a40-9b52-e72401e8144d --dry-run

`history`, `changes` and `tail` tell the ids.")]
    Change {
        /// The change's id
        #[arg(value_name = "ID")]
        id: ChangeId,
        #[command(flatten)]
        how: How,
    },
    /// All changes of a transaction
    #[command(after_help = "\
Examples:
  bemi-worker revert tx 740 --dry-run
  bemi-worker revert tx 0/16B3748

Ids of transactions come again, after four thousand million of them: it is the last one that had this
id. Where a transaction committed is unmistakable; `requests --by transaction` tells it.")]
    Tx {
        /// Its id, or where it committed
        #[arg(value_name = "XID|LSN")]
        transaction: Transaction,
        #[command(flatten)]
        how: How,
    },
    /// All that became of a record since a point
    #[command(after_help = "\
Examples:
  bemi-worker revert record todo 26 --since -2h
  bemi-worker revert record sales.stock 7 2026-05-05 --since @tx:740

It is the record that has the key now, also under keys that it had before, and the one that had it
then. What the point shows stays.")]
    Record {
        /// The table
        #[arg(value_name = "TABLE")]
        table: TableName,
        /// The record's key, an argument for each of its columns
        #[arg(value_name = "KEY", required = true, allow_negative_numbers = true)]
        key: Vec<String>,
        /// Since when: an instant, how long ago, or a place as @tx:740
        #[arg(long, value_name = "POINT", allow_hyphen_values = true)]
        since: Point,
        #[command(flatten)]
        how: How,
    },
    /// All changes that a filter finds: of a request, a user, a stretch of time
    #[command(after_help = "\
Examples:
  bemi-worker revert where request_id=b7ad6b71 --dry-run
  bemi-worker revert where user_id=188 --since -1h --until -30m --table todo
  bemi-worker revert where --trace 4bf92f3577b34da6a3ce929d0e0e4736

The filter is that of `changes`: look at what it finds there first.")]
    Where {
        /// Where the context has this value; several: all of these
        #[arg(value_name = "KEY=VALUE")]
        values: Vec<String>,
        /// Of this table; again: of any of these
        #[arg(long, value_name = "TABLE", help_heading = "Which changes")]
        table: Vec<TableName>,
        #[command(flatten)]
        filter: Box<FilterOptions>,
        #[command(flatten)]
        span: SpanOptions,
        #[command(flatten)]
        how: How,
    },
}

/// How it is done.
#[derive(clap::Args)]
struct How {
    /// Show what would be done, and what stands in the way, and write nothing
    #[arg(long)]
    dry_run: bool,

    /// Print what would be done as a script for psql, and write nothing
    #[arg(long, conflicts_with_all = ["dry_run", "format"])]
    sql: bool,

    /// What becomes of conflicts: abort writes nothing, skip leaves those rows as they are, force
    /// writes over them where that can be
    #[arg(long, value_name = "abort|skip|force", default_value_t)]
    on_conflict: OnConflict,

    /// Why, for the record
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Who, for the record [default: who you are on this machine]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    #[command(flatten)]
    wait: WaitOption,

    /// How the plan looks
    #[arg(long, value_enum, default_value_t, help_heading = "Output")]
    format: Format,

    #[command(flatten)]
    screen: ScreenOptions,
}

/// A transaction, by its id or by where it committed.
#[derive(Clone, Copy, Debug)]
enum Transaction {
    Id(TransactionId),
    Committed(CommitPosition),
}

impl std::str::FromStr for Transaction {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Id(TransactionId(id)));
        }
        text.parse::<Lsn>().map(|lsn| Self::Committed(CommitPosition(lsn))).map_err(|_| {
            "this is neither the id of a transaction nor where one committed; they look like 740 and 0/16B3748"
                .to_owned()
        })
    }
}

impl What {
    fn how(&self) -> &How {
        match self {
            Self::Change { how, .. }
            | Self::Tx { how, .. }
            | Self::Record { how, .. }
            | Self::Where { how, .. } => how,
        }
    }

    /// Whether nothing was said of which changes it is about.
    fn is_everything(&self) -> bool {
        match self {
            Self::Where { values, table, filter, span, .. } => {
                values.is_empty() && table.is_empty() && filter.is_empty() && span.is_empty()
            }
            _ => false,
        }
    }
}

impl How {
    fn options(&self) -> RevertOptions {
        let mut options = RevertOptions::new().on_conflict(self.on_conflict);
        if let Some(reason) = &self.reason {
            options = options.reason(reason.as_str());
        }
        let here = || ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        if let Some(user) = self.user.clone().or_else(here).filter(|user| !user.is_empty()) {
            options = options.user(user);
        }
        options
    }

    /// Whether somebody is to be asked before anything is written.
    fn asks(&self) -> bool {
        !self.yes
    }

    fn only_shows(&self) -> bool {
        self.dry_run || self.sql
    }
}

pub(super) async fn run(arguments: &Arguments, given: &Given) -> Result<ExitCode, WorkerError> {
    let how = arguments.what.how();
    if arguments.what.is_everything() {
        let what = "that would be all changes that there are; say which, as KEY=VALUE or by a flag";
        return Err(WorkerError::Usage { what: what.to_owned() });
    }
    if !how.only_shows() && how.asks() && !io::stdin().is_terminal() {
        let what = "nobody is here to be asked; add --yes to do it, or --dry-run to see it";
        return Err(WorkerError::Usage { what: what.to_owned() });
    }
    let mut source = asking::source(given).await?.ok_or(ConfigError::NoSource)?;
    let set = select(&arguments.what, given, &mut source).await?;
    if how.only_shows() || how.asks() {
        let plan = looked_at(&set, &mut source, &how.options()).await?;
        show(how, &plan)?;
        if plan.is_blocked() {
            return Ok(blocked());
        }
        if how.only_shows() || plan.is_empty() || !question::agreed("do it").await? {
            return Ok(ExitCode::SUCCESS);
        }
        // What was shown is what is done: each statement hits its row only if that is as it was seen.
        return carry_out(how, &plan, begun(&mut source).await?).await;
    }
    let source = begun(&mut source).await?;
    let plan = set.plan(source, &how.options()).await.map_err(refused)?;
    show(how, &plan)?;
    if plan.is_blocked() {
        return Ok(blocked());
    }
    carry_out(how, &plan, source).await
}

/// The changes that are to be taken back, with all that were committed by now.
async fn select(
    what: &What,
    given: &Given,
    source: &mut Session,
) -> Result<ReversibleSet, WorkerError> {
    let mut record = asking::up_to_date(given, what.how().wait, source).await?;
    let selection = match what {
        What::Change { id, .. } => Selection::Change(*id),
        What::Tx { transaction: Transaction::Id(id), .. } => Selection::Transaction(*id),
        What::Tx { transaction: Transaction::Committed(at), .. } => Selection::Committed(*at),
        What::Record { table, key, since, .. } => Selection::Row {
            table: table.clone(),
            key: Key::of(key.iter().map(String::as_str)),
            since: *since,
        },
        What::Where { values, table, filter, span, .. } => {
            let tables = table.iter().map(|table| ("table", table.quoted()));
            let values = values.iter().map(|pair| ("where", pair.clone()));
            let changes = filter.changes(tables.chain(values))?;
            Selection::Where(span.narrow(changes, &mut record).await?)
        }
    };
    let set = record.reverse(&selection).await?;
    if set.is_empty() {
        writeln!(io::stderr(), "no changes were found")?;
    }
    Ok(set)
}

/// The plan, seen without holding anything up: in a transaction that has ended.
async fn looked_at(
    set: &ReversibleSet,
    source: &mut Session,
    options: &RevertOptions,
) -> Result<Plan, WorkerError> {
    execute(source, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
    let plan = set.plan(source, &options.clone().locking(false)).await.map_err(refused)?;
    execute(source, "ROLLBACK").await?;
    Ok(plan)
}

async fn begun(source: &mut Session) -> Result<&mut Session, WorkerError> {
    execute(source, "BEGIN").await?;
    Ok(source)
}

/// Does what the plan says, and commits.
async fn carry_out(how: &How, plan: &Plan, source: &mut Session) -> Result<ExitCode, WorkerError> {
    if plan.is_empty() {
        execute(source, "ROLLBACK").await?;
        return Ok(ExitCode::SUCCESS);
    }
    let applied = plan.apply(source).await.map_err(refused)?;
    let id = transaction_id(source).await?;
    execute(source, "COMMIT").await?;
    match how.format {
        Format::Json => plan::write_applied(&mut io::stdout(), id, applied.rows)?,
        Format::Table => {
            writeln!(
                io::stderr(),
                "done, in transaction {id}; `bemi-worker revert tx {id}` takes it back"
            )?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Shows the plan as it was asked for.
fn show(how: &How, plan: &Plan) -> Result<(), WorkerError> {
    let mut out = standard_output();
    if how.sql {
        out.write_all(plan.script().as_bytes())?;
        out.flush()?;
        return Ok(());
    }
    match how.format {
        Format::Table => plan::write(&mut out, how.screen.screen(), plan)?,
        Format::Json => plan::write_json(&mut out, plan)?,
    }
    out.flush()?;
    if how.format == Format::Table {
        writeln!(io::stderr(), "{}", told(plan))?;
    }
    Ok(())
}

/// `takes back 3 changes: 2 rows of todo updated`
fn told(plan: &Plan) -> String {
    let summary = plan.summary();
    let changes = if summary.changes == 1 { "change" } else { "changes" };
    printable(&format!("takes back {} {changes}: {summary}", summary.changes)).into_owned()
}

fn blocked() -> ExitCode {
    eprintln!(
        "conflicts are in the way, nothing was written; --on-conflict skip leaves those rows out"
    );
    ExitCode::from(CONFLICTS)
}

/// Why it was not carried out; nothing is written then.
fn refused(error: RevertError<tokio_postgres::Error>) -> WorkerError {
    match error {
        RevertError::Record(error) => error.into(),
        RevertError::Refused { row, source } => WorkerError::Database {
            doing: format!("write the row {}; nothing was written", printable(&row)),
            source,
        },
        other => WorkerError::Revert(other),
    }
}

/// As the record will have it: 32 bits.
async fn transaction_id(source: &mut Session) -> Result<i64, WorkerError> {
    let row = source
        .client()
        .query_one("SELECT pg_current_xact_id()::xid::text::bigint", &[])
        .await
        .map_err(WorkerError::database("read the id of the transaction"))?;
    row.try_get(0).map_err(WorkerError::database("read the id of the transaction"))
}

async fn execute(source: &mut Session, sql: &str) -> Result<(), WorkerError> {
    let doing = format!("run {sql} on the source");
    source.client().batch_execute(sql).await.map_err(WorkerError::database(doing))
}
