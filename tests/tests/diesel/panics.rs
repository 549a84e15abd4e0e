//! A panic in the middle of a call leaves no transaction open, and the connection works on.

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bemi_diesel::with_context_sync;
use bemi_tests::journal::{by, inserted, user};
use diesel::connection::InstrumentationEvent;
use diesel::deserialize;
use diesel::pg::{Pg, PgValue};
use diesel::prelude::*;
use diesel::serialize::{self, Output, ToSql};
use diesel::sql_types::Text;

use crate::app::{App, insert, todo};

#[derive(Debug, diesel::expression::AsExpression, diesel::deserialize::FromSqlRow)]
#[diesel(sql_type = Text)]
struct Panics;

impl ToSql<Text, Pg> for Panics {
    fn to_sql<'b>(&'b self, _: &mut Output<'b, '_, Pg>) -> serialize::Result {
        panic!("on purpose")
    }
}

impl deserialize::FromSql<Text, Pg> for Panics {
    fn from_sql(_: PgValue<'_>) -> deserialize::Result<Self> {
        panic!("on purpose")
    }
}

fn panic_half_way(data: &mut dyn Write) -> QueryResult<()> {
    data.write_all(b"2\tx\n").unwrap();
    panic!("on purpose")
}

#[tokio::test]
async fn a_write_that_panics_is_rolled_back() {
    let app = App::new().await;
    let connection = &mut app.connection();
    with_context_sync(user(1), || {
        let write = || {
            diesel::insert_into(todo::table)
                .values((todo::id.eq(1), todo::task.eq(Panics)))
                .execute(connection)
        };
        assert!(catch_unwind(AssertUnwindSafe(write)).is_err());
        let copy = || {
            let rows = diesel::copy_from(todo::table).from_raw_data(todo::table, panic_half_way);
            rows.execute(connection)
        };
        assert!(catch_unwind(AssertUnwindSafe(copy)).is_err());
        insert(connection, 3).unwrap();
    });
    assert_eq!(app.idle_in_transaction().await, 0);
    assert_eq!(app.changes().await, [[by(1, inserted(3, "x"))]]);
}

#[tokio::test]
async fn what_was_written_is_committed_before_its_rows_are_read() {
    let app = App::new().await;
    let connection = &mut app.connection();
    with_context_sync(user(1), || {
        let read = || {
            diesel::insert_into(todo::table)
                .values((todo::id.eq(1), todo::task.eq("x")))
                .returning(todo::task.assume_not_null())
                .get_result::<Panics>(connection)
        };
        assert!(catch_unwind(AssertUnwindSafe(read)).is_err());
        insert(connection, 2).unwrap();
    });
    assert_eq!(app.changes().await, [[by(1, inserted(1, "x"))], [by(1, inserted(2, "x"))]]);
}

#[tokio::test]
async fn a_panic_of_the_instrumentation_before_the_commit_rolls_back() {
    let app = App::new().await;
    let connection = &mut app.connection();
    connection.set_instrumentation(|event: InstrumentationEvent<'_>| {
        if let InstrumentationEvent::CommitTransaction { .. } = event {
            panic!("on purpose");
        }
    });
    with_context_sync(user(1), || {
        let write = || insert(connection, 1);
        assert!(catch_unwind(AssertUnwindSafe(write)).is_err());
        connection.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        insert(connection, 2).unwrap();
    });
    assert_eq!(app.idle_in_transaction().await, 0);
    assert_eq!(app.changes().await, [[by(1, inserted(2, "x"))]]);
}
