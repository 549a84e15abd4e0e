//! The roles that the worker runs as, and that read what it stores: what they lack.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Error};

use super::Found;
use super::source::RecordKind;
use crate::config::Config;
use crate::setup::options::SetupOptions;
use crate::setup::plan::Side;
use crate::setup::roles::{Duty, Object, Privileges};

/// The roles that setup was told of, now or before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Roles(pub(crate) BTreeMap<(String, Duty), FoundRole>);

/// A role as both databases have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct FoundRole {
    /// What it lacks in the source; `None` where there is no such role.
    pub(crate) lacks_in_source: Option<Vec<Privileges>>,
    /// The same in the destination.
    pub(crate) lacks_in_destination: Option<Vec<Privileges>>,
    /// Whether it may log in and replicate in the source.
    pub(crate) may_stream: bool,
}

impl FoundRole {
    pub(crate) fn lacks(&self, side: Side) -> Option<&Vec<Privileges>> {
        match side {
            Side::Source => self.lacks_in_source.as_ref(),
            Side::Destination => self.lacks_in_destination.as_ref(),
        }
    }
}

impl Roles {
    /// Looks at those that are written down, and at those that are asked for.
    pub(crate) async fn inspect(
        source: &Client,
        destination: &Client,
        found: &Found,
        config: &Config,
        options: &SetupOptions,
    ) -> Result<Self, Error> {
        let records = found.source.installation.iter().flat_map(|made| &made.records);
        let recorded =
            records.filter_map(|record| Some((record.name.clone(), record.kind.duty()?)));
        let asked = options.granted.iter().cloned();
        let mut roles = Self::default();
        for (name, duty) in recorded.chain(asked) {
            let schema = &config.changes_schema;
            let role = FoundRole {
                lacks_in_source: lacks(source, &name, duty.needs(Side::Source, schema)).await?,
                lacks_in_destination: lacks(
                    destination,
                    &name,
                    duty.needs(Side::Destination, schema),
                )
                .await?,
                may_stream: source.query_opt(MAY_STREAM, &[&name]).await?.is_some(),
            };
            roles.0.insert((name, duty), role);
        }
        Ok(roles)
    }
}

impl RecordKind {
    /// The duty of a role that is written down.
    pub(crate) fn duty(self) -> Option<Duty> {
        Duty::ALL.into_iter().find(|duty| self == Self::of_duty(*duty))
    }

    pub(crate) fn of_duty(duty: Duty) -> Self {
        match duty {
            Duty::Worker => Self::WorkerRole,
            Duty::Reader => Self::ReaderRole,
        }
    }
}

/// Managed services hand out replication by a role of their own.
const MAY_STREAM: &str = "
SELECT FROM pg_catalog.pg_roles r
WHERE r.rolname = $1 AND r.rolcanlogin
  AND (r.rolsuper OR r.rolreplication OR EXISTS (
       SELECT FROM pg_catalog.pg_roles g
       WHERE g.rolname IN ('rds_replication', 'rds_superuser')
         AND pg_catalog.pg_has_role(r.oid, g.oid, 'USAGE')))";

/// What is not there yet, nobody may use.
const HAS: &str = "
SELECT coalesce(CASE $2
    WHEN 'database' THEN pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), $4)
    WHEN 'schema' THEN pg_catalog.has_schema_privilege(
        r.oid, (SELECT n.oid FROM pg_catalog.pg_namespace n WHERE n.nspname = $3), $4)
    WHEN 'table' THEN pg_catalog.has_table_privilege(r.oid, pg_catalog.to_regclass($3), $4)
    WHEN 'columns' THEN pg_catalog.has_any_column_privilege(r.oid, pg_catalog.to_regclass($3), $4)
END, false)
FROM pg_catalog.pg_roles r WHERE r.rolname = $1";

/// What the role may not do of what it needs; `None` where there is no such role.
async fn lacks(
    client: &Client,
    role: &str,
    needs: Vec<Privileges>,
) -> Result<Option<Vec<Privileges>>, Error> {
    if client
        .query_opt("SELECT FROM pg_catalog.pg_roles WHERE rolname = $1", &[&role])
        .await?
        .is_none()
    {
        return Ok(None);
    }
    let has = client.prepare(HAS).await?;
    let mut lacks = Vec::new();
    for need in needs {
        let (kind, name) = match &need.on {
            Object::Database => ("database", ""),
            Object::Schema(name) => ("schema", name.as_str()),
            Object::Table(name) => ("table", name.as_str()),
            Object::Columns(name, _) => ("columns", *name),
        };
        for privilege in need.names {
            let has: bool =
                client.query_one(&has, &[&role, &kind, &name, privilege]).await?.try_get(0)?;
            if !has {
                lacks.push(need.clone());
                break;
            }
        }
    }
    Ok(Some(lacks))
}
