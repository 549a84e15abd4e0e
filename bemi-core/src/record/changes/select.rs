//! The filter as a statement.
//!
//! Places are compared as rows, `(commit_position, sequence) < (…)`, and the history of a record is put
//! together from one scan for each way in which a change can be part of it: only so does each scan walk
//! an index in order, and end after a page.

use super::condition::instant;
use super::{Changes, Order};
use crate::record::{Cursor, Sql, TableName};
use crate::{ChangeId, Operation};

impl Changes {
    /// The same order, one more than the limit, each change as the JSON of its row. `table` is
    /// `changes`, as SQL names it.
    pub(crate) fn to_sql(&self, table: &str) -> Sql {
        let mut sql = Sql::default();
        let mut common = self.conditions(&mut sql);
        if let Some(place) = self.after {
            common.push(beyond(&mut sql, place, self.order));
        }
        let direction = match self.order {
            Order::NewestFirst => "DESC",
            Order::OldestFirst => "ASC",
        };
        let end = format!(
            "ORDER BY c.commit_position {direction}, c.sequence {direction} LIMIT {}::bigint",
            sql.parameter((self.limit + 1).to_string())
        );
        let scan = |of: Option<&str>| {
            let conditions: Vec<&str> =
                of.into_iter().chain(common.iter().map(String::as_str)).collect();
            let holds =
                if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") };
            format!("SELECT c.* FROM {table} AS c WHERE {holds} {end}")
        };
        let rows = match self.ways_to_the_record(&mut sql) {
            None => scan(None),
            Some(ways) => {
                let scans = ways.each_ref().map(|way| format!("({})", scan(Some(way))));
                format!("SELECT c.* FROM ({}) AS c {end}", scans.join(" UNION ALL "))
            }
        };
        // JSON is made of what is left of the rows, not of each that is sorted.
        sql.push(&format!(
            "SELECT to_jsonb(c)::text FROM ({rows}) AS c \
             ORDER BY c.commit_position {direction}, c.sequence {direction}"
        ));
        sql
    }

    /// All that a change `c` must fulfil but its place, for statements that are not about pages.
    pub(crate) fn to_condition(&self, sql: &mut Sql) -> String {
        let mut conditions = self.conditions(sql);
        if let Some(ways) = self.ways_to_the_record(sql) {
            conditions.push(format!("({})", ways.join(" OR ")));
        }
        if conditions.is_empty() { "true".to_owned() } else { conditions.join(" AND ") }
    }

    /// The conditions but those of the record.
    fn conditions(&self, sql: &mut Sql) -> Vec<String> {
        let mut conditions = Vec::new();
        if !self.tables.is_empty() {
            let any: Vec<String> = self.tables.iter().map(|table| of_table(sql, table)).collect();
            conditions.push(format!("({})", any.join(" OR ")));
        }
        if !self.operations.is_empty() {
            let any: Vec<&str> = self.operations.iter().copied().map(Operation::as_str).collect();
            conditions.push(format!("c.operation IN ('{}')", any.join("', '")));
        }
        conditions.extend(self.conditions.iter().map(|condition| condition.to_sql(sql)));
        conditions
    }

    /// The ways in which a change can be part of the record's history; none is part of it in two.
    fn ways_to_the_record(&self, sql: &mut Sql) -> Option<[String; 3]> {
        let (table, key) = self.record.as_ref()?;
        let table = of_table(sql, table);
        let key = sql.parameter(key.as_str().to_owned());
        Some([
            format!("{table} AND c.primary_key = {key}"),
            format!("{table} AND c.previous_key = {key} AND c.primary_key IS DISTINCT FROM {key}"),
            format!("{table} AND c.operation = 'TRUNCATE'"),
        ])
    }
}

/// The change of this id, as the JSON of its row. The id begins with the time of the commit, and the
/// key of the table does, too.
pub(crate) fn by_id(table: &str, id: ChangeId) -> Sql {
    let mut sql = Sql::new(format!("SELECT to_jsonb(c)::text FROM {table} AS c WHERE "));
    let from = instant(&mut sql, id.committed_at());
    let id = sql.parameter(id.to_string());
    sql.push(&format!(
        "c.id = {id}::uuid AND c.committed_at >= {from} AND c.committed_at < {from} + interval '1 millisecond'"
    ));
    sql
}

/// That the change `c` is of this table.
fn of_table(sql: &mut Sql, table: &TableName) -> String {
    format!(
        "c.\"table\" = {} AND c.schema = {}",
        sql.parameter(table.table().to_owned()),
        sql.parameter(table.schema().to_owned())
    )
}

/// That the change `c` comes after this place.
pub(crate) fn beyond(sql: &mut Sql, place: Cursor, order: Order) -> String {
    let operator = match order {
        Order::NewestFirst => "<",
        Order::OldestFirst => ">",
    };
    format!(
        "(c.commit_position, c.sequence) {operator} ({}::bigint, {}::bigint)",
        sql.parameter(place.commit_position.0.to_bigint().to_string()),
        sql.parameter(place.sequence.0.to_string())
    )
}
