//! What the source's catalog says of the tables of a plan.
//!
//! Names of operators and types are as SQL has them, with their schemas: they mean the same whatever
//! the search path is.

use std::collections::HashMap;

use serde::Deserialize;

use super::RevertError;
use super::rules::Rules;
use crate::record::sql::identifier;
use crate::record::{Database, RecordError, Sql, TableName};

/// A table of the source.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Table {
    pub(super) oid: u32,
    schema: String,
    table: String,
    /// Rows are in its partitions.
    partitioned: bool,
    /// Whether policies hide rows from whoever asks.
    pub(super) hides_rows: bool,
    pub(super) columns: Vec<Column>,
    /// The columns of the primary key, else of the replica identity, in the order of the index.
    pub(super) key: Vec<String>,
    pub(super) uniques: Vec<Unique>,
}

/// A column of a table.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Column {
    pub(super) name: String,
    /// The type without its modifier, for casts.
    pub(super) cast: String,
    /// The type with its modifier, as it is declared.
    pub(super) declared: String,
    /// The type beneath its domains, with the modifier.
    pub(super) base: String,
    pub(super) not_null: bool,
    pub(super) generated: bool,
    /// `GENERATED ALWAYS AS IDENTITY`.
    pub(super) always: bool,
    /// Whether a row that is inserted without it gets something by itself.
    pub(super) fills_itself: bool,
    /// The text of what rows have that were there before the column; none where that is null or not
    /// told.
    pub(super) missing: Option<String>,
    pub(super) form: Form,
    /// The rules of setup.
    #[serde(skip)]
    pub(super) masked: bool,
    #[serde(skip)]
    pub(super) ignored: bool,
}

/// How the record has the values of a type.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Form {
    /// As `to_jsonb` does, and `jsonb_populate_record` gives it back.
    Plain,
    /// The same, unless `jsonb` cannot hold it; then as its text.
    Json,
    /// As an object, that only its extension's functions take back.
    Hstore,
    /// As its text.
    Text,
    /// As its text where that is so, which cannot be read back for certain: arrays and composites.
    Nested,
}

/// A unique index.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Unique {
    pub(super) name: String,
    pub(super) expressions: Vec<Expression>,
    pub(super) predicate: Option<String>,
    /// The columns that it is of; none where it is of expressions or partial, and all may count.
    pub(super) columns: Option<Vec<String>>,
    pub(super) nulls_equal: bool,
    pub(super) deferrable: Option<DeferrableConstraint>,
}

/// A column of an index, or an expression.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Expression {
    pub(super) sql: String,
    pub(super) equals: String,
}

/// A constraint that can be deferred.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(super) struct DeferrableConstraint {
    schema: String,
    name: String,
    pub(super) initially: bool,
}

/// A foreign key.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct ForeignKey {
    pub(super) name: String,
    pub(super) child: Relation,
    pub(super) parent: Relation,
    pub(super) columns: Vec<Link>,
    /// `NO ACTION`, both for DELETE and UPDATE: what it checks can be deferred.
    pub(super) no_action_on_delete: bool,
    pub(super) no_action_on_update: bool,
    pub(super) cascades_on_update: bool,
    pub(super) deferrable: Option<DeferrableConstraint>,
}

/// A table at an end of a foreign key.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Relation {
    pub(super) oid: u32,
    schema: String,
    table: String,
    partitioned: bool,
    /// The columns by which its rows are named.
    pub(super) key: Vec<String>,
}

/// A pair of columns of a foreign key.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Link {
    pub(super) child: String,
    pub(super) child_type: String,
    pub(super) parent: String,
    pub(super) parent_type: String,
    /// `parent = child`.
    pub(super) equals: String,
}

/// What there is to know of the tables of a plan.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) tables: Vec<Table>,
    by_name: HashMap<TableName, usize>,
    pub(super) foreign_keys: Vec<ForeignKey>,
}

impl Facts {
    /// Reads them. Tables that are gone are not among them.
    pub(super) async fn read<S: Database>(
        source: &mut S,
        names: &[TableName],
    ) -> Result<Self, RevertError<S::Error>> {
        let rules = Rules::read(source).await?;
        let mut sql = Sql::new(TABLES);
        let wanted = serde_json::to_string(names).map_err(unreadable)?;
        sql.push(" FROM jsonb_array_elements(");
        sql.bind(wanted);
        sql.push(TABLES_FROM);
        let mut tables: Vec<Table> = ask(source, &sql).await?;
        for table in &mut tables {
            let name = table.name();
            for column in &mut table.columns {
                column.masked = rules.mask(&name, &column.name);
                // A change of the key is never ignored.
                column.ignored =
                    rules.ignore(&name, &column.name) && !table.key.contains(&column.name);
            }
        }
        let oids: Vec<String> = tables.iter().map(|table| table.oid.to_string()).collect();
        let mut sql = Sql::new(FOREIGN_KEYS);
        sql.push("string_to_array(");
        sql.bind(oids.join(","));
        sql.push(FOREIGN_KEYS_WHERE);
        let foreign_keys = ask(source, &sql).await?;
        let by_name =
            tables.iter().enumerate().map(|(index, table)| (table.name(), index)).collect();
        Ok(Self { tables, by_name, foreign_keys })
    }

    /// The place of a table among them.
    pub(super) fn index(&self, name: &TableName) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The place of the table that is this relation, or that this is a partition of.
    pub(super) fn of_oid(&self, oid: u32) -> Option<usize> {
        self.tables.iter().position(|table| table.oid == oid)
    }
}

impl Table {
    pub(super) fn name(&self) -> TableName {
        TableName::new(&self.schema, &self.table)
    }

    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Whether rows can be found by their key alone at any moment: there is one, and it is checked at
    /// once.
    pub(super) fn key_is_certain(&self) -> bool {
        let of_key = |unique: &&Unique| unique.columns.as_ref() == Some(&self.key);
        !self.key.is_empty()
            && !self.uniques.iter().filter(of_key).any(|unique| unique.deferrable.is_some())
    }

    /// As FROM and UPDATE name it: tables that inherit from it are tables of their own.
    pub(super) fn only(&self) -> String {
        only(&self.schema, &self.table, self.partitioned)
    }

    /// As INSERT and types name it.
    pub(super) fn quoted(&self) -> String {
        self.name().quoted()
    }
}

impl Relation {
    pub(super) fn only(&self) -> String {
        only(&self.schema, &self.table, self.partitioned)
    }

    pub(super) fn name(&self) -> TableName {
        TableName::new(&self.schema, &self.table)
    }
}

impl DeferrableConstraint {
    /// As SQL names it.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", identifier(&self.schema), identifier(&self.name))
    }
}

fn only(schema: &str, table: &str, partitioned: bool) -> String {
    let only = if partitioned { "" } else { "ONLY " };
    format!("{only}{}.{}", identifier(schema), identifier(table))
}

async fn ask<S: Database, T: serde::de::DeserializeOwned>(
    source: &mut S,
    sql: &Sql,
) -> Result<Vec<T>, RevertError<S::Error>> {
    let failed = |source| RecordError::Database { doing: "read the catalog", source };
    let rows = source.query(sql).await.map_err(failed)?;
    let read: Result<Vec<T>, _> = rows.iter().map(|row| serde_json::from_str(row)).collect();
    Ok(read.map_err(unreadable)?)
}

pub(super) fn unreadable<E: std::error::Error>(source: serde_json::Error) -> RecordError<E> {
    RecordError::Unreadable { what: "the source", source }
}

/// `c` is the table, `n` its schema.
const TABLES: &str = r#"
SELECT jsonb_build_object(
    'oid', c.oid::bigint, 'schema', n.nspname, 'table', c.relname,
    'partitioned', c.relkind = 'p', 'hides_rows', row_security_active(c.oid),
    'key', coalesce((
        SELECT jsonb_agg(a.attname ORDER BY k.place)
        FROM (SELECT i.* FROM pg_index i
              WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident)
              ORDER BY i.indisprimary DESC LIMIT 1) i
        CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE k.place <= i.indnkeyatts), '[]'),
    'columns', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'name', a.attname,
            'cast', quote_ident(tn.nspname) || '.' || quote_ident(t.typname),
            'declared', format_type(a.atttypid, a.atttypmod),
            'base', (WITH RECURSIVE beneath AS (
                         SELECT t.oid, a.atttypmod AS modifier, t.typtype, t.typbasetype, t.typtypmod
                         UNION ALL
                         SELECT b.oid, beneath.typtypmod, b.typtype, b.typbasetype, b.typtypmod
                         FROM beneath JOIN pg_type b ON b.oid = beneath.typbasetype
                         WHERE beneath.typtype = 'd')
                     SELECT format_type(oid, modifier) FROM beneath WHERE typtype <> 'd'),
            'not_null', a.attnotnull OR (t.typtype = 'd' AND t.typnotnull),
            'generated', a.attgenerated <> '',
            'always', a.attidentity = 'a',
            'fills_itself', a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL,
            'missing', CASE WHEN a.atthasmissing
                            THEN to_jsonb((a.attmissingval::text::text[])[1]) END,
            'form', (WITH RECURSIVE beneath AS (
                         SELECT t.*, t.oid AS type_oid
                         UNION ALL
                         SELECT b.*, b.oid
                         FROM beneath JOIN pg_type b ON b.oid = beneath.typbasetype
                         WHERE beneath.typtype = 'd')
                     SELECT CASE
                         WHEN type_oid = 'json'::regtype THEN 'json'
                         WHEN typtype = 'c' OR typsubscript = 'array_subscript_handler'::regproc THEN 'nested'
                         WHEN typname = 'hstore' AND EXISTS (
                             SELECT FROM pg_depend d JOIN pg_extension x ON x.oid = d.refobjid
                             WHERE d.classid = 'pg_type'::regclass AND d.objid = type_oid
                               AND d.refclassid = 'pg_extension'::regclass
                               AND d.deptype = 'e' AND x.extname = 'hstore') THEN 'hstore'
                         WHEN type_oid >= 16384 AND EXISTS (
                             SELECT FROM pg_cast x
                             WHERE x.castsource = type_oid AND x.casttarget = 'json'::regtype
                               AND x.castmethod = 'f') THEN 'text'
                         ELSE 'plain' END
                     FROM beneath WHERE typtype <> 'd')
        ) ORDER BY a.attnum)
        FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
        JOIN pg_namespace tn ON tn.oid = t.typnamespace
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
    'uniques', coalesce((
        SELECT jsonb_agg(jsonb_build_object(
            'name', ic.relname,
            'predicate', pg_get_expr(i.indpred, i.indrelid),
            'nulls_equal', coalesce((to_jsonb(i) ->> 'indnullsnotdistinct')::boolean, false),
            'columns', CASE WHEN i.indpred IS NULL AND i.indexprs IS NULL THEN (
                SELECT jsonb_agg(a.attname ORDER BY k.place)
                FROM unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
                JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
                WHERE k.place <= i.indnkeyatts) END,
            'expressions', (
                SELECT jsonb_agg(jsonb_build_object(
                    'sql', pg_get_indexdef(i.indexrelid, k::int, true),
                    'equals', (SELECT format('OPERATOR(%I.%s)', opn.nspname, op.oprname)
                               FROM pg_opclass oc
                               JOIN pg_amop am ON am.amopfamily = oc.opcfamily AND am.amopstrategy = 3
                                   AND am.amoplefttype = oc.opcintype AND am.amoprighttype = oc.opcintype
                               JOIN pg_operator op ON op.oid = am.amopopr
                               JOIN pg_namespace opn ON opn.oid = op.oprnamespace
                               WHERE oc.oid = i.indclass[k - 1])
                ) ORDER BY k)
                FROM generate_series(1, i.indnkeyatts) AS k),
            'deferrable', (
                SELECT jsonb_build_object('schema', cn.nspname, 'name', x.conname, 'initially', x.condeferred)
                FROM pg_constraint x JOIN pg_namespace cn ON cn.oid = x.connamespace
                WHERE x.conindid = i.indexrelid AND x.conrelid = i.indrelid AND x.contype IN ('p', 'u')
                  AND x.condeferrable)
        ) ORDER BY ic.relname)
        FROM pg_index i JOIN pg_class ic ON ic.oid = i.indexrelid JOIN pg_am am ON am.oid = ic.relam
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indislive AND am.amname = 'btree'), '[]')
)::text"#;

const TABLES_FROM: &str = "::jsonb) AS w (name)
JOIN pg_namespace n ON n.nspname = w.name ->> 'schema'
JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name ->> 'table' AND c.relkind IN ('r', 'p')";

const FOREIGN_KEYS: &str = r#"
SELECT jsonb_build_object(
    'name', x.conname,
    'child', jsonb_build_object(
        'oid', x.conrelid::bigint, 'schema', cn.nspname, 'table', c.relname,
        'partitioned', c.relkind = 'p', 'key', coalesce(ck.key, '[]')),
    'parent', jsonb_build_object(
        'oid', x.confrelid::bigint, 'schema', pn.nspname, 'table', p.relname,
        'partitioned', p.relkind = 'p', 'key', '[]'::jsonb),
    'columns', (
        SELECT jsonb_agg(jsonb_build_object(
            'child', ca.attname, 'parent', pa.attname,
            'child_type', format_type(ca.atttypid, ca.atttypmod),
            'parent_type', format_type(pa.atttypid, pa.atttypmod),
            'equals', format('OPERATOR(%I.%s)', opn.nspname, op.oprname)) ORDER BY k)
        FROM generate_subscripts(x.conkey, 1) AS k
        JOIN pg_attribute ca ON ca.attrelid = x.conrelid AND ca.attnum = x.conkey[k]
        JOIN pg_attribute pa ON pa.attrelid = x.confrelid AND pa.attnum = x.confkey[k]
        JOIN pg_operator op ON op.oid = x.conpfeqop[k]
        JOIN pg_namespace opn ON opn.oid = op.oprnamespace),
    'no_action_on_delete', x.confdeltype = 'a', 'no_action_on_update', x.confupdtype = 'a',
    'cascades_on_update', x.confupdtype = 'c',
    'deferrable', CASE WHEN x.condeferrable THEN jsonb_build_object(
        'schema', xn.nspname, 'name', x.conname, 'initially', x.condeferred) END
)::text
FROM pg_constraint x
JOIN pg_namespace xn ON xn.oid = x.connamespace
JOIN pg_class c ON c.oid = x.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
JOIN pg_class p ON p.oid = x.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
LEFT JOIN LATERAL (
    SELECT jsonb_agg(a.attname ORDER BY k.place) AS key
    FROM (SELECT i.* FROM pg_index i
          WHERE i.indrelid = c.oid AND (i.indisprimary OR i.indisreplident)
          ORDER BY i.indisprimary DESC LIMIT 1) i
    CROSS JOIN unnest(i.indkey) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
    WHERE k.place <= i.indnkeyatts) ck ON true
CROSS JOIN LATERAL (SELECT "#;

const FOREIGN_KEYS_WHERE: &str = ", ',')::oid[] AS of_plan) w
WHERE x.contype = 'f' AND x.conparentid = 0
  AND (x.conrelid = ANY (w.of_plan) OR x.confrelid = ANY (w.of_plan))
ORDER BY x.conname, x.conrelid";
