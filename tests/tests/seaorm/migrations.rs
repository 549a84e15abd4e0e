//! `sea-orm-migration`, which takes sea-orm's own connections and transactions only.

#![allow(elided_lifetimes_in_paths, reason = "the trait of migrations is written so")]

use bemi_seaorm::with_context;
use bemi_tests::journal::{Event, by, by_nobody, user};
use sea_orm_migration::prelude::*;

use crate::app::App;

struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![Box::new(CreateNote), Box::new(FillNote)]
    }
}

struct CreateNote;

impl MigrationName for CreateNote {
    fn name(&self) -> &str {
        "m1_create_note"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for CreateNote {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = Table::create()
            .table("note")
            .col(ColumnDef::new("id").integer().primary_key())
            .to_owned();
        manager.create_table(table).await
    }
}

struct FillNote;

impl MigrationName for FillNote {
    fn name(&self) -> &str {
        "m2_fill_note"
    }
}

#[async_trait::async_trait]
impl MigrationTrait for FillNote {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        manager
            .execute(
                Query::insert()
                    .into_table("note")
                    .columns(["id"])
                    .values_panic([1.into()])
                    .to_owned(),
            )
            .await
    }
}

#[tokio::test]
async fn migrations_run_in_a_transaction_that_begins_with_the_context() {
    let app = App::new().await;
    let tx = with_context(user(1), app.db.begin_with_context()).await.unwrap();
    Migrator::up(&tx, None).await.unwrap();
    tx.commit().await.unwrap();
    let journal = app.changes().await;
    assert_eq!(journal.len(), 1, "{journal:?}");
    assert!(journal[0].contains(&by(1, "note: INSERT: id:1")), "{journal:?}");
    assert!(journal[0].iter().all(|(user, _)| *user == Some(1)), "{journal:?}");
}

#[tokio::test]
async fn on_the_untracked_connection_they_run_without_a_context() {
    let app = App::new().await;
    with_context(user(1), Migrator::up(app.db.untracked(), None)).await.unwrap();
    let changes: Vec<_> = app.changes().await.into_iter().flatten().collect();
    assert!(changes.contains(&by_nobody("note: INSERT: id:1")), "{changes:?}");
}

#[tokio::test]
async fn outside_any_scope_such_a_transaction_is_a_plain_one() {
    let app = App::new().await;
    let tx = app.db.begin_with_context().await.unwrap();
    tx.execute_unprepared("INSERT INTO todo VALUES (1, 'x')").await.unwrap();
    tx.commit().await.unwrap();
    let journal = app.journal().await;
    assert!(matches!(&journal[0][..], [Event::Change(_)]), "{journal:?}");
}
