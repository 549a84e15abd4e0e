//! How fast the record answers, and what its indexes cost.
//!
//! ```text
//! pages    millions of changes, made by one statement ─▶ Record::changes, requests, follow ─▶ the first page
//! table    a table's changes ─▶ Record::as_of(…).table(…), beside SQL that is written for these very changes
//! revert   one transaction, stored by the worker ─▶ Record::reverse(…).plan(…)
//! indexes  rows of changes, in a file of the server's ─▶ COPY ─▶ changes, with one set of indexes and another
//! ```
//!
//! All on one throwaway server. What is answered is counted and checked. No figure is asserted.

mod indexes;
mod many;
mod options;
mod pages;
mod report;
mod revert;
mod server;
mod table;

use std::error::Error;
use std::process::ExitCode;

use self::options::{Options, Part};
use self::server::Server;

/// Any reason why the benchmark cannot go on; all of them are for a human to read.
type Result<T> = std::result::Result<T, Box<dyn Error>>;

#[tokio::main]
async fn main() -> ExitCode {
    match measure(&Options::read()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("  because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

async fn measure(options: &Options) -> Result<()> {
    let server = Server::start()?;
    report::server(&server);
    if options.has(Part::Pages) {
        pages::measure(&server, options).await?;
    }
    if options.has(Part::Table) {
        table::measure(&server, options).await?;
    }
    if options.has(Part::Revert) {
        revert::measure(&server, options).await?;
    }
    if options.has(Part::Indexes) {
        indexes::measure(&server, options).await?;
    }
    Ok(())
}
