//! COPY, in and out.

use std::io::Read;

use bemi_diesel::{Settings, with_context_sync};
use bemi_tests::journal::{Event, by, by_nobody, inserted, messages, user};
use diesel::prelude::*;
use diesel::result::Error;
use serde_json::json;

use crate::app::{App, a_todo, todo};

#[tokio::test]
async fn copied_rows_have_their_context() {
    let app = App::new().await;
    let connection = &mut app.with_sql();
    let rows = vec![a_todo(1, "a"), a_todo(2, "b")];
    with_context_sync(user(1), || {
        let copied = diesel::copy_from(todo::table).from_insertable(&rows).execute(connection);
        assert_eq!(copied, Ok(2));
        let from_text = diesel::copy_from(todo::table).from_raw_data(todo::table, |data| {
            data.write_all(b"3\tc\n").map_err(|error| Error::SerializationError(error.into()))
        });
        assert_eq!(from_text.execute(connection), Ok(1));
    });
    let message = Event::Message(json!({ "user_id": 1, "SQL": r#"COPY "todo" FROM STDIN"# }));
    assert_eq!(
        app.journal().await,
        [
            vec![message.clone(), Event::Change(inserted(1, "a")), Event::Change(inserted(2, "b"))],
            vec![message, Event::Change(inserted(3, "c"))]
        ]
    );
}

#[tokio::test]
async fn a_copy_in_a_transaction_or_outside_a_scope_is_as_any_other_write() {
    let app = App::new().await;
    let connection = &mut app.connection();
    let copy = |connection: &mut _, id| {
        diesel::copy_from(todo::table).from_insertable(vec![a_todo(id, "x")]).execute(connection)
    };
    copy(connection, 1).unwrap();
    with_context_sync(user(1), || {
        connection.transaction(|connection| {
            copy(connection, 2)?;
            copy(connection, 3)
        })
    })
    .unwrap();
    let journal = app.journal().await;
    assert_eq!(journal[0], [Event::Change(inserted(1, "x"))]);
    assert_eq!((messages(&journal[1]), journal[1].len()), (1, 3));
}

#[tokio::test]
async fn a_copy_that_fails_stores_nothing_and_gives_the_error_of_plain_diesel() {
    /// The errors of a copy that its caller gives up, and of one that the server refuses.
    macro_rules! errors {
        ($connection:expr) => {
            [true, false].map(|gives_up| {
                let rows = diesel::copy_from(todo::table).from_raw_data(todo::table, move |data| {
                    data.write_all(b"1\ta\n").unwrap();
                    if gives_up {
                        return Err(Error::NotFound);
                    }
                    data.write_all(b"1\tb\n").unwrap();
                    Ok(())
                });
                rows.execute($connection).unwrap_err().to_string()
            })
        };
    }
    let app = App::new().await;
    let connection = &mut app.connection();
    let ours = with_context_sync(user(1), || errors!(connection));
    assert!(ours[0].contains("Record not found"), "{ours:?}");
    assert!(ours[1].contains("duplicate key"), "{ours:?}");
    assert_eq!(ours, errors!(&mut app.plain()));
    assert_eq!(todo::table.count().get_result(connection), Ok(0_i64));
    assert_eq!(app.idle_in_transaction().await, 0);
    assert!(app.journal().await.is_empty());
}

#[tokio::test]
async fn copying_out_is_a_read_and_runs_on_the_untracked_connection() {
    let app = App::new().await;
    let connection = &mut app.connection().with_settings(Settings::new());
    app.run("INSERT INTO todo VALUES (1, 'x')").await;
    let mut text = String::new();
    with_context_sync(user(1), || {
        let mut rows = diesel::copy_to(todo::table).load_raw(connection.untracked()).unwrap();
        rows.read_to_string(&mut text).unwrap();
    });
    assert_eq!(text, "1\tx\n");
    assert_eq!(app.changes().await, [[by_nobody(inserted(1, "x"))]]);
    with_context_sync(user(1), || diesel::delete(todo::table).execute(connection)).unwrap();
    assert_eq!(app.changes().await, [[by(1, "todo: DELETE: id:1")]]);
}
