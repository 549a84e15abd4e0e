//! The family's own packages, for real: small applications that use them write, our worker stores,
//! and nothing is lost.
//!
//! ```text
//!  tests/family/<package>/ ─▶ installed once ─▶ its own migration ─▶ setup ─▶ requests ─▶ changes
//! ```
//!
//! The packages come from npm and PyPI in the versions of their lock files, which takes a while and
//! needs `node`, `npm` and `python3` with venv. So these tests run where `BEMI_FAMILY` is set, or
//! with `-- --ignored`; without they say that they were left out.
//!
//! Invariant: the applications are the packages' own code and as little else as makes them run;
//! nothing in them knows our worker.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod app;
mod django;
mod http;
mod install;
mod mikro_orm;
mod prisma;
mod sqlalchemy;
mod supabase_js;
mod todo;
mod typeorm;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::LocalBoxFuture;
use libtest_mimic::{Arguments, Trial};
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// Set, to whatever, where these tests are to run.
const SWITCH: &str = "BEMI_FAMILY";

/// A trial that takes longer hangs; the first of each package also installs it.
const TRIAL_DEADLINE: Duration = Duration::from_secs(900);

/// A test, by its name.
type Case = (&'static str, fn() -> LocalBoxFuture<'static, ()>);

/// Tests: a function becomes one under its path.
macro_rules! cases {
    ($($module:ident :: $case:ident),* $(,)?) => {
        &[$((
            concat!(stringify!($module), "::", stringify!($case)),
            || $module::$case().boxed_local(),
        )),*]
    };
}

/// What needs packages.
const CASES: &[Case] = cases![
    django::contexts_equal_what_the_middleware_was_told,
    django::percent_encoding_is_decoded_where_it_is_certain,
    django::its_read_helpers_run_unchanged,
    mikro_orm::contexts_equal_what_the_middleware_was_told,
    prisma::contexts_equal_what_the_middleware_was_told,
    prisma::statements_of_many_rows_transactions_and_sql_of_ones_own_have_it_too,
    prisma::its_documented_queries_run_unchanged,
    prisma::a_table_that_is_made_later_has_its_trigger_and_is_tracked,
    sqlalchemy::contexts_equal_what_the_middleware_was_told,
    typeorm::contexts_equal_what_the_middleware_was_told,
];

/// What sends the SQL that a package would send, and so runs always.
const CASES_WITHOUT_PACKAGES: &[Case] = cases![
    supabase_js::a_context_holds_for_the_session_that_said_it,
    supabase_js::the_function_that_setup_makes_instead_says_it_for_one_request,
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let is_on = std::env::var_os(SWITCH).is_some();
    if !is_on && !arguments.list {
        eprintln!("left out: set {SWITCH}=1 to run the family's own packages");
    }
    let runtime = Arc::new(Runtime::new().unwrap());
    let with_packages = CASES.iter().map(|case| (case, !is_on));
    let without = CASES_WITHOUT_PACKAGES.iter().map(|case| (case, false));
    let trials = with_packages
        .chain(without)
        .map(|(&(name, case), is_left_out)| {
            let runtime = Arc::clone(&runtime);
            Trial::test(name, move || {
                let ended = runtime.block_on(async { timeout(TRIAL_DEADLINE, case()).await });
                ended.map_err(|_| format!("still runs after {TRIAL_DEADLINE:?}").into())
            })
            .with_ignored_flag(is_left_out)
        })
        .collect();
    libtest_mimic::run(&arguments, trials).exit_code()
}
