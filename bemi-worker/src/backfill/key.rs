//! The key by which a table is read in chunks, and the statements that read them.
//!
//! A chunk begins behind the last key of the one before it. So the order must be the index's own: its
//! collation, and the operators of its operator class, by their schema. A `>` that the search path
//! finds may be another one: for `citext` outside of it that of `text`, which orders otherwise, and
//! rows would be passed over.

use postgres_protocol::escape::{escape_identifier, escape_literal};

/// A column of the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeyColumn {
    pub(super) name: String,
    /// As SQL takes it, without a modifier: `numeric`, `public.citext`.
    pub(super) data_type: String,
    /// The operators of the index: schema and name.
    pub(super) equal: (String, String),
    pub(super) greater: (String, String),
}

/// What of a table a statement reads.
pub(super) struct Selection<'a> {
    pub(super) schema: &'a str,
    pub(super) table: &'a str,
    /// Without the tables that inherit from it.
    pub(super) only: bool,
    pub(super) columns: &'a [String],
    /// The oids of partitions whose rows are not read.
    pub(super) left_out: Vec<u32>,
}

impl Selection<'_> {
    /// Reads everything, in any order.
    pub(super) fn copy_all(&self) -> String {
        let from = self.from([None, None]);
        format!("COPY (SELECT {} {from}) TO STDOUT", self.columns.join_quoted())
    }

    /// Reads the last key alone.
    pub(super) fn copy_last_key(&self, key: &[KeyColumn]) -> String {
        let columns: Vec<_> = key.iter().map(|column| quoted(&column.name)).collect();
        format!(
            "COPY (SELECT {} {} ORDER BY {} DESC LIMIT 1) TO STDOUT",
            columns.join(", "),
            self.from([None, None]),
            columns.join(" DESC, ")
        )
    }

    /// Reads up to `rows` rows behind the key `reached` and up to the key `last`, in the order of the
    /// key, whose values follow those of the columns.
    pub(super) fn copy_chunk(
        &self,
        key: &[KeyColumn],
        reached: Option<&[Vec<u8>]>,
        last: Option<&[Vec<u8>]>,
        rows: u64,
    ) -> String {
        let names: Vec<String> = key.iter().map(|column| column.name.clone()).collect();
        let all = [self.columns, names.as_slice()].concat();
        let from = self.from([
            reached.map(|reached| behind(key, reached)),
            last.map(|last| format!("NOT ({})", behind(key, last))),
        ]);
        format!(
            "COPY (SELECT {} {from} ORDER BY {} LIMIT {rows}) TO STDOUT",
            all.join_quoted(),
            names.join_quoted()
        )
    }

    /// From where, as far as `conditions` hold.
    fn from(&self, conditions: [Option<String>; 2]) -> String {
        let only = if self.only { "ONLY " } else { "" };
        let (schema, table) = (escape_identifier(self.schema), escape_identifier(self.table));
        let left_out = (!self.left_out.is_empty()).then(|| {
            let oids: Vec<String> = self.left_out.iter().map(u32::to_string).collect();
            format!("t.tableoid NOT IN ({})", oids.join(", "))
        });
        let conditions: Vec<String> = conditions.into_iter().chain([left_out]).flatten().collect();
        let condition = if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        };
        format!("FROM {only}{schema}.{table} AS t{condition}")
    }
}

trait JoinQuoted {
    fn join_quoted(&self) -> String;
}

impl JoinQuoted for [String] {
    fn join_quoted(&self) -> String {
        self.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(", ")
    }
}

fn quoted(column: &str) -> String {
    format!("t.{}", escape_identifier(column))
}

/// That a row lies behind a key.
fn behind(key: &[KeyColumn], values: &[Vec<u8>]) -> String {
    let parts: Vec<(String, String, &KeyColumn)> = key
        .iter()
        .zip(values)
        .map(|(column, value)| {
            let value = format!("{}::{}", literal(value), column.data_type);
            (quoted(&column.name), value, column)
        })
        .collect();
    if let [first, rest @ ..] = key
        && rest.iter().all(|column| column.greater == first.greater)
    {
        // Comparing whole rows is what an index over several columns can answer in one go.
        let columns: Vec<_> = parts.iter().map(|(column, ..)| column.as_str()).collect();
        let values: Vec<_> = parts.iter().map(|(_, value, _)| value.as_str()).collect();
        return match parts.as_slice() {
            [(column, value, _)] => format!("{column} {} {value}", operator(&first.greater)),
            _ => format!(
                "ROW({}) {} ROW({})",
                columns.join(", "),
                operator(&first.greater),
                values.join(", ")
            ),
        };
    }
    // Operators of several schemas do not compare rows: a > 1 OR (a = 1 AND (b > 2)).
    parts
        .iter()
        .rev()
        .fold(None, |behind: Option<String>, (left, right, column)| {
            let greater = format!("{left} {} {right}", operator(&column.greater));
            Some(match behind {
                None => format!("({greater})"),
                Some(behind) => {
                    let equal = format!("{left} {} {right}", operator(&column.equal));
                    format!("({greater} OR ({equal} AND {behind}))")
                }
            })
        })
        .unwrap_or_else(|| "true".to_owned())
}

fn operator((schema, name): &(String, String)) -> String {
    format!("OPERATOR({}.{name})", escape_identifier(schema))
}

/// A value of a key as a literal, also where it is not UTF-8, as in a database of encoding
/// `SQL_ASCII`.
fn literal(value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) => escape_literal(text),
        Err(_) => {
            let bytes: String = value.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            format!("E'{bytes}'")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, data_type: &str, schema: &str) -> KeyColumn {
        let operator = |name: &str| (schema.to_owned(), name.to_owned());
        KeyColumn {
            name: name.to_owned(),
            data_type: data_type.to_owned(),
            equal: operator("="),
            greater: operator(">"),
        }
    }

    fn bytes(values: &[&str]) -> Vec<Vec<u8>> {
        values.iter().map(|value| value.as_bytes().to_vec()).collect()
    }

    #[test]
    fn a_chunk_is_read_behind_the_last_key_in_the_order_of_the_index() {
        let selection = Selection {
            schema: "public",
            table: "to\"do",
            only: true,
            columns: &["a".to_owned(), "k".to_owned()],
            left_out: Vec::new(),
        };
        let key = [column("k", "integer", "pg_catalog")];
        assert_eq!(
            selection.copy_chunk(&key, None, None, 5),
            "COPY (SELECT t.\"a\", t.\"k\", t.\"k\" FROM ONLY \"public\".\"to\"\"do\" AS t \
             ORDER BY t.\"k\" LIMIT 5) TO STDOUT"
        );
        assert_eq!(
            selection.copy_chunk(&key, Some(&bytes(&["7"])), Some(&bytes(&["9"])), 5),
            "COPY (SELECT t.\"a\", t.\"k\", t.\"k\" FROM ONLY \"public\".\"to\"\"do\" AS t \
             WHERE t.\"k\" OPERATOR(\"pg_catalog\".>) '7'::integer \
             AND NOT (t.\"k\" OPERATOR(\"pg_catalog\".>) '9'::integer) \
             ORDER BY t.\"k\" LIMIT 5) TO STDOUT"
        );
    }

    #[test]
    fn the_last_key_is_that_of_the_whole_order() {
        let selection =
            Selection { schema: "s", table: "t", only: false, columns: &[], left_out: vec![7, 8] };
        let key = [column("a", "integer", "pg_catalog"), column("b", "text", "pg_catalog")];
        assert_eq!(
            selection.copy_last_key(&key),
            "COPY (SELECT t.\"a\", t.\"b\" FROM \"s\".\"t\" AS t \
             WHERE t.tableoid NOT IN (7, 8) ORDER BY t.\"a\" DESC, t.\"b\" DESC LIMIT 1) TO STDOUT"
        );
    }

    #[test]
    fn several_columns_are_compared_as_a_row() {
        let key = [column("a", "integer", "pg_catalog"), column("b", "text", "pg_catalog")];
        assert_eq!(
            behind(&key, &bytes(&["1", "it's"])),
            "ROW(t.\"a\", t.\"b\") OPERATOR(\"pg_catalog\".>) ROW('1'::integer, 'it''s'::text)"
        );
    }

    #[test]
    fn operators_of_several_schemas_are_taken_one_by_one() {
        let key = [column("a", "integer", "pg_catalog"), column("b", "x.citext", "x")];
        assert_eq!(
            behind(&key, &bytes(&["1", "b"])),
            "(t.\"a\" OPERATOR(\"pg_catalog\".>) '1'::integer \
             OR (t.\"a\" OPERATOR(\"pg_catalog\".=) '1'::integer \
             AND (t.\"b\" OPERATOR(\"x\".>) 'b'::x.citext)))"
        );
    }

    #[test]
    fn what_is_not_utf_8_is_told_by_its_bytes() {
        assert_eq!(literal(b"a\xE9"), "E'\\x61\\xe9'");
        assert_eq!(literal(b"a\\b"), " E'a\\\\b'");
    }
}
