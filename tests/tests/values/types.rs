//! The types that the server has, as its catalog describes them.

use std::collections::HashMap;

use tokio_postgres::{Client, Row};

/// A type of the server's.
pub(crate) struct DataType {
    pub(crate) oid: u32,
    /// With its schema, quoted.
    pub(crate) name: String,
    /// As in the catalog.
    pub(crate) bare_name: String,
    pub(crate) shape: Shape,
    /// Whether `to_jsonb` runs a function for it that somebody defined, and that is not the one of hstore.
    pub(crate) is_cast_to_json: bool,
}

/// What a type is made of.
pub(crate) enum Shape {
    Base,
    Pseudo,
    Enum { labels: Vec<String> },
    Domain { base: Part },
    Array { element: u32, delimiter: String },
    Composite { attributes: Vec<Part> },
    Range { subtype: u32 },
    Multirange { range: u32 },
}

/// A type inside another, or a column's, with its modifier: length, precision, fields; -1 is none.
#[derive(Clone, Copy)]
pub(crate) struct Part {
    pub(crate) oid: u32,
    pub(crate) modifier: i32,
}

/// All of them.
pub(crate) struct Types {
    by_oid: HashMap<u32, DataType>,
    /// By name: oids differ from server to server, and the same seed must draw the same.
    in_order: Vec<u32>,
}

/// Every type; of composites also those of tables, but not those of this test's own tables.
const TYPES: &str = "\
SELECT t.oid, quote_ident(n.nspname) || '.' || quote_ident(t.typname), t.typname::text, t.typtype::text, \
       t.typbasetype, \
       CASE WHEN t.typsubscript = 'array_subscript_handler'::regproc \
                 AND t.typname NOT IN ('int2vector', 'oidvector') THEN t.typelem ELSE 0 END, \
       (SELECT e.typdelim::text FROM pg_type e WHERE e.oid = t.typelem), \
       ARRAY(SELECT e.enumlabel::text FROM pg_enum e WHERE e.enumtypid = t.oid ORDER BY e.enumsortorder), \
       ARRAY(SELECT a.atttypid FROM pg_attribute a \
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum), \
       coalesce((SELECT r.rngsubtype FROM pg_range r WHERE r.rngtypid = t.oid), 0), \
       coalesce((SELECT r.rngtypid FROM pg_range r WHERE r.rngmultitypid = t.oid), 0), \
       t.oid >= 16384 AND t.typname <> 'hstore' AND EXISTS ( \
             SELECT FROM pg_cast c WHERE c.castsource = t.oid AND c.casttarget = 'json'::regtype \
                 AND c.castmethod = 'f'), \
       t.typtypmod, \
       ARRAY(SELECT a.atttypmod FROM pg_attribute a \
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum) \
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace \
WHERE n.nspname NOT IN ('pg_toast', 'truth', 'bemi') \
ORDER BY n.nspname COLLATE \"C\", t.typname COLLATE \"C\"";

impl Types {
    pub(crate) async fn read(client: &Client) -> Self {
        let rows = client.query(TYPES, &[]).await.unwrap();
        let types: Vec<_> = rows.iter().map(DataType::read).collect();
        let in_order = types.iter().map(|data_type| data_type.oid).collect();
        let by_oid = types.into_iter().map(|data_type| (data_type.oid, data_type)).collect();
        Self { by_oid, in_order }
    }

    pub(crate) fn get(&self, oid: u32) -> &DataType {
        self.by_oid.get(&oid).unwrap_or_else(|| panic!("type {oid} is in the catalog"))
    }

    /// In order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &DataType> {
        self.in_order.iter().map(|oid| self.get(*oid))
    }

    /// Why a column cannot be of this type, or must not be here.
    pub(crate) fn why_no_column(&self, oid: u32) -> Option<&'static str> {
        if matches!(self.get(oid).shape, Shape::Pseudo) {
            return Some("pseudo-types are for functions, and the server refuses them as columns");
        }
        if self
            .parts(oid)
            .iter()
            .any(|part| self.holds(*part, &|part| matches!(part.shape, Shape::Pseudo)))
        {
            return Some("has an attribute of a pseudo-type");
        }
        let is_made_of_others = !matches!(self.get(oid).shape, Shape::Domain { .. });
        if is_made_of_others
            && self.parts(oid).iter().any(|part| self.holds(*part, &|part| part.is_cast_to_json))
        {
            return Some("holds a type that has a cast to json: see `marked`");
        }
        None
    }

    /// The types that this one is made of.
    pub(crate) fn parts(&self, oid: u32) -> Vec<u32> {
        match &self.get(oid).shape {
            Shape::Domain { base } => vec![base.oid],
            Shape::Array { element: part, .. }
            | Shape::Range { subtype: part }
            | Shape::Multirange { range: part } => vec![*part],
            Shape::Composite { attributes } => attributes.iter().map(|part| part.oid).collect(),
            Shape::Base | Shape::Pseudo | Shape::Enum { .. } => Vec::new(),
        }
    }

    /// Whether a type is, or is made of, one that `what` says yes to.
    pub(crate) fn holds(&self, oid: u32, what: &dyn Fn(&DataType) -> bool) -> bool {
        what(self.get(oid)) || self.parts(oid).into_iter().any(|part| self.holds(part, what))
    }

    /// What a domain is over; any other type is itself.
    pub(crate) fn base_of(&self, oid: u32) -> &DataType {
        match self.get(oid).shape {
            Shape::Domain { base } => self.base_of(base.oid),
            _ => self.get(oid),
        }
    }
}

impl DataType {
    fn read(row: &Row) -> Self {
        let (kind, element): (&str, u32) = (row.get(3), row.get(5));
        let shape = match kind {
            "p" => Shape::Pseudo,
            "e" => Shape::Enum { labels: row.get(7) },
            "d" => Shape::Domain { base: Part { oid: row.get(4), modifier: row.get(12) } },
            "c" => {
                let (oids, modifiers): (Vec<u32>, Vec<i32>) = (row.get(8), row.get(13));
                let attributes = oids.into_iter().zip(modifiers);
                Shape::Composite {
                    attributes: attributes.map(|(oid, modifier)| Part { oid, modifier }).collect(),
                }
            }
            "r" => Shape::Range { subtype: row.get(9) },
            "m" => Shape::Multirange { range: row.get(10) },
            "b" if element != 0 => Shape::Array { element, delimiter: row.get(6) },
            "b" => Shape::Base,
            _ => panic!("no generator for the kind {kind:?} of type {}", row.get::<_, &str>(1)),
        };
        Self {
            oid: row.get(0),
            name: row.get(1),
            bare_name: row.get(2),
            shape,
            is_cast_to_json: row.get(11),
        }
    }
}
