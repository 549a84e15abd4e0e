//! A script for operators, whose changes say who ran it, and why.
//!
//! ```sh
//! cargo run -p bemi-examples --bin cli_script -- --operator ana --reason "ticket 812" rename 2 "Grace Hopper"
//! cargo run -p bemi-examples --bin cli_script -- --operator ana --reason "ticket 813" merge 3 1
//! ```
//!
//! It runs on a PostgreSQL that exists only for it; with `DATABASE_URL` on that database, where `bemi-worker` must be running.

use std::process::ExitCode;

use bemi_examples::{Result, program};
use bemi_sqlx::{BemiPool, Context, MissingContext, Settings, with_context, write};
use clap::{Parser, Subcommand};
use sqlx::PgPool;

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS account (id bigint PRIMARY KEY, name text NOT NULL, merged_into bigint);
    INSERT INTO account VALUES (1, 'Ada'), (2, 'Grace'), (3, 'Ada L.') ON CONFLICT DO NOTHING;
    CREATE OR REPLACE FUNCTION merge_accounts(of bigint, into_account bigint) RETURNS bigint LANGUAGE sql AS
        'UPDATE account SET merged_into = into_account WHERE id = of RETURNING id'";

/// Changes accounts by hand, and says in the table `changes` who did it, and why.
#[derive(Parser)]
struct Arguments {
    /// Who runs this.
    #[arg(long, env = "USER")]
    operator: String,
    /// Why: a ticket, a sentence.
    #[arg(long)]
    reason: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Gives an account another name.
    Rename {
        /// Which account.
        id: i64,
        /// Its name from now on.
        name: String,
    },
    /// Merges an account into another one.
    Merge {
        /// Which account.
        id: i64,
        /// The one that stays.
        into: i64,
    },
}

fn main() -> ExitCode {
    let Arguments { operator, reason, command } = Arguments::parse();
    let context = Context::new().with("operator", operator).with("reason", reason);
    program::run(program::play(SCHEMA, async |stage| {
        // A script that forgets its context is to fail, not to write without.
        let settings = Settings::new().missing_context(MissingContext::Deny);
        let db = BemiPool::new(PgPool::connect(stage.url()).await?).with_settings(settings);
        with_context(context, carry_out(&db, command)).await?;
        print!("{}", stage.changes(&["account"], 1).await?);
        Ok(())
    }))
}

async fn carry_out(db: &BemiPool, command: Command) -> Result<()> {
    let changed: Option<i64> = match command {
        Command::Rename { id, name } => {
            let update = "UPDATE account SET name = $1 WHERE id = $2 RETURNING id";
            sqlx::query_scalar(update).bind(name).bind(id).fetch_optional(db).await?
        }
        Command::Merge { id, into } => {
            // The text is that of a query, so it is said that it writes.
            let select = sqlx::query_scalar("SELECT merge_accounts($1, $2)").bind(id).bind(into);
            write(select.fetch_one(db)).await?
        }
    };
    changed.map(drop).ok_or_else(|| "there is no such account".into())
}
