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

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::{CommitPosition, TransactionId};

    fn todo() -> TableName {
        TableName::new("public", "todo")
    }

    /// The parameters that have a value of ours; the last one of a page is its limit.
    fn parameters(sql: &Sql) -> Vec<&str> {
        sql.parameters().iter().flatten().map(String::as_str).collect()
    }

    #[test]
    fn all_changes_are_a_page_the_newest_first() {
        let sql = Changes::new().to_sql("\"public\".\"changes\"");
        assert_eq!(
            sql.text(),
            "SELECT to_jsonb(c)::text FROM (SELECT c.* FROM \"public\".\"changes\" AS c WHERE true \
             ORDER BY c.commit_position DESC, c.sequence DESC LIMIT $1::text::bigint) AS c \
             ORDER BY c.commit_position DESC, c.sequence DESC"
        );
        assert_eq!(parameters(&sql), ["51"]);
    }

    #[test]
    fn a_page_goes_on_behind_a_place_in_its_order() {
        let place: Cursor = "7.3".parse().unwrap();
        let newest = Changes::new().after(place).to_sql("t");
        assert!(
            newest
                .text()
                .contains("(c.commit_position, c.sequence) < ($1::text::bigint, $2::text::bigint)")
        );
        assert_eq!(parameters(&newest), ["7", "3", "51"]);
        let oldest = Changes::new().after(place).oldest_first().limit(2).to_sql("t");
        assert!(oldest.text().contains("(c.commit_position, c.sequence) > ($1"));
        assert!(oldest.text().ends_with("ORDER BY c.commit_position ASC, c.sequence ASC"));
        assert_eq!(parameters(&oldest), ["7", "3", "3"]);
    }

    #[test]
    fn a_record_has_a_scan_for_each_way_into_its_history() {
        let sql = Changes::new().record(todo(), "1").context("user_id", 188).to_sql("t");
        let scans: Vec<&str> = sql.text().split("UNION ALL").collect();
        assert_eq!(scans.len(), 3);
        for (scan, way) in scans.iter().zip(["primary_key = $", "previous_key = $", "'TRUNCATE'"]) {
            assert!(scan.contains(way) && scan.contains("->> $1::text = $2::text"), "{scan}");
            assert!(scan.contains("LIMIT $3::text::bigint"), "{scan}");
        }
        assert_eq!(parameters(&sql), ["user_id", "188", "51", "todo", "public", "1"]);
    }

    #[test]
    fn nothing_from_outside_is_in_the_text() {
        let evil = "'; DROP TABLE changes; --\"";
        let changes = Changes::new()
            .table(TableName::new(evil, evil))
            .record(TableName::new(evil, evil), evil)
            .database(evil)
            .field_changed(evil)
            .before_contains(&json!({ evil: evil }))
            .after_contains(&json!(evil))
            .context_contains(&json!([evil]))
            .context(evil, evil)
            .context(format!("a.{evil}"), evil)
            .trace(evil)
            .operation(Operation::Update)
            .transaction(TransactionId(1))
            .commit(CommitPosition::default())
            .since(Timestamp::UNIX_EPOCH)
            .until(Timestamp::MIN)
            .behind(CommitPosition::default())
            .up_to(CommitPosition::default())
            .without_context()
            .without_baseline();
        let sql = changes.to_sql("t");
        assert!(!sql.text().contains("DROP"), "{}", sql.text());
        assert!(!changes.to_condition(&mut Sql::default()).contains("DROP"));
        for number in 1..=sql.parameters().len() {
            assert!(sql.text().contains(&format!("${number}::text")), "${number} is not used");
        }
    }

    #[test]
    fn tables_and_operations_are_lists_of_which_any_will_do() {
        let sql = Changes::new()
            .table(todo())
            .table(TableName::new("sales", "orders"))
            .operation(Operation::Create)
            .operation(Operation::Delete)
            .to_sql("t");
        assert!(sql.text().contains(
            "WHERE (c.\"table\" = $1::text AND c.schema = $2::text OR c.\"table\" = $3::text AND c.schema = $4::text) \
             AND c.operation IN ('CREATE', 'DELETE') "
        ));
    }

    #[test]
    fn a_limit_is_kept_within_its_bounds() {
        assert_eq!(parameters(&Changes::new().limit(0).to_sql("t")), ["2"]);
        assert_eq!(parameters(&Changes::new().limit(u32::MAX).to_sql("t")), ["10001"]);
    }

    #[test]
    fn an_instant_that_the_server_cannot_spell_is_before_all_others() {
        let sql = Changes::new().since(Timestamp::MIN).until(Timestamp::MAX).to_sql("t");
        assert_eq!(parameters(&sql)[..2], ["-infinity", "9999-12-30T22:00:00.999999999Z"]);
    }
}
