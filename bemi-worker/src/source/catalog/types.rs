//! What types are made of.
//!
//! Of these facts, one kind can change while a type keeps its oid: the attributes of a composite,
//! which may be a table's row. What an enum, a domain, an array or a range is stays as it is.

use std::collections::HashMap;
use std::sync::Arc;

use bemi_core::TransactionId;
use tokio_postgres::{Error, Row};
use tracing::warn;

use super::ids;
use super::validity::{Moment, Readings, Versions, stretch};
use crate::render::{Dated, Kind, Stretch};

/// Types nest in types, but not this deep.
const DEPTH_MAX: usize = 32;

/// The types with the oids $1, and all that they are made of. Of a composite's creation, the one row is
/// told that nothing alters: that its relation and its type belong together.
pub(super) const TYPES: &str = "\
WITH RECURSIVE part (oid) AS (
    SELECT unnest($1::oid[])
    UNION
    SELECT inner_type.oid
    FROM part JOIN pg_catalog.pg_type t ON t.oid = part.oid,
         LATERAL (SELECT t.typbasetype
                  UNION ALL
                  SELECT t.typelem
                  WHERE t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc
                  UNION ALL
                  SELECT a.atttypid FROM pg_catalog.pg_attribute a
                  WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
         ) AS inner_type (oid)
    WHERE inner_type.oid <> 0
)
SELECT t.oid, t.typtype::text, t.typbasetype,
       CASE WHEN t.typsubscript = 'pg_catalog.array_subscript_handler'::pg_catalog.regproc
            THEN t.typelem ELSE 0 END,
       (SELECT e.typdelim::text FROM pg_catalog.pg_type e WHERE e.oid = t.typelem),
       t.typname = 'hstore' AND EXISTS (
             SELECT FROM pg_catalog.pg_depend d
             JOIN pg_catalog.pg_extension x ON x.oid = d.refobjid
             WHERE d.classid = 'pg_catalog.pg_type'::pg_catalog.regclass AND d.objid = t.oid
               AND d.refclassid = 'pg_catalog.pg_extension'::pg_catalog.regclass
               AND d.deptype = 'e' AND x.extname = 'hstore'),
       pg_catalog.format_type(t.oid, NULL), t.typrelid,
       ARRAY(SELECT a.attname::text FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 ORDER BY a.attnum),
       ARRAY(SELECT CASE WHEN a.attisdropped THEN 0 ELSE a.atttypid END
             FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 ORDER BY a.attnum),
       ARRAY(SELECT a.xmin::text::bigint FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 ORDER BY a.attnum),
       ARRAY(SELECT CASE WHEN a.xmax::text = '0' THEN a.cmin::text::bigint END
             FROM pg_catalog.pg_attribute a
             WHERE a.attrelid = t.typrelid AND a.attnum > 0 ORDER BY a.attnum),
       created.by, created.command,
       -- What `to_jsonb` goes by: a function, and a type that is not built in.
       t.oid >= 16384 AND EXISTS (
             SELECT FROM pg_catalog.pg_cast c
             WHERE c.castsource = t.oid AND c.casttarget = 'pg_catalog.json'::pg_catalog.regtype
               AND c.castmethod = 'f')
FROM part
-- One by one: the server takes them to be many, and would read every type that there is.
CROSS JOIN LATERAL (SELECT * FROM pg_catalog.pg_type t WHERE t.oid = part.oid OFFSET 0) AS t
LEFT JOIN LATERAL (
    SELECT d.xmin::text::bigint AS by, d.cmin::text::bigint AS command
    FROM pg_catalog.pg_depend d
    WHERE d.deptype = 'i' AND d.objsubid = 0 AND d.refobjsubid = 0 AND t.typrelid <> 0
      AND (d.classid, d.objid, d.refclassid, d.refobjid) IN (
          ('pg_catalog.pg_class'::pg_catalog.regclass, t.typrelid,
           'pg_catalog.pg_type'::pg_catalog.regclass, t.oid),
          ('pg_catalog.pg_type'::pg_catalog.regclass, t.oid,
           'pg_catalog.pg_class'::pg_catalog.regclass, t.typrelid))
    LIMIT 1
) AS created ON true";

/// A type, as the catalog describes it.
enum Type {
    Domain {
        base: u32,
    },
    Array {
        element: u32,
        delimiter: u8,
    },
    Composite {
        /// Names and types; those that were dropped are gone.
        attributes: Vec<(String, u32)>,
        holds: Stretch,
    },
    Hstore,
    /// `to_jsonb` casts it by a function.
    CastToJson,
    /// Written as its text.
    Scalar,
}

/// Types, as the catalog was at one moment.
#[derive(Default)]
pub(super) struct Types {
    described: HashMap<u32, Type>,
}

impl Types {
    /// Reads what [`TYPES`] returned.
    ///
    /// # Errors
    ///
    /// That it returned something else.
    pub(super) fn read(
        rows: &[Row],
        moment: &Moment,
        readings: &mut Readings,
    ) -> Result<Self, Error> {
        let mut types = Self::default();
        for row in rows {
            let kind: String = row.try_get(1)?;
            let element: u32 = row.try_get(3)?;
            let delimiter: Option<String> = row.try_get(4)?;
            let described = match kind.as_str() {
                "d" => Type::Domain { base: row.try_get(2)? },
                "c" => composite(row, moment, readings)?,
                _ if element != 0 => {
                    let delimiter = delimiter.and_then(|text| text.bytes().next()).unwrap_or(b',');
                    Type::Array { element, delimiter }
                }
                _ if row.try_get(5)? => Type::Hstore,
                _ if row.try_get(14)? => Type::CastToJson,
                _ => Type::Scalar,
            };
            types.described.insert(row.try_get(0)?, described);
        }
        Ok(types)
    }

    /// What becomes of a type's values, and where in the WAL.
    pub(super) fn kind(&self, oid: u32) -> Dated<Kind> {
        let mut holds = Stretch::ALWAYS;
        let kind = self.kind_within(oid, 0, &mut holds);
        Dated::new(kind, holds)
    }

    fn kind_within(&self, oid: u32, depth: usize, holds: &mut Stretch) -> Kind {
        if let Some(kind) = Kind::of_builtin(oid) {
            return kind;
        }
        if depth > DEPTH_MAX {
            return Kind::Unknown;
        }
        let mut inner = |oid: u32| self.kind_within(oid, depth + 1, holds);
        match self.described.get(&oid) {
            Some(Type::Domain { base }) => inner(*base),
            Some(Type::Array { element, delimiter }) => {
                Kind::Array { element: Arc::new(inner(*element)), delimiter: *delimiter }
            }
            Some(Type::Composite { attributes, holds: own }) => {
                let attributes = attributes
                    .iter()
                    .map(|(name, oid)| (name.clone(), Arc::new(inner(*oid))))
                    .collect();
                *holds = holds.and(*own);
                Kind::Composite { attributes }
            }
            Some(Type::Hstore) => Kind::Hstore,
            Some(Type::CastToJson) => Kind::CastToJson,
            Some(Type::Scalar) => Kind::Text,
            // Not there any more.
            None => Kind::Unknown,
        }
    }
}

fn composite(row: &Row, moment: &Moment, readings: &mut Readings) -> Result<Type, Error> {
    let (oid, name): (u32, String) = (row.try_get(0)?, row.try_get(6)?);
    let relation: u32 = row.try_get(7)?;
    let (names, types): (Vec<String>, Vec<u32>) = (row.try_get(8)?, row.try_get(9)?);
    let made_by = ids(row.try_get(10)?);
    let commands: Vec<Option<i64>> = row.try_get(11)?;
    let creation = match (row.try_get(12)?, row.try_get(13)?) {
        (Some(by), Some(command)) => Some(Creation { by: super::id(by), command }),
        _ => None,
    };
    let are_settled = creation.is_some_and(|creation| creation.made(&made_by, &commands))
        || made_by.iter().all(|id| moment.is_settled(*id));
    let finding = readings.note(oid, Versions { made_by, are_settled }, moment);
    if finding.is_alteration {
        warn!(
            r#type = name,
            "a composite type was altered, nobody knows where in the WAL; values of it up to {} are \
             kept as text",
            finding.since
        );
    }
    let attributes = names.into_iter().zip(types).filter(|(_, oid)| *oid != 0).collect();
    let holds = stretch(finding, moment.is_being_altered(relation), moment);
    Ok(Type::Composite { attributes, holds })
}

/// Which command of which transaction made a composite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Creation {
    by: TransactionId,
    command: i64,
}

impl Creation {
    /// Whether it made these versions of attributes, and nothing altered them since: not in the same
    /// transaction either, where somebody else's row of the type could be in between. A command is
    /// unknown where a transaction that was rolled back has written over it.
    ///
    /// Defaults are set by the command after. That is too early for any row: first, there has to be a
    /// table with a column of the type.
    fn made(self, made_by: &[TransactionId], commands: &[Option<i64>]) -> bool {
        let is_this = |command: &Option<i64>| {
            command.is_some_and(|command| (0..=1).contains(&(command - self.command)))
        };
        made_by.iter().all(|id| *id == self.by) && commands.iter().all(is_this)
    }
}

#[cfg(test)]
mod tests {
    use bemi_core::Lsn;

    use super::*;

    const CREATION: Creation = Creation { by: TransactionId(7), command: 4 };

    fn made(ids: &[u32], commands: &[Option<i64>]) -> bool {
        let ids: Vec<_> = ids.iter().copied().map(TransactionId).collect();
        CREATION.made(&ids, commands)
    }

    #[test]
    fn attributes_of_the_command_that_created_the_type_were_never_altered() {
        assert!(made(&[7, 7], &[Some(4), Some(4)]));
        assert!(made(&[7, 7], &[Some(4), Some(5)]), "it has a default");
        assert!(made(&[], &[]));
    }

    #[test]
    fn a_later_transaction_or_command_may_have_altered_them() {
        assert!(!made(&[7, 8], &[Some(4), Some(4)]));
        assert!(!made(&[7, 7], &[Some(4), Some(6)]));
        assert!(!made(&[7, 7], &[Some(4), None]), "written over");
        assert!(!made(&[7, 7], &[Some(4), Some(3)]));
    }

    fn types(holds: [(u32, Stretch); 2]) -> Types {
        let composite = |(oid, holds): (u32, Stretch), inner: u32| {
            (oid, Type::Composite { attributes: vec![("a".to_owned(), inner)], holds })
        };
        let described = [
            composite(holds[0], 23),
            composite(holds[1], 101),
            (101, Type::Array { element: 100, delimiter: b',' }),
            (103, Type::Domain { base: 102 }),
            (104, Type::Scalar),
        ];
        Types { described: described.into_iter().collect() }
    }

    #[test]
    fn a_kind_holds_where_all_composites_in_it_do() {
        let (inner, outer) =
            (Stretch::new(Lsn::new(10), Lsn::new(30)), Stretch::new(Lsn::new(20), Lsn::new(40)));
        let types = types([(100, inner), (102, outer)]);
        assert_eq!(types.kind(101).holds(), inner);
        for oid in [102, 103] {
            assert_eq!(types.kind(oid).holds(), inner.and(outer));
        }
        for oid in [23, 104, 999] {
            assert_eq!(types.kind(oid).holds(), Stretch::ALWAYS);
        }
        assert_eq!(*types.kind(999).anywhere(), Kind::Unknown, "it is gone");
    }
}
