//! What of the functions and triggers of ours is in the source.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Error};

use super::table::quoted;
use crate::config::pattern::TablePattern;
use crate::setup::functions::{self, EMIT_REQUEST_CONTEXT_NAME, Function};

/// The functions and triggers by which SQL itself says its context, as they are found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ContextObjects {
    /// The bodies of functions with the signatures of ours.
    pub(crate) functions: BTreeMap<String, String>,
    /// Whether every role may use schema `bemi`.
    pub(crate) is_schema_open: bool,
    /// Triggers that call the function of ours, by their tables as SQL names them.
    pub(crate) triggers: BTreeMap<String, RequestTrigger>,
}

/// A trigger that takes the context of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestTrigger {
    /// Its name, and that of its table, as SQL names them.
    pub(crate) name: String,
    pub(crate) table: String,
    /// The table's name for people.
    pub(crate) table_name: String,
    pub(crate) is_enabled: bool,
}

impl ContextObjects {
    /// Whether a function with this signature is there, ours or not.
    pub(crate) fn has(&self, function: &Function) -> bool {
        self.functions.contains_key(&function.signature())
    }

    /// Whether the function is there, as this version has it.
    pub(crate) fn is_current(&self, function: &Function) -> bool {
        self.functions.get(&function.signature()).is_some_and(|body| body == function.body)
    }

    pub(super) async fn read(client: &Client) -> Result<Self, Error> {
        let mut found = Self::default();
        let ours: Vec<String> = functions::all().map(Function::signature).collect();
        for row in client.query(BODIES, &[&ours]).await? {
            found.functions.insert(row.try_get(0)?, row.try_get(1)?);
        }
        found.is_schema_open = client.query_one(IS_SCHEMA_OPEN, &[]).await?.try_get(0)?;
        for row in client.query(TRIGGERS, &[&EMIT_REQUEST_CONTEXT_NAME]).await? {
            let (schema, name): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            let table = quoted(&schema, &name);
            let trigger = RequestTrigger {
                name: row.try_get(2)?,
                table: table.clone(),
                table_name: TablePattern::exactly(&schema, &name).to_string(),
                is_enabled: row.try_get(3)?,
            };
            found.triggers.insert(table, trigger);
        }
        Ok(found)
    }
}

/// Whether these functions, name and body, are in schema `bemi`.
pub(super) async fn are_current(
    client: &Client,
    functions: impl IntoIterator<Item = (&'static str, &'static str)>,
) -> Result<bool, Error> {
    for (name, body) in functions {
        let row = client
            .query_one(
                "SELECT EXISTS (SELECT FROM pg_catalog.pg_proc p
                                JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
                                WHERE n.nspname = 'bemi' AND p.proname = $1 AND p.prosrc = $2)",
                &[&name, &body],
            )
            .await?;
        if !row.try_get(0)? {
            return Ok(false);
        }
    }
    Ok(true)
}

const BODIES: &str = "
SELECT signature, prosrc
FROM (SELECT pg_catalog.format('%s.%s(%s)', n.nspname, p.proname,
                               pg_catalog.oidvectortypes(p.proargtypes)) AS signature, p.prosrc
      FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
      WHERE n.nspname IN ('bemi', 'public')) AS functions
WHERE signature = ANY ($1)";

const IS_SCHEMA_OPEN: &str = "
SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace n
               CROSS JOIN LATERAL pg_catalog.aclexplode(n.nspacl) AS acl
               WHERE n.nspname = 'bemi' AND acl.grantee = 0 AND acl.privilege_type = 'USAGE')";

const TRIGGERS: &str = "
SELECT tn.nspname::text, t.relname::text, pg_catalog.quote_ident(g.tgname), g.tgenabled IN ('O', 'A')
FROM pg_catalog.pg_trigger g
JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
JOIN pg_catalog.pg_namespace pn ON pn.oid = p.pronamespace
JOIN pg_catalog.pg_class t ON t.oid = g.tgrelid
JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
WHERE NOT g.tgisinternal AND pn.nspname = 'bemi' AND p.proname = $1";
