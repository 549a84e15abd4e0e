//! Changes grouped by what they belong to: a request, a transaction, a trace.
//!
//! A group stands where its last change stands. Which changes are the last ones of their groups is
//! asked by looking for a later one of the same group, so that with an index on the group's key no
//! more is read than the page has.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::changes::{beyond, trace_id};
use super::{Changes, Cursor, Database, Order, Page, Record, RecordError, Sql};
use crate::Operation;

/// What changes are grouped by.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Grouping {
    /// A key of the context: `request_id`, `job_id`. Changes whose context lacks it are left out.
    Context(String),
    /// The transaction, by where it committed.
    Transaction,
    /// The trace, as [`Changes::trace`] has it. Changes without one are left out.
    Trace,
}

/// What was done under one request, in one transaction, or in one trace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Activity {
    /// The request's or the trace's id; of a transaction the LSN of its commit.
    pub id: String,
    /// When its first change committed.
    pub first_at: Timestamp,
    /// When its last change committed.
    pub last_at: Timestamp,
    /// The place of its first change.
    pub first: Cursor,
    /// The place of its last change.
    pub last: Cursor,
    /// How many changes there are.
    pub changes: u64,
    /// What was touched, how: each table with each operation.
    pub touched: Vec<Touched>,
    /// Who: the distinct texts under the key `user_id`, or `user` where that is missing.
    pub who: Vec<String>,
    /// Where: the distinct texts under the key `endpoint`.
    pub endpoints: Vec<String>,
    /// The source databases.
    pub databases: Vec<String>,
}

/// What was done to a table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Touched {
    /// The table's schema.
    pub schema: String,
    /// The table's name.
    pub table: String,
    /// What happened.
    pub operation: Operation,
    /// How often.
    pub changes: u64,
}

impl Default for Grouping {
    /// By `request_id`, which `bemi-axum` records.
    fn default() -> Self {
        Self::Context("request_id".to_owned())
    }
}

impl Grouping {
    /// What the group of the change `c` is called, as SQL.
    fn to_sql(&self, sql: &mut Sql) -> Cow<'static, str> {
        match self {
            Self::Context(key) => {
                Cow::Owned(format!("(c.context ->> {})", sql.parameter(key.clone())))
            }
            Self::Transaction => Cow::Borrowed("c.commit_position"),
            Self::Trace => Cow::Borrowed(trace_id()),
        }
    }

    /// What the group is called, for people. `group_id` is what [`to_sql`](Self::to_sql) gives.
    const fn shown(&self) -> &'static str {
        match self {
            Self::Context(_) | Self::Trace => "page.group_id",
            Self::Transaction => "('0/0'::pg_lsn + page.group_id)::text",
        }
    }
}

impl<D: Database> Record<D> {
    /// A page of what was done, grouped, the newest first, by the last change of each. The filter says
    /// which changes count; of its own it takes the place and the limit, in groups. Rows of a baseline
    /// are nobody's doing and do not count.
    ///
    /// ```
    /// use bemi_core::record::{Changes, Database, Grouping, Record, RecordError};
    ///
    /// async fn last_requests<D: Database>(record: &mut Record<D>) -> Result<(), RecordError<D::Error>> {
    ///     let page = record.requests(&Grouping::default(), &Changes::new().limit(20)).await?;
    ///     for request in page.items {
    ///         println!("{} by {}: {} changes", request.id, request.who.join(", "), request.changes);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`changes`](Self::changes).
    ///
    /// # Cancellation safety
    /// Nothing is lost but the answer.
    pub async fn requests(
        &mut self,
        by: &Grouping,
        changes: &Changes,
    ) -> Result<Page<Activity>, RecordError<D::Error>> {
        let sql = to_sql(by, changes, &self.changes_table());
        let items = self.ask("read activity", "activity", &sql).await?;
        Ok(Page::of(items, changes.page_limit(), |activity: &Activity| activity.last))
    }
}

fn to_sql(by: &Grouping, changes: &Changes, table: &str) -> Sql {
    let mut sql = Sql::default();
    let id = by.to_sql(&mut sql);
    let holds = changes.clone().without_baseline().to_condition(&mut sql);
    let beyond = changes.place().map_or_else(String::new, |place| {
        format!("AND {}", beyond(&mut sql, place, Order::NewestFirst))
    });
    let limit = sql.parameter((changes.page_limit() + 1).to_string());
    let shown = by.shown();
    sql.push(&format!(
        "WITH page AS (
    SELECT last.group_id, last.commit_position, last.sequence
    FROM (SELECT {id} AS group_id, c.commit_position, c.sequence FROM {table} AS c
        WHERE {id} IS NOT NULL AND {holds} {beyond}) AS last
    WHERE NOT EXISTS (SELECT FROM {table} AS c WHERE {id} = last.group_id AND {holds}
        AND (c.commit_position, c.sequence) > (last.commit_position, last.sequence))
    ORDER BY last.commit_position DESC, last.sequence DESC
    LIMIT {limit}::bigint
)
SELECT (summary || jsonb_build_object('id', {shown}, 'touched', touched,
    'last', page.commit_position || '.' || page.sequence))::text
FROM page CROSS JOIN LATERAL (
    WITH done AS MATERIALIZED (
        SELECT c.schema, c.\"table\", c.operation, c.database, c.committed_at, c.commit_position, c.sequence,
            coalesce(c.context ->> 'user_id', c.context ->> 'user') AS who, c.context ->> 'endpoint' AS endpoint
        FROM {table} AS c WHERE {id} = page.group_id AND {holds}
    )
    SELECT (
        SELECT jsonb_build_object('changes', count(*), 'first_at', min(committed_at), 'last_at', max(committed_at),
            'first', array_to_string(min(ARRAY[commit_position, sequence]), '.'),
            'who', coalesce(jsonb_agg(DISTINCT who) FILTER (WHERE who IS NOT NULL), '[]'),
            'endpoints', coalesce(jsonb_agg(DISTINCT endpoint) FILTER (WHERE endpoint IS NOT NULL), '[]'),
            'databases', jsonb_agg(DISTINCT database))
        FROM done
    ) AS summary, (
        SELECT jsonb_agg(jsonb_build_object('schema', schema, 'table', \"table\", 'operation', operation,
            'changes', changes) ORDER BY first, operation)
        FROM (SELECT schema, \"table\", operation, count(*) AS changes, min(ARRAY[commit_position, sequence]) AS first
            FROM done GROUP BY schema, \"table\", operation) AS each
    ) AS touched
) AS of_group
ORDER BY page.commit_position DESC, page.sequence DESC"
    ));
    sql
}
