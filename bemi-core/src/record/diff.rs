//! What differs between two points, row by row.
//!
//! It is the net of all changes in between: a row that was changed and changed back is not there, and
//! one that was changed ten times is there once.

use std::collections::{HashMap, VecDeque};

use serde::Serialize;

use super::as_of::{At, Facts, RowOf, Wanted};
use super::{Database, Key, Point, Record, RecordError, Row, RowAt, Sql, TableName};
use crate::CommitPosition;

/// A row that is not the same at two points.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RowDiff {
    /// The table.
    pub table: TableName,
    /// The key; `None` in a table without one.
    pub key: Option<Key>,
    /// The row at the first point.
    pub before: RowAt<Row>,
    /// The row at the second one.
    pub after: RowAt<Row>,
}

/// What differs between two points, given page by page. From [`Record::diff`].
#[derive(Debug)]
pub struct Diff<'a, D> {
    record: &'a mut Record<D>,
    from: At,
    to: At,
    /// The tables that are left; the first one is being read.
    tables: VecDeque<Table>,
    after: Option<Key>,
    incomplete: Vec<TableName>,
}

/// A table that has changes between the points.
#[derive(Clone, Debug)]
struct Table {
    name: TableName,
    facts: [Facts; 2],
    /// Whether rows that have no change of their own may differ: then all of them are looked at.
    is_emptied: bool,
}

#[derive(serde::Deserialize)]
struct Touched {
    schema: String,
    table: String,
    is_emptied: bool,
}

const DOING: &str = "read what differs";
const WHAT: &str = "what differs";

impl<D: Database> Record<D> {
    /// What differs between two points, of one table or of all. The first one may be the later one.
    ///
    /// A row differs by its own changes: one that has another column since, because its table was
    /// altered, and no change, does not.
    ///
    /// # Errors
    /// As [`resolve`](Self::resolve).
    ///
    /// # Cancellation
    /// Safe.
    ///
    /// ```no_run
    /// # use bemi_core::record::{Database, Record};
    /// # async fn example<D: Database>(database: D) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut record = Record::new(database);
    /// let mut diff = record.diff("-2h".parse()?, "-1h".parse()?, None).await?;
    /// while let Some(rows) = diff.next_page(1_000).await? {
    ///     for row in rows {
    ///         println!("{} {:?}: {:?} became {:?}", row.table, row.key, row.before, row.after);
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub async fn diff(
        &mut self,
        from: Point,
        to: Point,
        table: Option<&TableName>,
    ) -> Result<Diff<'_, D>, RecordError<D::Error>> {
        let from = self.resolve(from).await?;
        let to = self.resolve(to).await?;
        let slot = self.slot().await?;
        let from = At { slot: slot.clone(), position: from };
        let to = At { slot, position: to };
        let mut tables = VecDeque::new();
        let mut incomplete = Vec::new();
        for touched in self.touched(&from, &to, table).await? {
            let name = TableName::new(touched.schema, touched.table);
            let facts = [self.facts(&from, &name).await?, self.facts(&to, &name).await?];
            let [first, second] = &facts;
            let (low, high) = if from.position <= to.position {
                (first, to.position)
            } else {
                (second, from.position)
            };
            // Where nothing is missing in between, what has no change there is the same at both points.
            let is_seen = first.is_keyed
                && second.is_keyed
                && !touched.is_emptied
                && low.ceiling_position > high.0.to_bigint();
            if !(is_seen || first.is_complete && second.is_complete) {
                incomplete.push(name.clone());
            }
            tables.push_back(Table { name, facts, is_emptied: touched.is_emptied });
        }
        Ok(Diff { record: self, from, to, tables, after: None, incomplete })
    }

    /// The tables with changes between two points, and those that were emptied or made, or of which
    /// something is missing.
    async fn touched(
        &mut self,
        from: &At,
        to: &At,
        table: Option<&TableName>,
    ) -> Result<Vec<Touched>, RecordError<D::Error>> {
        let (low, high) = between(from, to);
        let changes = self.changes_table();
        let mut sql = Sql::default();
        let slot = sql.parameter(from.slot.name.clone());
        let database = sql.parameter(from.slot.database.clone());
        let low = sql.parameter(low.0.to_bigint().to_string());
        let high = sql.parameter(high.0.to_bigint().to_string());
        sql.push(&format!(
            "SELECT json_build_object('schema', t.schema, 'table', t.\"table\", \
                                      'is_emptied', bool_or(t.is_emptied))::text \
             FROM (SELECT c.schema, c.\"table\", c.operation = 'TRUNCATE' AS is_emptied \
                   FROM {changes} AS c \
                   WHERE c.commit_position > {low}::bigint AND c.commit_position <= {high}::bigint \
                     AND c.database = {database} AND c.operation <> 'DDL' \
                   GROUP BY 1, 2, 3 \
                   UNION ALL \
                   SELECT e.schema, e.\"table\", true FROM bemi.table_events AS e \
                   WHERE e.commit_position > {low}::bigint AND e.commit_position <= {high}::bigint \
                     AND e.slot = {slot} AND e.event <> 'altered') AS t"
        ));
        if let Some(table) = table {
            sql.push(" WHERE t.schema = ");
            sql.bind(table.schema().to_owned());
            sql.push(" AND t.\"table\" = ");
            sql.bind(table.table().to_owned());
        }
        sql.push(" GROUP BY t.schema, t.\"table\" ORDER BY t.schema, t.\"table\"");
        self.ask(DOING, WHAT, &sql).await
    }

    /// The next keys of a table that have changes between two points.
    async fn changed_keys(
        &mut self,
        (from, to): (&At, &At),
        table: &TableName,
        after: Option<&Key>,
        limit: u64,
    ) -> Result<Vec<Key>, RecordError<D::Error>> {
        let (low, high) = between(from, to);
        let changes = self.changes_table();
        let mut sql = Sql::default();
        let database = sql.parameter(from.slot.database.clone());
        let schema = sql.parameter(table.schema().to_owned());
        let name = sql.parameter(table.table().to_owned());
        let low = sql.parameter(low.0.to_bigint().to_string());
        let high = sql.parameter(high.0.to_bigint().to_string());
        let after = sql.parameter(after.map(|key| key.as_str().to_owned()));
        let limit = sql.parameter(limit.to_string());
        let keys = |column: &str| {
            format!(
                "(SELECT DISTINCT c.{column} AS key FROM {changes} AS c \
                  WHERE c.\"table\" = {name} AND c.{column} >= coalesce({after}, '') \
                    AND c.{column} IS DISTINCT FROM {after} AND c.commit_position > {low}::bigint \
                    AND c.commit_position <= {high}::bigint AND c.schema = {schema} \
                    AND c.database = {database} ORDER BY c.{column} LIMIT {limit}::bigint)"
            )
        };
        sql.push(&format!(
            "SELECT to_json(k.key)::text FROM ({} UNION {}) AS k ORDER BY k.key LIMIT {limit}::bigint",
            keys("primary_key"),
            keys("previous_key"),
        ));
        self.ask(DOING, WHAT, &sql).await
    }
}

impl<D: Database> Diff<'_, D> {
    /// The commit positions of the two points.
    #[must_use]
    pub fn positions(&self) -> (CommitPosition, CommitPosition) {
        (self.from.position, self.to.position)
    }

    /// Tables of which more rows may differ than are told: something is missing between the points, or
    /// the table was emptied there, and not all of its rows are known at both.
    #[must_use]
    pub fn incomplete(&self) -> &[TableName] {
        &self.incomplete
    }

    /// The next rows that differ, by looking at up to `limit` keys; none may be among them. `None` where
    /// there is nothing left. Of a table without keys, all at once.
    ///
    /// # Errors
    /// [`RecordError::Database`] where the server refuses.
    ///
    /// # Cancellation
    /// Safe: the page comes again.
    pub async fn next_page(
        &mut self,
        limit: u64,
    ) -> Result<Option<Vec<RowDiff>>, RecordError<D::Error>> {
        let Some(table) = self.tables.front().cloned() else { return Ok(None) };
        let limit = limit.max(1);
        let [before, after] = &table.facts;
        if !(before.is_keyed && after.is_keyed) {
            let rows = self.alike(&table).await?;
            self.tables.pop_front();
            return Ok(Some(rows));
        }
        let (ends, last) = ((&self.from, &self.to), self.after.as_ref());
        let keys;
        let wanted = if table.is_emptied {
            Wanted::Next { after: last, limit }
        } else {
            keys = self.record.changed_keys(ends, &table.name, last, limit).await?;
            Wanted::These(&keys)
        };
        let before = self.record.told(&self.from, &table.name, before, wanted).await?;
        let after = self.record.told(&self.to, &table.name, after, wanted).await?;
        let last = before.last().and_then(|row| row.key.clone());
        if u64::try_from(before.len()).is_ok_and(|keys| keys < limit) {
            self.tables.pop_front();
            self.after = None;
        } else {
            self.after = last;
        }
        Ok(Some(differing(&table.name, before, after)))
    }

    /// The rows of a table without keys that are at one point and not at the other.
    async fn alike(&mut self, table: &Table) -> Result<Vec<RowDiff>, RecordError<D::Error>> {
        let wanted = Wanted::Next { after: None, limit: u64::from(u32::MAX) };
        let [before, after] = &table.facts;
        let before = self.record.told(&self.from, &table.name, before, wanted).await?;
        let after = self.record.told(&self.to, &table.name, after, wanted).await?;
        let mut counts: HashMap<String, (Row, i64)> = HashMap::new();
        for (rows, step) in [(before, -1), (after, 1)] {
            for row in rows {
                let RowAt::Present(row) = row.row else { continue };
                let text = row.to_string();
                counts.entry(text).or_insert_with(|| (row, 0)).1 += step;
            }
        }
        let mut differing: Vec<RowDiff> = Vec::new();
        for (row, count) in counts.into_values() {
            let present = RowAt::Present(row);
            let (before, after) =
                if count < 0 { (present, RowAt::Absent) } else { (RowAt::Absent, present) };
            let one = RowDiff { table: table.name.clone(), key: None, before, after };
            let times = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            differing.extend(std::iter::repeat_n(one, times));
        }
        Ok(differing)
    }
}

/// The positions, the lower one first.
fn between(from: &At, to: &At) -> (CommitPosition, CommitPosition) {
    (from.position.min(to.position), from.position.max(to.position))
}

/// The rows that are not the same, so far as they are known.
fn differing(table: &TableName, before: Vec<RowOf>, after: Vec<RowOf>) -> Vec<RowDiff> {
    let mut after: HashMap<Option<Key>, RowAt<Row>> =
        after.into_iter().map(|row| (row.key, row.row)).collect();
    before
        .into_iter()
        .filter_map(|row| {
            let after = after.remove(&row.key).unwrap_or(RowAt::Absent);
            (row.row != after).then(|| RowDiff {
                table: table.clone(),
                key: row.key,
                before: row.row,
                after,
            })
        })
        .collect()
}
