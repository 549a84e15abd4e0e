//! Back to how the rows were, and forward again.

use bemi_testing::{Error, Recording, SetupOptions, created, deleted, updated};

use crate::app::App;

#[tokio::test]
async fn rows_go_back_to_a_checkpoint_and_forward_again() {
    let app = App::new().await;
    app.sql("INSERT INTO todo VALUES (1, 'Sleep'), (2, 'Eat')").await;
    let recording = app.record().await;
    let start = recording.checkpoint().await.unwrap();
    let at_start = app.todos().await;

    app.rename(1, "Work").await;
    app.sql("DELETE FROM todo WHERE id = 2; INSERT INTO todo VALUES (3, 'Rest')").await;
    let later = app.todos().await;
    assert_eq!(later, ["(1,Work,f)", "(3,Rest,f)"]);

    recording.roll_back_to(start).await.unwrap();
    assert_eq!(app.todos().await, at_start);
    recording.forward().await.unwrap();
    assert_eq!(app.todos().await, later);
    assert!(matches!(recording.forward().await, Err(Error::NothingAhead)));
    recording.finish().await.unwrap();
    assert_eq!(app.todos().await, later, "the rows stay as they are");
}

#[tokio::test]
async fn the_way_back_is_a_change_like_any_other() {
    let app = App::new().await;
    app.sql("INSERT INTO todo VALUES (1, 'Sleep')").await;
    let recording = app.record().await;
    let start = recording.checkpoint().await.unwrap();
    app.sql("UPDATE todo SET task = 'Eat'; INSERT INTO todo VALUES (2, 'Work')").await;
    let (done, made) = recording.changes_of(recording.roll_back_to(start)).await.unwrap();
    done.unwrap();
    assert_eq!(made.changes().len(), 2);
    made.assert_any(updated("todo").field("task", "Eat", "Sleep").nothing_else());
    made.assert_any(deleted("todo").key(2));
    let context = &made.changes()[0].context;
    assert_eq!(context["reason"], "bemi-testing");
    assert_eq!(context["revert_of"]["count"], 2);
}

#[tokio::test]
async fn forward_leads_to_before_the_last_way_back_whatever_was_done_since() {
    let app = App::new().await;
    let recording = app.record().await;
    let empty = recording.checkpoint().await.unwrap();
    app.add(1, "one").await;
    let one = recording.checkpoint().await.unwrap();
    app.add(2, "two").await;
    recording.roll_back_to(one).await.unwrap();
    app.add(3, "meanwhile").await;
    recording.roll_back_to(empty).await.unwrap();
    app.add(4, "meanwhile, too").await;
    assert_eq!(app.todos().await, ["(4,\"meanwhile, too\",f)"]);

    recording.forward().await.unwrap();
    assert_eq!(app.todos().await, ["(1,one,f)", "(3,meanwhile,f)"]);
    recording.forward().await.unwrap();
    assert_eq!(app.todos().await, ["(1,one,f)", "(2,two,f)"]);
}

#[tokio::test]
async fn a_truncated_table_is_full_again_where_the_record_has_all_of_its_rows() {
    let app = App::new().await;
    let recording = app.record().await;
    // Of a table that was there before, nobody knows whether it was empty.
    app.sql("INSERT INTO todo VALUES (1, 'Sleep')").await;
    app.sql("CREATE TABLE note (id int PRIMARY KEY); INSERT INTO note VALUES (1), (2)").await;
    let full = recording.checkpoint().await.unwrap();
    app.sql("TRUNCATE note").await;
    let (done, made) = recording.changes_of(recording.roll_back_to(full)).await.unwrap();
    done.unwrap();
    made.assert([created("note").key(1), created("note").key(2)]);

    app.sql("TRUNCATE todo").await;
    let error = recording.roll_back_to(full).await.unwrap_err();
    assert!(error.to_string().contains("TRUNCATE"), "{error}");
}

#[tokio::test]
async fn foreign_keys_hold_on_the_way() {
    let app = App::new().await;
    app.sql("CREATE TABLE note (id int PRIMARY KEY, todo int REFERENCES todo ON DELETE CASCADE)")
        .await;
    let recording = app.record().await;
    let empty = recording.checkpoint().await.unwrap();
    app.sql("INSERT INTO todo VALUES (1, 'Sleep'); INSERT INTO note VALUES (1, 1), (2, 1)").await;
    let filled = recording.checkpoint().await.unwrap();
    app.sql("DELETE FROM todo").await;
    recording.roll_back_to(filled).await.unwrap();
    recording.roll_back_to(empty).await.unwrap();
    let (_, made) = recording.changes_of(recording.forward()).await.unwrap();
    assert_eq!(made.changes().len(), 3);
    assert_eq!(made.changes()[0].table, "todo");
    for note in [1, 2] {
        made.assert_any(created("note").key(note).after("todo", 1));
    }
}

#[tokio::test]
async fn sequences_stay_where_they_are() {
    let app = App::new().await;
    app.sql("CREATE TABLE ticket (id serial PRIMARY KEY)").await;
    let recording = app.record().await;
    let empty = recording.checkpoint().await.unwrap();
    let insert = "INSERT INTO ticket DEFAULT VALUES";
    app.sql(insert).await;
    recording.roll_back_to(empty).await.unwrap();
    let (_, made) = recording.changes_of(app.sql(insert)).await.unwrap();
    made.assert_one(created("ticket").key(2));
}

#[tokio::test]
async fn where_the_record_does_not_tell_nothing_is_changed() {
    let app = App::new().await;
    app.sql("INSERT INTO todo VALUES (1, 'Sleep'), (2, 'Eat')").await;
    // The replica identity is the key, so that old rows have no more than that.
    let tables = SetupOptions::new().all_tables();
    let recording = Recording::start_with(&app.database.url(), tables).await.unwrap();
    let start = recording.checkpoint().await.unwrap();
    app.add(3, "Work").await;
    app.sql("DELETE FROM todo WHERE id = 2").await;
    let error = recording.roll_back_to(start).await.unwrap_err();
    assert!(matches!(error, Error::Revert(_)), "{error}");
    assert_eq!(app.todos().await, ["(1,Sleep,f)", "(3,Work,f)"]);
    assert!(matches!(recording.forward().await, Err(Error::NothingAhead)));
    recording.stored().await.unwrap();
}
