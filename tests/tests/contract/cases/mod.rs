//! The cases, by theme. A case is a function that is given a stage; its name is that of the trial.
//!
//! Invariant: what a case expects is what the plain library does, plus a context.

use futures_util::future::LocalBoxFuture;

use crate::driver::{Ability, Failure};
use crate::stage::Stage;

/// A case, as the suite knows it.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) needs: &'static [Ability],
    pub(crate) run: fn(Stage) -> LocalBoxFuture<'static, ()>,
}

/// Lists the cases of a file by the names of their functions: `cases![a, b needs Cancel CopyIn]`.
macro_rules! cases {
    ($($name:ident $(needs $($ability:ident)+)?),* $(,)?) => {
        pub(super) const CASES: &[crate::cases::Case] = &[$(crate::cases::Case {
            name: stringify!($name),
            needs: &[$($(crate::driver::Ability::$ability),+)?],
            run: |stage| Box::pin($name(stage)),
        }),*];
    };
}

mod autocommit;
mod bulk;
mod cancellation;
mod content;
mod deferred;
mod failures;
mod functions;
mod inline;
mod missing;
mod pool;
mod reads;
mod savepoints;
mod scopes;
mod scripts;
mod serialization;
mod servers;
mod settings;
mod streams;
mod tables;
mod transactions;
mod upserts;

/// All cases.
pub(crate) fn all() -> impl Iterator<Item = &'static Case> {
    [
        autocommit::CASES,
        bulk::CASES,
        cancellation::CASES,
        content::CASES,
        deferred::CASES,
        failures::CASES,
        functions::CASES,
        inline::CASES,
        missing::CASES,
        pool::CASES,
        reads::CASES,
        savepoints::CASES,
        scopes::CASES,
        scripts::CASES,
        serialization::CASES,
        servers::CASES,
        settings::CASES,
        streams::CASES,
        tables::CASES,
        transactions::CASES,
        upserts::CASES,
    ]
    .into_iter()
    .flatten()
}

/// Checks that the server refused with this code.
#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T, Failure>, sqlstate: &str) {
    let failure = result.expect_err("the server must refuse");
    assert_eq!(failure.sqlstate.as_deref(), Some(sqlstate), "{failure:?}");
}

/// Values as queries give them.
fn values<const N: usize>(values: [&str; N]) -> Vec<Option<String>> {
    values.map(|value| Some(value.to_owned())).to_vec()
}
