//! The statement that erases a page of changes, and the one that counts what it would erase.
//!
//! Invariant: values are parameters, never part of the text.

use bemi_core::record::TableName;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error};
use uuid::Uuid;

use super::columns::changes;
use super::{Columns, ContextKeys, ErasedChanges, Erasure, Target};
use crate::chain::{Chained, Place, digest_of};

/// How many changes are erased in one transaction.
pub(super) const CHANGES_AT_ONCE: i64 = 500;

/// Which changes, and what of them; with the parameters that say it.
pub(super) struct Statement {
    changes: String,
    /// The condition, with what each change would lose.
    from: String,
    parameters: Vec<Box<dyn ToSql + Sync + Send>>,
    table: Option<TableName>,
}

impl Statement {
    pub(super) fn new(
        chained: &Chained,
        database: &str,
        erasure: &Erasure,
        kept: Vec<String>,
        keys: Vec<String>,
    ) -> Self {
        let mut parameters: Vec<Box<dyn ToSql + Sync + Send>> = vec![Box::new(database.to_owned())];
        let mut parameter = |value: Box<dyn ToSql + Sync + Send>| {
            parameters.push(value);
            format!("${}", parameters.len())
        };
        let mut conditions = vec!["c.database = $1".to_owned()];
        let (mut of_before, mut of_after) = ("true".to_owned(), "true".to_owned());
        if let Some(table) = erasure.target.table() {
            let schema = parameter(Box::new(table.schema().to_owned()));
            let name = parameter(Box::new(table.table().to_owned()));
            conditions.push(format!("c.schema = {schema} AND c.\"table\" = {name}"));
        }
        match &erasure.target {
            Target::Record { .. } => {
                let keys = parameter(Box::new(keys));
                conditions.push(format!(
                    "(c.primary_key = ANY ({keys}::text[]) OR c.previous_key = ANY ({keys}::text[]))"
                ));
            }
            Target::Rows { column, value, .. } => {
                let column = parameter(Box::new(column.clone()));
                let value = parameter(Box::new(value.clone()));
                // An UPDATE may hand a row from one person to another.
                of_before = format!("c.before ->> {column}::text = {value}::text");
                of_after = format!("c.after ->> {column}::text = {value}::text");
                conditions.push(format!("({of_before} OR {of_after})"));
            }
            Target::Subject(subject) => {
                let key = parameter(Box::new(subject.key.clone()));
                let path: Vec<String> = subject.key.split('.').map(str::to_owned).collect();
                let path = parameter(Box::new(path));
                let value = parameter(Box::new(subject.value.clone()));
                conditions.push(format!(
                    "(c.context ->> {key}::text = {value}::text OR c.context #>> {path}::text[] = {value}::text)"
                ));
            }
        }
        let of_columns = match &erasure.columns {
            Columns::None => "false".to_owned(),
            Columns::AllButKey => format!("k <> ALL ({}::text[])", parameter(Box::new(kept))),
            Columns::These(columns) => {
                format!("k = ANY ({}::text[])", parameter(Box::new(columns.clone())))
            }
        };
        let of_context = match &erasure.context {
            ContextKeys::None => "false".to_owned(),
            // What the worker itself says of a context is no part of it, but for a text that it could not read.
            ContextKeys::All => "(k <> '_bemi' OR c.context -> '_bemi' ? 'raw')".to_owned(),
            ContextKeys::These(keys) => {
                format!("k <> '_bemi' AND k = ANY ({}::text[])", parameter(Box::new(keys.clone())))
            }
        };
        let from = format!(
            "FROM {changes} AS c \
             CROSS JOIN LATERAL (SELECT \
                 ARRAY(SELECT k FROM pg_catalog.jsonb_object_keys(c.before) AS k \
                       WHERE {of_before} AND {of_columns}) AS before, \
                 ARRAY(SELECT k FROM pg_catalog.jsonb_object_keys(c.after) AS k \
                       WHERE {of_after} AND {of_columns}) AS after, \
                 ARRAY(SELECT k FROM pg_catalog.jsonb_object_keys( \
                           CASE pg_catalog.jsonb_typeof(c.context) WHEN 'object' THEN c.context ELSE '{{}}' END) AS k \
                       WHERE {of_context} ORDER BY k) AS context) AS gone \
             WHERE {} AND c.operation <> 'DDL' \
               AND (gone.before <> '{{}}' OR gone.after <> '{{}}' OR gone.context <> '{{}}')",
            conditions.join(" AND "),
            changes = changes(chained),
        );
        let table = erasure.target.table().cloned();
        Self { changes: changes(chained), from, parameters, table }
    }

    pub(super) fn table(&self) -> Option<&TableName> {
        self.table.as_ref()
    }

    /// What would be erased.
    pub(super) async fn count(&self, client: &Client) -> Result<Vec<ErasedChanges>, Error> {
        let sql = format!(
            "SELECT c.schema || '.' || c.\"table\", c.operation, count(*) {} GROUP BY 1, 2 ORDER BY 1, 2",
            self.from
        );
        let parameters: Vec<&(dyn ToSql + Sync)> =
            self.parameters.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        let rows = client.query(&sql, &parameters).await?;
        rows.iter()
            .map(|row| {
                let (table, operation) = (row.try_get(0)?, row.try_get(1)?);
                Ok(ErasedChanges { table, operation, count: row.try_get(2)? })
            })
            .collect()
    }

    /// Erases the next changes behind a place, in the transaction that is open: id, commit position,
    /// sequence, UTC day, digest, table and operation of each, in no order.
    pub(super) async fn erase(
        &self,
        client: &Client,
        (place, id): (Place, Uuid),
    ) -> Result<Vec<tokio_postgres::Row>, Error> {
        let next = self.parameters.len();
        let (commit, sequence, behind, limit) = (next + 1, next + 2, next + 3, next + 4);
        let sql = format!(
            "WITH page AS MATERIALIZED ( \
                 SELECT c.id, c.committed_at, gone.before AS before_gone, gone.after AS after_gone, \
                        gone.context AS context_gone {from} \
                   AND (c.commit_position, c.sequence, c.id) > (${commit}, ${sequence}, ${behind}) \
                 ORDER BY c.commit_position, c.sequence, c.id LIMIT ${limit} FOR UPDATE OF c) \
             UPDATE {changes} AS c SET \
                 before = c.before - p.before_gone, \
                 after = c.after - p.after_gone, \
                 before_complete = c.before_complete AND p.before_gone = '{{}}', \
                 unavailable = CASE WHEN p.after_gone = '{{}}' THEN c.unavailable ELSE \
                     ARRAY(SELECT DISTINCT u FROM pg_catalog.unnest(c.unavailable || p.after_gone) AS u ORDER BY u) END, \
                 encoded = nullif(ARRAY(SELECT e FROM pg_catalog.unnest(c.encoded) AS e \
                     WHERE c.before - p.before_gone ? e OR c.after - p.after_gone ? e), '{{}}'), \
                 context = CASE WHEN p.context_gone = '{{}}' THEN c.context ELSE \
                     c.context - p.context_gone || pg_catalog.jsonb_build_object('_bemi', \
                         CASE pg_catalog.jsonb_typeof(c.context -> '_bemi') WHEN 'object' \
                             THEN c.context -> '_bemi' ELSE '{{}}' END - 'raw' || pg_catalog.jsonb_build_object('erased', \
                             (SELECT pg_catalog.jsonb_agg(DISTINCT e.k ORDER BY e.k) \
                              FROM (SELECT pg_catalog.unnest(p.context_gone) AS k UNION \
                                    SELECT pg_catalog.jsonb_array_elements_text( \
                                        CASE pg_catalog.jsonb_typeof(c.context #> '{{_bemi,erased}}') WHEN 'array' \
                                        THEN c.context #> '{{_bemi,erased}}' ELSE '[]' END)) AS e))) END \
             FROM page AS p WHERE c.id = p.id AND c.committed_at = p.committed_at \
             RETURNING c.id, c.commit_position, c.sequence, (c.committed_at AT TIME ZONE 'UTC')::date, \
                       {digest}, c.schema || '.' || c.\"table\", c.operation",
            from = self.from,
            changes = self.changes,
            digest = digest_of("c"),
        );
        let mut parameters: Vec<&(dyn ToSql + Sync)> =
            self.parameters.iter().map(|value| &**value as &(dyn ToSql + Sync)).collect();
        let Place { commit_position, sequence } = place;
        parameters.extend([
            &commit_position as &(dyn ToSql + Sync),
            &sequence,
            &id,
            &CHANGES_AT_ONCE,
        ]);
        client.query(&sql, &parameters).await
    }
}
