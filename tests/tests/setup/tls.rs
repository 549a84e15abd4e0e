//! Encrypted connections, for SQL and for replication, as libpq's options have it.

use bemi_tests::{Cluster, ClusterOptions};

use super::fresh::{Fresh, says_all};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/setup/certificates");

/// A cluster that speaks TLS.
async fn cluster() -> Cluster {
    let cluster = Cluster::start(&ClusterOptions::new()).unwrap();
    let client = cluster.connect("postgres").await.unwrap();
    for (file, name) in
        [("server.pem", "server.crt"), ("server.key", "server.key"), ("authority.pem", "root.crt")]
    {
        let text = std::fs::read_to_string(format!("{FOLDER}/{file}")).unwrap();
        // Written by the server, so that the key is its own and nobody else's.
        for (i, line) in text.lines().enumerate() {
            let redirect = if i == 0 { ">" } else { ">>" };
            let write =
                format!("COPY (SELECT '{line}') TO PROGRAM 'umask 077; cat {redirect} {name}'");
            client.batch_execute(&write).await.unwrap();
        }
    }
    for setting in ["ssl = on", "ssl_ca_file = 'root.crt'"] {
        client.batch_execute(&format!("ALTER SYSTEM SET {setting}")).await.unwrap();
    }
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    bemi_tests::eventually(std::time::Duration::from_secs(10), "ssl to be on", async || {
        let client = cluster.connect("postgres").await.unwrap();
        let on = client.query_one("SHOW ssl", &[]).await.unwrap().get::<_, String>(0) == "on";
        on.then_some(())
    })
    .await;
    cluster
}

/// The database at another host name and with these options.
fn url(fresh: &Fresh, host: &str, options: &str) -> String {
    format!("{}?{options}", fresh.database.url().replace("127.0.0.1", host))
}

#[tokio::test]
async fn each_mode_verifies_what_libpq_verifies() {
    let cluster = cluster().await;
    let fresh = Fresh::on(&cluster, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let ours = format!("sslrootcert={FOLDER}/authority.pem");
    let strangers = format!("sslrootcert={FOLDER}/stranger.pem");
    fresh.ok(&["setup", "--all-tables"]).await;

    let streams = [
        ("127.0.0.1", "sslmode=disable".to_owned()),
        ("127.0.0.1", "sslmode=allow".to_owned()),
        ("127.0.0.1", "sslmode=prefer".to_owned()),
        ("127.0.0.1", format!("sslmode=prefer&{strangers}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("localhost", format!("sslmode=require&{ours}")),
        ("localhost", format!("sslmode=verify-ca&{ours}")),
        ("localhost", format!("sslmode=verify-full&{ours}")),
    ];
    for (host, options) in &streams {
        fresh.sql("INSERT INTO t SELECT count(*) FROM t").await;
        let worker = fresh.worker_at(&url(&fresh, host, options), &["run", "--once"]);
        worker.run_to_end().await.assert_code(0);
    }
    let stored = usize::try_from(fresh.value::<i64>("SELECT count(*) FROM changes").await).unwrap();
    assert_eq!(stored, streams.len());

    // A certificate for another name will do for SQL. The replication client refuses it.
    for mode in ["require", "verify-ca"] {
        let url = url(&fresh, "127.0.0.1", &format!("sslmode={mode}&{ours}"));
        fresh.worker_at(&url, &["status"]).run_to_end().await.assert_code(0);
        let doctor = fresh.worker_at(&url, &["doctor"]).run_to_end().await.assert_code(3);
        assert!(doctor.stdout.contains("certificate not valid for name"), "{doctor}");
    }

    for (host, options) in [
        ("127.0.0.1", format!("sslmode=require&{strangers}")),
        ("127.0.0.1", format!("sslmode=verify-ca&{strangers}")),
        ("127.0.0.1", "sslmode=verify-ca".to_owned()),
        ("127.0.0.1", format!("sslmode=verify-full&{ours}")),
        ("localhost", format!("sslmode=verify-full&{strangers}")),
        ("localhost", "sslrootcert=system".to_owned()),
        ("localhost", "sslmode=verify-full&sslrootcert=/nowhere.pem".to_owned()),
    ] {
        let url = url(&fresh, host, &options);
        let output = fresh.worker_at(&url, &["status"]).run_to_end().await.assert_code(6);
        says_all(output, &["no encrypted connection to", "sslrootcert"]);
    }
}

#[tokio::test]
async fn a_client_certificate_logs_in() {
    let cluster = cluster().await;
    let fresh = Fresh::on(&cluster, "CREATE TABLE t (id int PRIMARY KEY)").await;
    // For this database a certificate is asked for.
    let rule = format!("hostssl {} all 127.0.0.1/32 cert", fresh.database.name());
    fresh
        .sql(&format!(
            "COPY (SELECT '{rule}') TO PROGRAM 'cat - pg_hba.conf > new && mv new pg_hba.conf'"
        ))
        .await;
    fresh.sql("SELECT pg_reload_conf()").await;
    let with = format!("sslmode=require&sslcert={FOLDER}/client.pem&sslkey={FOLDER}/client.key");
    let with = url(&fresh, "127.0.0.1", &with);
    let without = url(&fresh, "127.0.0.1", "sslmode=require");
    bemi_tests::eventually(std::time::Duration::from_secs(30), "the rule to hold", async || {
        let output = fresh.worker_at(&without, &["status"]).run_to_end().await;
        (output.code == Some(6)).then_some(())
    })
    .await;
    let output = fresh.worker_at(&without, &["status"]).run_to_end().await.assert_code(6);
    says_all(output, &["certificate"]);

    fresh.worker_at(&with, &["setup", "--all-tables"]).run_to_end().await.assert_code(0);
    fresh.sql("INSERT INTO t VALUES (1)").await;
    fresh.worker_at(&with, &["run", "--once"]).run_to_end().await.assert_code(0);
    assert_eq!(fresh.value::<i64>("SELECT count(*) FROM changes").await, 1);
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_one_that_is_not_there() {
    let fresh = Fresh::new("").await;
    let url = url(&fresh, "127.0.0.1", "sslmode=require");
    let output = fresh.worker_at(&url, &["status"]).run_to_end().await.assert_code(6);
    says_all(output, &["no encrypted connection to", "server does not support TLS"]);
}
