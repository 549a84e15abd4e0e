//! A tracked database whose changes are covered, and a look at what verifying says.

use bemi_tests::{Output, Tracked, WorkerCommand};
use serde_json::Value;

pub(crate) const KEY: &str = "0123456789abcdef0123456789abcdef";

pub(crate) const SCHEMA: &str = "CREATE TABLE todo (id int PRIMARY KEY, task text, owner text)";

/// A tracked database whose changes are covered from the first one on.
pub(crate) struct Chained {
    pub(crate) tracked: Tracked,
    key: Option<&'static str>,
}

impl Chained {
    pub(crate) async fn new() -> Self {
        Self::with(SCHEMA, None).await
    }

    pub(crate) async fn with(schema: &str, key: Option<&'static str>) -> Self {
        let tracked = Tracked::new(schema).await;
        tracked.setup(&["--tamper-evidence"]).await;
        Self { tracked, key }
    }

    /// Three transactions of three, one and two changes.
    pub(crate) async fn filled(key: Option<&'static str>) -> Self {
        let chained = Self::with(SCHEMA, key).await;
        chained
            .sql("INSERT INTO todo SELECT n, 'task ' || n, 'ann' FROM generate_series(1, 3) AS n")
            .await;
        chained.store().await;
        chained.sql("UPDATE todo SET task = 'done' WHERE id = 2").await;
        chained.store().await;
        chained
            .sql("BEGIN; DELETE FROM todo WHERE id = 1; INSERT INTO todo VALUES (4); COMMIT")
            .await;
        chained.store().await;
        chained
    }

    pub(crate) async fn sql(&self, sql: &str) {
        self.tracked.sql(sql).await;
    }

    /// What somebody does who may do anything in the destination.
    pub(crate) async fn tamper(&self, sql: &str) {
        self.sql(&format!("BEGIN; SET LOCAL bemi.append_only = 'off'; {sql}; COMMIT")).await;
    }

    pub(crate) fn worker(&self, arguments: &[&str]) -> WorkerCommand {
        let worker = self.tracked.worker(arguments);
        match self.key {
            Some(key) => worker.env("BEMI_CHAIN_KEY", key),
            None => worker,
        }
    }

    pub(crate) async fn store(&self) {
        self.worker(&["run", "--once"]).run_to_end().await.assert_code(0);
        let slot = self.tracked.database.slot_name();
        self.tracked.database.wait_for_free_slot(&slot).await;
    }

    pub(crate) async fn verify(&self, arguments: &[&str]) -> Output {
        self.worker(&[&["verify", "--format", "json"], arguments].concat()).run_to_end().await
    }

    /// What is found, where nothing was tampered with.
    pub(crate) async fn sound(&self) -> Value {
        let output = self.verify(&[]).await.assert_code(0);
        serde_json::from_str(&output.stdout).unwrap()
    }

    /// What is found, where something was: the kinds, and what is said.
    pub(crate) async fn tampered(&self, arguments: &[&str]) -> Vec<(String, String)> {
        let output = self.verify(arguments).await.assert_code(3);
        let report: Value = serde_json::from_str(&output.stdout).unwrap();
        let findings = report["findings"].as_array().unwrap();
        let text = |finding: &Value, name: &str| finding[name].as_str().unwrap().to_owned();
        findings.iter().map(|finding| (text(finding, "kind"), text(finding, "what"))).collect()
    }

    /// The kinds of what is found.
    pub(crate) async fn kinds(&self) -> Vec<String> {
        self.tampered(&[]).await.into_iter().map(|(kind, _)| kind).collect()
    }

    /// The head, to be kept.
    pub(crate) async fn head(&self) -> String {
        let head = self.sound().await["head"].clone();
        format!("{}:{}", head["number"], head["hash"].as_str().unwrap())
    }
}

/// What somebody can do who may do anything in the destination and has the format of links: every link and
/// all that it covers, made anew over changes as they are now.
const FORGE: &str = r"
CREATE FUNCTION part(b bytea) RETURNS bytea LANGUAGE sql AS $$
    SELECT coalesce(int8send(length(b)) || b, '\xffffffffffffffff') $$;
CREATE FUNCTION forge() RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    l record; r record; previous bytea; made bytea; one bytea; digest bytea;
BEGIN
    FOR l IN SELECT * FROM bemi.chain ORDER BY number LOOP
        IF l.piece IS NOT NULL THEN
            SELECT * INTO r FROM bemi.chain_rows WHERE piece = l.piece;
            made := '';
            FOR i IN 0 .. length(r.rows) / 64 - 1 LOOP
                one := substring(r.rows FROM i * 64 + 1 FOR 32);
                SELECT sha256(record_send(c)), (c.committed_at AT TIME ZONE 'UTC')::date
                INTO digest, l.day
                FROM changes AS c WHERE c.id = encode(substring(one FOR 16), 'hex')::uuid;
                made := made || one || sha256(
                    'bemi.row.1'::bytea || substring(r.salts FROM i * 16 + 1 FOR 16) || digest);
            END LOOP;
            l.rows_digest := sha256(made);
            UPDATE bemi.chain_rows SET rows = made WHERE piece = l.piece;
        ELSE
            l.day := (l.made_at AT TIME ZONE 'UTC')::date;
        END IF;
        l.hash := sha256(part('bemi.link.1') || part('\x00') || part(l.slot::bytea)
            || part(int8send(l.number)) || part(previous) || part(l.kind::bytea)
            || part(l.day::text::bytea) || part(convert_to(l.note, 'UTF8'))
            || part(int8send((extract(epoch FROM l.made_at) * 1000000)::bigint))
            || CASE WHEN l.piece IS NULL THEN '' ELSE
                part(int8send(l.piece)) || part(int8send(l.first_commit_position))
                || part(int8send(l.first_sequence)) || part(int8send(l.last_commit_position))
                || part(int8send(l.last_sequence)) || part(int4send(l.row_count))
                || part(l.rows_digest) END);
        UPDATE bemi.chain SET hash = l.hash, day = l.day, rows_digest = l.rows_digest
        WHERE slot = l.slot AND number = l.number;
        previous := l.hash;
    END LOOP;
    UPDATE bemi.chain_heads SET hash = previous;
END $$;
SELECT forge(); DROP FUNCTION forge; DROP FUNCTION part";

impl Chained {
    pub(crate) async fn forge(&self) {
        self.sql(FORGE).await;
    }
}
