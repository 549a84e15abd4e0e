//! Who could listen, and who could alter or read what is stored without anybody having meant it.

use bemi_core::changes_table::TABLE;
use tokio_postgres::{Client, Error};

use super::checks::Subject;
use super::finding::Diagnosis;
use crate::config::{Config, ConnectionConfig, SslMode};

/// What the servers tell of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Exposed {
    source_is_encrypted: bool,
    destination_is_encrypted: bool,
    /// Roles that may change or remove rows of `changes` by a privilege, as SQL has them.
    altering: Vec<String>,
    /// Whether every role may read `changes`.
    is_open: bool,
}

impl Exposed {
    pub(super) async fn read(
        config: &Config,
        source: &Client,
        destination: &Client,
    ) -> Result<Self, Error> {
        let row = destination.query_one(GRANTED, &[&config.changes_schema, &TABLE]).await?;
        Ok(Self {
            source_is_encrypted: is_encrypted(source).await?,
            destination_is_encrypted: is_encrypted(destination).await?,
            altering: row.try_get(0)?,
            is_open: row.try_get(1)?,
        })
    }
}

async fn is_encrypted(client: &Client) -> Result<bool, Error> {
    let sql = "SELECT coalesce((SELECT ssl FROM pg_catalog.pg_stat_ssl
                                WHERE pid = pg_catalog.pg_backend_pid()), false)";
    client.query_one(sql, &[]).await?.try_get(0)
}

/// The owner's own privileges are not given by anybody.
const GRANTED: &str = "
SELECT coalesce(array_agg(DISTINCT CASE WHEN a.grantee = 0 THEN 'PUBLIC'
                                   ELSE pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(a.grantee)::text) END)
                FILTER (WHERE a.privilege_type IN ('UPDATE', 'DELETE', 'TRUNCATE')), '{}'),
       coalesce(bool_or(a.grantee = 0 AND a.privilege_type = 'SELECT'), false)
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL pg_catalog.aclexplode(c.relacl) AS a
WHERE n.nspname = $1 AND c.relname = $2 AND a.grantee <> c.relowner";

pub(super) fn check(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    check_connections(subject, diagnosis);
    check_changes(subject, diagnosis);
}

fn check_connections(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let (config, exposed) = (subject.config, &subject.facts.exposed);
    let mut connections = vec![("source", &config.source, exposed.source_is_encrypted)];
    if config.destination != config.source {
        connections.push(("destination", &config.destination, exposed.destination_is_encrypted));
    }
    for (side, connection, is_encrypted) in connections {
        if is_local(connection) {
            diagnosis.ok("B090", format!("the {side} is on this machine"));
        } else if !is_encrypted {
            diagnosis.warn(
                "B090",
                format!("the connection to the {side}, {connection}, is not encrypted"),
                "who can listen on the way reads every row that is tracked",
                "use sslmode=verify-full with sslrootcert, and have the server speak TLS",
            );
        } else if connection.tls().mode != SslMode::VerifyFull {
            diagnosis.note(
                "B090",
                format!("the {side}, {connection}, is not known to be who it says"),
                "who can be in the middle of the way can be the server",
                "use sslmode=verify-full with sslrootcert",
            );
        } else {
            diagnosis.ok("B090", format!("the connection to the {side} is encrypted and verified"));
        }
    }
}

/// Nobody else is on the way.
fn is_local(connection: &ConnectionConfig) -> bool {
    let address = connection.host().parse::<std::net::IpAddr>();
    connection.is_unix_socket()
        || connection.host() == "localhost"
        || address.is_ok_and(|address| address.is_loopback())
}

fn check_changes(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let (config, facts) = (subject.config, subject.facts);
    let schema = &config.changes_schema;
    // That it is missing others tell.
    if facts.found.destination.changes.is_none() {
        return;
    }
    let altering = facts.exposed.altering.join(", ");
    if altering.is_empty() {
        diagnosis.ok(
            "B091",
            format!("nobody but the owner of {schema}.{TABLE} has a privilege to alter it"),
        );
    } else {
        diagnosis.warn(
            "B091",
            format!("{altering} may UPDATE, DELETE or TRUNCATE {schema}.{TABLE}"),
            "what is stored is to be changed by nobody; the triggers that refuse it can be the last line only",
            format!(
                "run REVOKE UPDATE, DELETE, TRUNCATE ON {} FROM {altering}",
                crate::setup::append_only::table(schema)
            ),
        );
    }
    if facts.found.destination.is_append_only {
        diagnosis.ok("B092", format!("{schema}.{TABLE} refuses what is not an addition"));
    } else {
        diagnosis.warn(
            "B092",
            format!("{schema}.{TABLE} does not refuse UPDATE, DELETE and TRUNCATE"),
            "its owner, and every superuser, may change what is stored by mistake, unseen",
            "run `bemi-worker setup`",
        );
    }
    if facts.exposed.is_open {
        diagnosis.warn(
            "B093",
            format!("every role may read {schema}.{TABLE}"),
            "it has the rows of all tracked tables, also for those who may not read the tables",
            format!(
                "run REVOKE SELECT ON {} FROM PUBLIC, and setup --grant-reader for those who should",
                crate::setup::append_only::table(schema)
            ),
        );
    } else {
        diagnosis.ok("B093", format!("{schema}.{TABLE} is not open to every role"));
    }
}
