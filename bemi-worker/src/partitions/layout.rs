//! What partitions `changes` has, as the catalog says.

use std::collections::BTreeSet;

use bemi_core::changes_table::TABLE;
use jiff::Timestamp;
use tokio_postgres::{Client, Error};

use super::statements::{EARLIER, name_prefix};
use crate::config::PartitionBy;

/// What `changes` is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    Missing,
    Plain {
        /// Whether the role has the rights of its owner.
        is_ours: bool,
    },
    Partitioned(Layout),
}

/// The partitions of `changes`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layout {
    /// The schema of `changes`.
    pub(crate) schema: String,
    /// How long they are; `None` where its comment does not say.
    pub(crate) by: Option<PartitionBy>,
    /// The whole comment.
    pub(crate) comment: String,
    /// Whether the role has the rights of the owner.
    pub(crate) is_ours: bool,
    /// Whether there is a DEFAULT partition, which is not of our making.
    pub(crate) has_default: bool,
    /// In the order of time.
    pub(crate) partitions: Vec<Partition>,
    /// Those that were being detached when that was cut off, by their qualified names.
    pub(crate) pending: Vec<String>,
    /// The names of all relations in schema `bemi`.
    pub(crate) names: BTreeSet<String>,
}

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// As SQL has it.
    pub(crate) qualified: String,
    /// The first instant in it; `None` where it has no first one.
    pub(crate) from: Option<Timestamp>,
    /// The first instant behind it; `None` where it has no last one.
    pub(crate) to: Option<Timestamp>,
}

impl Shape {
    /// Reads what the catalog says, in a session of [`Maintenance`](super::Maintenance) or another one
    /// whose dates are ISO.
    ///
    /// # Errors
    ///
    /// Those of the queries.
    pub(crate) async fn read(client: &Client, schema: &str) -> Result<Self, Error> {
        let row = client.query_opt(TABLE_FACTS, &[&schema, &TABLE]).await?;
        let Some(row) = row else { return Ok(Self::Missing) };
        let (oid, is_ours): (u32, bool) = (row.try_get(0)?, row.try_get(2)?);
        if row.try_get::<_, bool>(1)? {
            return Ok(Self::Plain { is_ours });
        }
        let by: Option<String> = row.try_get(3)?;
        let mut layout = Layout {
            schema: schema.to_owned(),
            by: by.and_then(|by| by.parse().ok()),
            comment: row.try_get::<_, Option<String>>(4)?.unwrap_or_default(),
            is_ours,
            ..Layout::default()
        };
        for row in client.query(PARTITIONS, &[&oid]).await? {
            let qualified: String = row.try_get(0)?;
            if row.try_get(1)? {
                layout.pending.push(qualified);
            } else if row.try_get(2)? {
                layout.has_default = true;
            } else {
                let (from, to) = (row.try_get(3)?, row.try_get(4)?);
                layout.partitions.push(Partition { qualified, from, to });
            }
        }
        let names = "SELECT c.relname::text FROM pg_catalog.pg_class c
                     JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'bemi'";
        for row in client.query(names, &[]).await? {
            layout.names.insert(row.try_get(0)?);
        }
        Ok(Self::Partitioned(layout))
    }
}

impl Layout {
    /// A name for a new partition that nothing has yet, which it then has.
    pub(crate) fn new_name(&mut self, from: Option<Timestamp>, to: Option<Timestamp>) -> String {
        let digits = |at: Timestamp| at.strftime("%Y%m%d").to_string();
        let prefix = name_prefix(&self.schema);
        let wanted = match (from, to) {
            (Some(from), Some(_)) => format!("{prefix}_{}", digits(from)),
            (Some(from), None) => format!("{prefix}_from_{}", digits(from)),
            (None, Some(to)) => format!("{prefix}_{EARLIER}_{}", digits(to)),
            (None, None) => format!("{prefix}_all"),
        };
        let mut name = wanted.clone();
        let mut number = 2;
        while !self.names.insert(name.clone()) {
            name = format!("{wanted}_{number}");
            number += 1;
        }
        name
    }

    /// Where no partition is: each stretch from one end to the other.
    pub(crate) fn holes(&self) -> Vec<(Option<Timestamp>, Option<Timestamp>)> {
        let mut holes = Vec::new();
        let mut reached = None;
        for partition in &self.partitions {
            if partition.from != reached {
                holes.push((reached, partition.from));
            }
            reached = partition.to;
        }
        if self.partitions.is_empty() || reached.is_some() {
            holes.push((reached, None));
        }
        holes
    }

    /// The partition that has no end.
    pub(crate) fn last(&self) -> Option<&Partition> {
        self.partitions.last().filter(|partition| partition.to.is_none())
    }
}

const TABLE_FACTS: &str = "
SELECT c.oid, c.relkind <> 'p', pg_catalog.pg_has_role(c.relowner, 'USAGE'),
       pg_catalog.substring(pg_catalog.obj_description(c.oid, 'pg_class'),
                            'Partitioned by (day|week|month)\\.'),
       pg_catalog.obj_description(c.oid, 'pg_class')
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = $1 AND c.relname = $2 AND c.relkind IN ('r', 'p')";

// The bounds are shown in the session's time zone, and read in it.
const PARTITIONS: &str = "
SELECT pg_catalog.format('%I.%I', n.nspname, c.relname), i.inhdetachpending, b.bound = 'DEFAULT',
       b.from_time, b.to_time
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (
    SELECT t.bound,
           pg_catalog.substring(t.bound, 'FROM \\(''([^'']*)''\\)')::timestamptz AS from_time,
           pg_catalog.substring(t.bound, 'TO \\(''([^'']*)''\\)')::timestamptz AS to_time
    FROM (SELECT coalesce(pg_catalog.pg_get_expr(c.relpartbound, c.oid), '') AS bound) AS t
) AS b
WHERE i.inhparent = $1
ORDER BY b.from_time NULLS FIRST, b.to_time";

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: i64) -> Option<Timestamp> {
        Timestamp::from_second(number * 86_400).ok()
    }

    fn of(bounds: &[(Option<Timestamp>, Option<Timestamp>)]) -> Layout {
        let partition = |&(from, to)| Partition { qualified: String::new(), from, to };
        Layout { partitions: bounds.iter().map(partition).collect(), ..Layout::default() }
    }

    #[test]
    fn every_stretch_without_a_partition_is_found() {
        assert_eq!(of(&[]).holes(), [(None, None)]);
        let whole = [(None, day(1)), (day(1), day(2)), (day(2), None)];
        assert_eq!(of(&whole).holes(), []);
        assert_eq!(of(&[(None, None)]).holes(), []);
        assert_eq!(of(&whole[1..]).holes(), [(None, day(1))]);
        assert_eq!(of(&whole[..2]).holes(), [(day(2), None)]);
        assert_eq!(of(&[whole[0], whole[2]]).holes(), [(day(1), day(2))]);
    }

    #[test]
    fn a_name_is_given_once() {
        let mut layout = Layout { schema: "public".to_owned(), ..Layout::default() };
        assert_eq!(layout.new_name(day(0), day(1)), "changes_19700101");
        assert_eq!(layout.new_name(day(0), day(1)), "changes_19700101_2");
        assert_eq!(layout.new_name(None, day(1)), "changes_before_19700102");
        assert_eq!(layout.new_name(day(1), None), "changes_from_19700102");
        layout.schema = "audit".to_owned();
        assert_eq!(layout.new_name(day(0), day(1)), "audit_changes_19700101");
    }
}
