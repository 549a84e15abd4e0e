//! Where a password may come from, and by which methods a server may ask for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bemi_tests::{Auth, Cluster, ClusterOptions, Output, TestDatabase, WorkerCommand};
use tempfile::TempDir;

struct Guarded {
    cluster: Cluster,
    database: TestDatabase,
    folder: TempDir,
}

impl Guarded {
    /// A server that asks for passwords.
    async fn new() -> Self {
        let options = ClusterOptions::new().auth(Auth::ScramSha256);
        let cluster = Cluster::start(&options).unwrap();
        let database = TestDatabase::create(&cluster).await.unwrap();
        Self { cluster, database, folder: tempfile::tempdir().unwrap() }
    }

    fn password(&self) -> String {
        let url = self.database.url();
        let login = url.strip_prefix("postgres://postgres:").unwrap();
        login.split_once('@').unwrap().0.to_owned()
    }

    /// Without the password.
    fn url(&self) -> String {
        self.database.url().replace(&format!(":{}@", self.password()), "@")
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A worker that is told where the database is, and nothing of a password.
    fn worker(&self, arguments: &[&str]) -> WorkerCommand {
        WorkerCommand::under_test(arguments)
            .env("DATABASE_URL", self.url())
            .env("BEMI_SLOT", self.database.slot_name())
            .env("HOME", self.folder.path())
    }
}

/// It got in: there is nothing set up to show.
fn gets_in(output: &Output) -> bool {
    output.code == Some(3)
}

#[tokio::test]
async fn a_password_may_stand_in_files() {
    let guarded = Guarded::new().await;
    let password = guarded.password();
    let without = guarded.worker(&["status"]).run_to_end().await.assert_code(6);
    assert!(without.stderr.contains("check user and password"), "{without}");

    let secret = guarded.file("secret", &format!("{password}\n"), 0o444);
    let output = guarded.worker(&["status"]).env("DB_PASSWORD_FILE", &secret).run_to_end().await;
    assert!(gets_in(&output), "{output}");

    let url = guarded.file("url", &guarded.database.url(), 0o444);
    let worker = WorkerCommand::under_test(["status"]).env("DATABASE_URL_FILE", &url);
    let output = worker.run_to_end().await;
    assert!(gets_in(&output), "{output}");

    let url = guarded.url();
    let config = format!("[source]\nurl = \"{url}\"\npassword_file = \"{}\"\n", secret.display());
    let config = guarded.file("bemi.toml", &config, 0o600);
    let worker = WorkerCommand::under_test(["status"]).env("BEMI_CONFIG", &config);
    let output = worker.run_to_end().await;
    assert!(gets_in(&output), "{output}");

    let nowhere = guarded.worker(&["status"]).env("DB_PASSWORD_FILE", Path::new("/nowhere"));
    let output = nowhere.run_to_end().await.assert_code(2);
    assert!(output.stderr.contains("cannot read the secret in /nowhere"), "{output}");
}

#[tokio::test]
async fn libpqs_password_file_is_read_as_libpq_reads_it() {
    let guarded = Guarded::new().await;
    let line = format!(
        "# ours\n127.0.0.1:*:{}:postgres:{}\n",
        guarded.database.name(),
        guarded.password()
    );
    let path = guarded.file(".pgpass", &line, 0o600);
    let output = guarded.worker(&["status"]).run_to_end().await;
    assert!(gets_in(&output), "{output}");

    let elsewhere = guarded.file("elsewhere", "*:*:*:*:wrong\n", 0o600);
    let output = guarded.worker(&["status"]).env("PGPASSFILE", &elsewhere).run_to_end().await;
    assert_eq!(output.code, Some(6), "{output}");

    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let output = guarded.worker(&["status"]).run_to_end().await.assert_code(6);
    assert!(output.stderr.contains("chmod 0600"), "{output}");

    // The whole way, the replication connection too.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for arguments in [&["setup", "--all-tables"][..], &["run", "--once"], &["doctor"]] {
        guarded.worker(arguments).run_to_end().await.assert_code(0);
    }
}

#[tokio::test]
async fn a_password_in_a_flag_is_refused_before_anything_else() {
    for flag in ["--database-url", "--destination-database-url"] {
        let url = "postgres://me:hunter2@127.0.0.1:1/db";
        let output = WorkerCommand::under_test(["status", flag, url]).run_to_end().await;
        let output = output.assert_code(2);
        assert!(output.stderr.contains("every user of this machine sees flags"), "{output}");
        assert!(!output.stderr.contains("hunter2"), "{output}");
    }
}

#[tokio::test]
async fn a_server_that_knows_md5_hashes_alone_is_logged_in_to() {
    let guarded = Guarded::new().await;
    let client = guarded.cluster.connect(guarded.database.name()).await.unwrap();
    let role = guarded.database.unique_name("old");
    client
        .batch_execute(&format!(
            "SET password_encryption = 'md5';
             CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'hunter2'; CREATE TABLE t (id int PRIMARY KEY)"
        ))
        .await
        .unwrap();
    let rule = format!("host all {role} 127.0.0.1/32 md5");
    client
        .batch_execute(&format!(
            "COPY (SELECT '{rule}') TO PROGRAM 'cat - pg_hba.conf > new && mv new pg_hba.conf'"
        ))
        .await
        .unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let url = guarded.url().replace("postgres@", &format!("{role}@"));
    let worker = |arguments: &[&str]| {
        guarded.worker(arguments).env("DATABASE_URL", &url).env("DB_PASSWORD", "hunter2")
    };
    bemi_tests::eventually(bemi_tests::STORED_WITHIN, "the rule to hold", async || {
        gets_in(&worker(&["status"]).run_to_end().await).then_some(())
    })
    .await;
    worker(&["setup", "--all-tables"]).run_to_end().await.assert_code(0);
    client.batch_execute("INSERT INTO t VALUES (1)").await.unwrap();
    worker(&["run", "--once"]).run_to_end().await.assert_code(0);
    let stored: i64 = client.query_one("SELECT count(*) FROM changes", &[]).await.unwrap().get(0);
    assert_eq!(stored, 1);
    // The hash of the password is of no use to who has but the wrong one.
    let output = worker(&["status"]).env("DB_PASSWORD", "wrong").run_to_end().await;
    assert_eq!(output.code, Some(6), "{output}");
}
