//! `setup`: makes source and destination ready.

use std::io::{self, Write};
use std::process::ExitCode;

use crate::WorkerError;
use crate::config::identity::IdentityRule;
use crate::config::{self, Config, ConfigError, PartitionBy, SlotName};
use crate::setup::{self, Preview, SetupOptions, SetupReport};

const AFTER_HELP: &str = "\
Examples:
  bemi-worker setup --all-tables --replica-identity full
  bemi-worker setup --tables 'todo,sales.*,\"Odd Name\"' --exclude 'sales.log_*,*.*.password_hash'
  bemi-worker setup --ignore updated_at,users.last_seen_at
  bemi-worker setup --mask users.email=hash --mask 'name,\"Odd=Name\".x=text:(hidden)'
  bemi-worker setup --tables 'public.*' --postgrest
  bemi-worker setup --replica-identity full:todo,sales.* --ddl
  bemi-worker setup --failover
  bemi-worker setup --sql-pack
  bemi-worker setup --tamper-evidence
  bemi-worker setup --grant-worker bemi_run --grant-reader auditors
  bemi-worker setup --all-tables --adopt --dry-run
  bemi-worker setup --all-tables --print-sql | less

It creates what is missing and can be run again, for more tables too: rules add up, without
--tables those of before hold, and --forget takes one back. Rules may stand in the config file as
well, in the table [tracking]. What setup made, `bemi-worker teardown` takes back.
The role needs LOGIN, REPLICATION, CREATE on the database, and to own the tables. A superuser can
also have new tables tracked by themselves.";

/// Create publications, replication slot and destination tables; can be run again
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub(super) struct Arguments {
    #[command(flatten)]
    tracking: Tracking,

    /// Take over the installation of the family's original worker: go on from its slot, bemi_local or
    /// bemi or the one that is named, and keep the rows of its table changes. Stop it first
    #[arg(long, value_name = "SLOT", num_args = 0..=1, require_equals = true)]
    adopt: Option<Option<SlotName>>,

    /// Drop the slot and the publication of the original worker, once they are taken over
    #[arg(long, requires = "adopt")]
    drop_old: bool,

    /// Install the SQL pack: functions and views in schema bemi of the destination, by which anybody
    /// with psql asks the record, and views of the past; `off` removes it
    #[arg(
        long,
        value_enum,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on"
    )]
    sql_pack: Option<Switch>,

    /// Let this role, which is there already, run the worker and do nothing else; a later setup gives it
    /// what is new by then
    #[arg(long, value_name = "ROLE", help_heading = "Roles")]
    grant_worker: Vec<String>,

    /// Let this role read changes, and what tells how whole they are: for queries, the SQL pack and the
    /// commands that ask the record
    #[arg(long, value_name = "ROLE", help_heading = "Roles")]
    grant_reader: Vec<String>,

    /// Take back what this role was given by --grant-worker and --grant-reader
    #[arg(long, value_name = "ROLE", help_heading = "Roles")]
    revoke: Vec<String>,

    /// Tell what would be done, and change nothing
    #[arg(long)]
    dry_run: bool,

    /// Print the statements for an administrator to run, and change nothing
    #[arg(long, conflicts_with = "dry_run")]
    print_sql: bool,
}

/// Which tables, and how.
#[derive(Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = "Tracking")]
pub(super) struct Tracking {
    /// Track all tables, also those that are made later
    #[arg(long, conflicts_with = "tables")]
    all_tables: bool,

    /// Track these tables: [schema.]table, separated by commas; * stands for any characters,
    /// names fold as in psql
    #[arg(long, value_name = "PATTERNS")]
    tables: Vec<String>,

    /// Leave out tables, [schema.]table, or columns, schema.table.column; what is left out is
    /// never stored. For columns it is --mask PATTERNS=drop
    #[arg(long, value_name = "PATTERNS")]
    exclude: Vec<String>,

    /// Do not store an UPDATE that changes nothing but these columns: [[schema.]table.]column, so
    /// that updated_at is that of every table. It takes REPLICA IDENTITY FULL to tell
    #[arg(long, value_name = "PATTERNS")]
    ignore: Vec<String>,

    /// Mask columns, [[schema.]table.]column, before they are stored: `drop` leaves them out, `hash`
    /// stores a hash made with the key in BEMI_MASK_KEY, `text:…` that text; NULL stays NULL. Of
    /// several masks that fit, that which shows least counts
    #[arg(long, value_name = "PATTERNS=drop|hash|text:…")]
    mask: Vec<String>,

    /// Take back the rules that were given with these very patterns, by --tables, --exclude,
    /// --ignore or --mask; for --all-tables it is '*.*'
    #[arg(long, value_name = "PATTERNS")]
    forget: Vec<String>,

    /// Whether to set REPLICA IDENTITY FULL, so that `before` is the whole row: on all tables, or on
    /// some, [schema.]table; `keep` ends it for tables to come [default: keep]
    #[arg(long, value_name = "keep|full|full:PATTERNS")]
    replica_identity: Option<IdentityRule>,

    /// Take the context of a write from the request that PostgREST, or Supabase, serves: a trigger
    /// on each tracked table; `off` removes them
    #[arg(
        long,
        value_enum,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on"
    )]
    postgrest: Option<Switch>,

    /// Store commands that change the shape of tracked tables, as changes of operation DDL: event
    /// triggers, which only a superuser may create; `off` removes them
    #[arg(
        long,
        value_enum,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on"
    )]
    ddl: Option<Switch>,

    /// Have standbys keep a copy of the replication slot, so that it survives a failover: from PostgreSQL 17
    /// on, where they are told to; `off` takes it back
    #[arg(
        long,
        value_enum,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on"
    )]
    failover: Option<Switch>,

    /// Cover what is stored by a chain of hashes, so that `bemi-worker verify` finds what was altered,
    /// removed or added since; with the key in BEMI_CHAIN_KEY, if there is one; `off` ends it
    #[arg(
        long,
        value_enum,
        value_name = "on|off",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "on"
    )]
    tamper_evidence: Option<Switch>,

    /// Keep `changes` in partitions by the time of commit, made ahead while the worker runs; a table that
    /// has rows becomes the first one, while the worker runs
    #[arg(long, value_name = "day|week|month")]
    partition_by: Option<PartitionBy>,

    /// Make a replication slot that is gone or lost again, and record what was lost with it
    #[arg(long)]
    recreate_slot: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Switch {
    On,
    Off,
}

impl Tracking {
    /// What the file says, and the flags on top of it.
    pub(super) fn options(&self, file: &config::Tracking) -> Result<SetupOptions, ConfigError> {
        let mut options = SetupOptions::new().recreate_slot(self.recreate_slot);
        if self.all_tables || file.all_tables {
            options = options.all_tables();
        }
        for patterns in file.tables.iter().chain(&self.tables) {
            options = options.tables(patterns)?;
        }
        for patterns in file.exclude.iter().chain(&self.exclude) {
            options = options.exclude(patterns)?;
        }
        for patterns in file.ignore.iter().chain(&self.ignore) {
            options = options.ignore(patterns)?;
        }
        for masking in file.mask.iter().chain(&self.mask) {
            options = options.mask(masking)?;
        }
        for patterns in &self.forget {
            options = options.forget(patterns)?;
        }
        let takes_requests = self.postgrest.map(|switch| switch == Switch::On).or(file.postgrest);
        if let Some(takes) = takes_requests {
            options = options.postgrest(takes);
        }
        if let Some(records) = self.ddl.map(|switch| switch == Switch::On).or(file.ddl) {
            options = options.ddl(records);
        }
        let survives = self.failover.map(|switch| switch == Switch::On).or(file.failover);
        if let Some(survives) = survives {
            options = options.failover(survives);
        }
        if let Some(by) = self.partition_by.or(file.partition_by) {
            options = options.partition_by(by);
        }
        let covers = self.tamper_evidence.map(|switch| switch == Switch::On);
        if let Some(covers) = covers.or(file.tamper_evidence) {
            options = options.tamper_evidence(covers);
        }
        Ok(match self.replica_identity.as_ref().or(file.replica_identity.as_ref()) {
            Some(rule) => options.identity_rule(rule.clone()),
            None => options,
        })
    }
}

pub(super) async fn run(
    arguments: Arguments,
    config: &Config,
    file: &config::Tracking,
) -> Result<ExitCode, WorkerError> {
    let mut options = arguments.tracking.options(file)?;
    if let Some(slot) = arguments.adopt {
        options = options.adopt(slot);
    }
    if arguments.drop_old {
        options = options.drop_adopted_rest();
    }
    if let Some(switch) = arguments.sql_pack {
        options = options.sql_pack(switch == Switch::On);
    }
    for role in &arguments.grant_worker {
        options = options.grant_worker(role);
    }
    for role in &arguments.grant_reader {
        options = options.grant_reader(role);
    }
    for role in &arguments.revoke {
        options = options.revoke_role(role);
    }
    if arguments.print_sql {
        let preview = setup::preview(config, &options).await?;
        io::stdout().write_all(preview.sql.as_bytes())?;
        let mut err = io::stderr();
        for note in preview.not_allowed.iter().chain(&preview.notes) {
            writeln!(err, "note: {note}")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    if arguments.dry_run {
        return show(&setup::preview(config, &options).await?);
    }
    let report = setup::run_with(config, &options, |step| writeln!(io::stdout(), "{step}")).await?;
    finish(&report)
}

/// Tells what would be done; exit code 6 if the role may not.
pub(super) fn show(preview: &Preview) -> Result<ExitCode, WorkerError> {
    let mut out = io::stdout();
    for step in &preview.steps {
        writeln!(out, "would {step}")?;
    }
    if preview.steps.is_empty() {
        writeln!(out, "nothing to do")?;
    }
    for note in &preview.notes {
        writeln!(out, "note: {note}")?;
    }
    for problem in &preview.not_allowed {
        writeln!(out, "not allowed: {problem}")?;
    }
    Ok(if preview.not_allowed.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(6) })
}

/// The steps were told as they were taken.
pub(super) fn finish(report: &SetupReport) -> Result<ExitCode, WorkerError> {
    let mut out = io::stdout();
    if report.steps.is_empty() {
        writeln!(out, "nothing to do")?;
    }
    for note in &report.notes {
        writeln!(out, "note: {note}")?;
    }
    Ok(ExitCode::SUCCESS)
}
