//! What a recording puts into the database, and that nothing of it is left.

use std::process::Command;

use bemi_testing::{Error, Recording, SetupOptions, created};
use bemi_tests::Tracked;

use crate::app::App;

#[tokio::test]
async fn at_the_end_nothing_is_left_but_the_rows() {
    let app = App::new().await;
    let recording = app.record().await;
    assert_ne!(app.left_behind().await, [""; 0]);
    app.add(1, "Sleep").await;
    recording.finish().await.unwrap();
    assert_eq!(app.left_behind().await, [""; 0]);
    assert_eq!(app.todos().await, ["(1,Sleep,f)"]);
}

#[tokio::test]
async fn a_test_that_panics_leaves_nothing_behind_either() {
    let app = App::new().await;
    let recording = app.record().await;
    let test = tokio::spawn(async move {
        let _recording = recording;
        panic!("on purpose");
    });
    assert!(test.await.unwrap_err().is_panic());
    assert_eq!(app.left_behind().await, [""; 0]);
}

/// Where the other test runs in a process of its own, it is the same: they meet in the database.
#[tokio::test]
async fn recordings_of_one_database_take_turns() {
    let app = App::new().await;
    let turns = (0..3).map(|number| {
        let app = &app;
        async move {
            let recording = app.record().await;
            let (_, made) = recording.changes_of(app.add(number, "x")).await.unwrap();
            made.assert_one(created("todo").key(number));
            recording.finish().await.unwrap();
        }
    });
    futures_util::future::join_all(turns).await;
    assert_eq!(app.todos().await.len(), 3);
}

#[tokio::test]
async fn what_a_killed_process_left_behind_is_taken_away_by_the_next() {
    let app = App::new().await;
    let program = std::env::current_exe().unwrap();
    let mut killed = Command::new(program);
    killed.args(["--exact", "installation::is_killed", "--ignored"]).env(URL, app.database.url());
    let output = killed.output().unwrap();
    assert!(!output.status.success());
    assert_ne!(app.left_behind().await, [""; 0], "{}", String::from_utf8_lossy(&output.stderr));
    let recording = app.record().await;
    let (_, made) = recording.changes_of(app.add(1, "x")).await.unwrap();
    made.assert_one(created("todo"));
    recording.finish().await.unwrap();
    assert_eq!(app.left_behind().await, [""; 0]);
}

const URL: &str = "BEMI_TESTING_IS_KILLED";

/// The process of the test above.
#[tokio::test]
#[ignore = "is run by another test, as a process of its own"]
async fn is_killed() {
    let Ok(url) = std::env::var(URL) else { return };
    let _recording = Recording::start(&url).await.unwrap();
    std::process::abort();
}

#[tokio::test]
async fn a_database_that_is_tracked_already_is_left_alone() {
    let tracked = Tracked::new("CREATE TABLE todo (id int PRIMARY KEY)").await;
    let error = Recording::start(&tracked.database.url()).await.unwrap_err();
    assert!(
        matches!(&error, Error::AlreadySetUp { publication } if publication == "bemi"),
        "{error}"
    );
    tracked.sql("INSERT INTO todo VALUES (1)").await;
    tracked.store().await;
    assert_eq!(tracked.count().await, 1);
}

#[tokio::test]
async fn some_tables_can_be_recorded_and_others_not() {
    let app = App::new().await;
    app.sql("CREATE TABLE log (id int PRIMARY KEY)").await;
    let options = SetupOptions::new().tables("todo").unwrap();
    let recording = Recording::start_with(&app.database.url(), options).await.unwrap();
    let both = app.sql("INSERT INTO log VALUES (1); INSERT INTO todo VALUES (1)");
    let (_, made) = recording.changes_of(both).await.unwrap();
    made.assert_one(created("todo"));
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_an_error() {
    let app = App::new().await;
    let url = app.database.url().replace(app.database.name(), "no_such_database");
    let error = Recording::start(&url).await.unwrap_err();
    assert!(error.to_string().contains("no_such_database"), "{error}");
    let error = Recording::start("mysql://localhost").await.unwrap_err();
    assert!(matches!(error, Error::Config(_)), "{error}");
}

#[tokio::test]
async fn a_worker_that_ends_is_told() {
    let app = App::new().await;
    let recording = app.record().await;
    app.sql("UPDATE bemi.checkpoint SET epoch = epoch + 1").await;
    app.add(1, "x").await;
    let error = recording.stored().await.unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    drop(recording);
    assert_eq!(app.left_behind().await, [""; 0]);
}
