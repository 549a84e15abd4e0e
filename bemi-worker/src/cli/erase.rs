//! `erase`: takes the data of a person out of what is stored.

use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

use bemi_core::record::{Key, TableName};
use tokio::sync::watch;
use tracing::info;

use super::{Format, question, table};
use crate::WorkerError;
use crate::chain::Chained;
use crate::config::Given;
use crate::erase::{self, Columns, ContextKeys, Erasure, ErasureReport, Subject, Target};

const AFTER_HELP: &str = "\
Examples:
  bemi-worker erase --table users --key 42 --dry-run
  bemi-worker erase --table users --key 42 --columns email,name --reason 'request 2026-117'
  bemi-worker erase --table orders --where customer_id=42 --columns address,phone --yes
  bemi-worker erase --subject user_id=42

It erases the data of a person: of the rows that are about them, by table and key, under every key that
the record had, or by a column; and of what they did, by --subject: a key of the context and its value.
What stays is that a change happened, when, to which row, and by which operation. What goes is named:
columns in `unavailable`, keys of the context in its `_bemi`. It is recorded in bemi.erasures, and in the
chain where tamper evidence is on. It can be cut off: run it again for the rest.
What the worker stores afterwards is stored as ever. Old versions of rows are on disk until VACUUM has
passed, and in backups and archived WAL for as long as these are kept.
The role must own `changes`.";

/// Erase the data of a person from what is stored; what happened stays
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    /// Of rows of this table, [schema.]table
    #[arg(long, value_name = "TABLE", required_unless_present = "subject")]
    table: Option<TableName>,

    /// Of the record with this key, under all keys that it had; an argument for each of its columns
    #[arg(long, value_name = "KEY", num_args = 1.., requires = "table", allow_negative_numbers = true)]
    key: Vec<String>,

    /// Of rows that have this value in this column
    #[arg(
        long = "where",
        value_name = "COLUMN=VALUE",
        requires = "table",
        conflicts_with = "key",
        value_parser = pair
    )]
    column: Option<(String, String)>,

    /// The person, as the contexts of what they did name them: a key of the context and its value; a dot
    /// leads into an object
    #[arg(long, value_name = "KEY=VALUE", conflicts_with = "table", value_parser = pair)]
    subject: Option<(String, String)>,

    /// Which columns go [default: all but the key's]
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',', requires = "table")]
    columns: Vec<String>,

    /// Which keys of the context go; '*' for all [default: all of a subject's, none of rows']
    #[arg(long, value_name = "KEYS", value_delimiter = ',')]
    context_keys: Vec<String>,

    /// Also empty the bytes of all quarantined changes of the table: nobody can tell whose they are
    #[arg(long, requires = "table")]
    quarantine: bool,

    /// Why, for the record; without the data itself
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    /// Who, for the record [default: who you are on this machine]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    /// Tell what would be erased, and erase nothing
    #[arg(long)]
    dry_run: bool,

    /// Do not ask
    #[arg(long, short)]
    yes: bool,

    /// How the report looks
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.is_empty());
    pair.map(|(name, value)| (name.to_owned(), value.to_owned()))
        .ok_or_else(|| "this is no name and value; one looks like user_id=42".to_owned())
}

impl Arguments {
    fn erasure(&self) -> Result<Erasure, WorkerError> {
        let target = match (&self.table, &self.column, &self.subject) {
            (Some(table), None, _) if !self.key.is_empty() => Target::Record {
                table: table.clone(),
                key: Key::of(self.key.iter().map(String::as_str)),
            },
            (Some(table), Some((column, value)), _) => {
                Target::Rows { table: table.clone(), column: column.clone(), value: value.clone() }
            }
            (None, _, Some((key, value))) => {
                Target::Subject(Subject { key: key.clone(), value: value.clone() })
            }
            _ => {
                let what = "say whose rows: --key KEY, or --where COLUMN=VALUE";
                return Err(WorkerError::Usage { what: what.to_owned() });
            }
        };
        let mut erasure = Erasure::new(target);
        if !self.columns.is_empty() {
            erasure.columns = Columns::These(self.columns.clone());
        }
        match self.context_keys.as_slice() {
            [] => {}
            [all] if all == "*" => erasure.context = ContextKeys::All,
            keys => erasure.context = ContextKeys::These(keys.to_vec()),
        }
        erasure.quarantine = self.quarantine;
        erasure.reason.clone_from(&self.reason);
        let here = || ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        erasure.by = self.user.clone().or_else(here).filter(|user| !user.is_empty());
        Ok(erasure)
    }
}

pub(super) async fn run(
    arguments: &Arguments,
    given: &Given,
    shutdown: watch::Receiver<bool>,
) -> Result<ExitCode, WorkerError> {
    let erasure = arguments.erasure()?;
    if !arguments.dry_run && !arguments.yes && !io::stdin().is_terminal() {
        let what = "nobody is here to be asked; add --yes to do it, or --dry-run to see it";
        return Err(WorkerError::Usage { what: what.to_owned() });
    }
    let mut chained = Chained::new(given.destination()?.clone());
    chained.changes_schema.clone_from(&given.changes_schema);
    chained.slot = given.slot.clone();
    chained.key = given.chain_key()?;
    if arguments.dry_run || !arguments.yes {
        let preview = erase::preview(&chained, &erasure);
        let preview = super::shutdown::unless_told(shutdown.clone(), preview).await?;
        write_report(arguments, &preview)?;
        let is_nothing = preview.changes.is_empty() && !erasure.quarantine;
        if arguments.dry_run || is_nothing || !question::agreed("erase it").await? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    let mut told = 0;
    let report = erase::erase(&chained, &erasure, shutdown, |count| {
        // A line now and then is enough.
        if count / 10_000 > told / 10_000 {
            info!(changes = count, "erasing");
        }
        told = count;
    })
    .await?;
    write_report(arguments, &report)?;
    if report.is_interrupted {
        writeln!(io::stderr(), "stopped before the end; the same again erases the rest")?;
        return Ok(ExitCode::from(WorkerError::Interrupted.exit_code()));
    }
    Ok(ExitCode::SUCCESS)
}

fn write_report(arguments: &Arguments, report: &ErasureReport) -> io::Result<()> {
    let mut out = io::stdout();
    if arguments.format == Format::Json {
        serde_json::to_writer_pretty(&mut out, report).map_err(io::Error::from)?;
        return writeln!(out);
    }
    let verb = if report.id.is_some() { "erased" } else { "would be erased" };
    if report.changes.is_empty() {
        writeln!(out, "nothing {verb}")?;
    }
    let rows = report.changes.iter().map(|changes| {
        [changes.table.clone(), changes.operation.clone(), format!("{} {verb}", changes.count)]
    });
    table::write(&mut out, rows)?;
    if let [_, formerly @ ..] = report.keys.as_slice()
        && !formerly.is_empty()
    {
        writeln!(out, "note: the record has also had the keys {}", formerly.join(", "))?;
    }
    if !report.kept_columns.is_empty() {
        writeln!(out, "note: {} stays, as the key", report.kept_columns.join(", "))?;
    }
    if report.without_key > 0 {
        let count = report.without_key;
        writeln!(
            out,
            "note: {count} changes of the table do not tell their key; --where finds them by a column"
        )?;
    }
    if report.quarantined > 0 && !arguments.quarantine {
        let count = report.quarantined;
        writeln!(
            out,
            "note: {count} quarantined changes of the table may have it, too; --quarantine empties them"
        )?;
    }
    if let Some(id) = report.id {
        writeln!(
            out,
            "recorded as erasure {id}; what was there leaves the disk with the next VACUUM of changes"
        )?;
    }
    Ok(())
}
