//! diesel_migrations, run through a connection of ours by diesel-async's harness.

use bemi_diesel::with_context;
use bemi_tests::journal::{by, inserted, user};
use diesel_async::AsyncMigrationHarness;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};

use crate::app::App;

/// The harness blocks, which needs a runtime of several threads.
#[tokio::test(flavor = "multi_thread")]
async fn migrations_run_and_what_they_write_has_its_context() {
    let app = App::new().await;
    let folder = tempfile::tempdir().unwrap();
    let migration = folder.path().join("migrations/2026-01-01-000000_first");
    std::fs::create_dir_all(&migration).unwrap();
    let up = "INSERT INTO todo VALUES (1, 'x'); UPDATE todo SET task = 'y';";
    std::fs::write(migration.join("up.sql"), up).unwrap();
    std::fs::write(migration.join("down.sql"), "DELETE FROM todo;").unwrap();
    let migrations = FileBasedMigrations::from_path(folder.path().join("migrations")).unwrap();
    let mut harness = AsyncMigrationHarness::new(app.connection().await);
    with_context(user(1), async {
        assert_eq!(harness.run_pending_migrations(migrations.clone()).unwrap().len(), 1);
        harness.revert_last_migration(migrations).unwrap();
    })
    .await;
    let of_todo: Vec<_> = app
        .changes()
        .await
        .into_iter()
        .flatten()
        .filter(|(_, change)| change.starts_with("todo"))
        .collect();
    assert_eq!(
        of_todo,
        [
            by(1, inserted(1, "x")),
            by(1, "todo: UPDATE: id:1 task:'y'"),
            by(1, "todo: DELETE: id:1")
        ]
    );
}
