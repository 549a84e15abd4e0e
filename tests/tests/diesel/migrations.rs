//! diesel_migrations, run through a connection of ours.

use bemi_diesel::with_context_sync;
use bemi_tests::journal::{by, inserted, user};
use diesel::migration::{Migration, MigrationSource, Result};
use diesel::pg::Pg;
use diesel_migrations::{FileBasedMigrations, MigrationHarness};

use crate::app::App;

#[tokio::test]
async fn migrations_run_and_what_they_write_has_its_context() {
    let app = App::new().await;
    let connection = &mut app.connection();
    let folder = tempfile::tempdir().unwrap();
    for (name, up, down) in [
        (
            "2026-01-01-000000_first",
            "INSERT INTO todo VALUES (1, 'x'); ALTER TABLE todo ADD done boolean; UPDATE todo SET task = 'y';",
            "ALTER TABLE todo DROP done; DELETE FROM todo;",
        ),
        (
            "2026-01-02-000000_second",
            "INSERT INTO todo VALUES (2, 'x');",
            "DELETE FROM todo WHERE id = 2;",
        ),
    ] {
        let migration = folder.path().join("migrations").join(name);
        std::fs::create_dir_all(&migration).unwrap();
        std::fs::write(migration.join("up.sql"), up).unwrap();
        std::fs::write(migration.join("down.sql"), down).unwrap();
    }
    let migrations = FileBasedMigrations::from_path(folder.path().join("migrations")).unwrap();
    let all: Vec<Box<dyn Migration<Pg>>> = migrations.migrations().unwrap();
    assert_eq!(all.len(), 2);
    with_context_sync(user(1), || -> Result<()> {
        assert_eq!(connection.run_pending_migrations(migrations.clone())?.len(), 2);
        assert!(!connection.has_pending_migration(migrations.clone())?);
        connection.revert_last_migration(migrations)?;
        Ok(())
    })
    .unwrap();
    let of_todo: Vec<_> = app
        .changes()
        .await
        .into_iter()
        .map(|changes| {
            changes.into_iter().filter(|(_, change)| change.starts_with("todo")).collect::<Vec<_>>()
        })
        .filter(|changes| !changes.is_empty())
        .collect();
    assert_eq!(
        of_todo,
        [
            vec![by(1, inserted(1, "x")), by(1, "todo: UPDATE: id:1 task:'y' done[boolean]:null")],
            vec![by(1, "todo: INSERT: id:2 task:'x' done[boolean]:null")],
            vec![by(1, "todo: DELETE: id:2")],
        ]
    );
}
