//! What was there: the rows of a table as of a point, as JSON, in one database and in two.
//!
//! The statement that tells is the core's own, as it stands there; around it is what SQL has to say
//! where the record does not tell.

use bemi_core::record::sql_text;

use super::object::{Function, Object};

pub(super) fn objects(changes: &str) -> Vec<Object> {
    let texts = [
        ("{facts}", sql_text::as_of_facts(changes)),
        ("{nearest}", sql_text::as_of_nearest(changes)),
        ("{all}", sql_text::as_of(changes)),
        ("{coverage}", sql_text::coverage(changes)),
        ("{changes}", changes.to_owned()),
    ];
    let filled = |function: &Function| {
        let body = texts
            .iter()
            .fold(function.body.to_owned(), |body, (name, text)| body.replace(name, text));
        function.with_body(&body)
    };
    let mut objects: Vec<Object> =
        [TOLD, IS_WHOLE, REASON, ROWS_AS_OF, ROW_AS_OF, DIFF, COVERED].iter().map(filled).collect();
    objects.push(Object::view(
        "coverage",
        "covered",
        "How far back the record goes, table by table: bemi.covered() as a view.",
    ));
    objects
}

// Plans for these very values: a statement is for one row as well as for all. What such statements cost
// is guessed too high, and compiling them would take longer than running them.
const TOLD: Function = Function {
    name: "told",
    types: "text, text, text, text, text, text",
    declaration: "(slot text, database text, schema text, \"table\" text, \"position\" text, keys text) \
                  RETURNS TABLE (key text, state text, \"row\" jsonb, why jsonb)",
    attributes: "plpgsql STABLE ROWS 10000 SET jit = off",
    body: include_str!("told.sql"),
    comment: "What the record tells of the rows of a table as of a commit position; of these keys, a JSON \
              array, or of all.",
    is_open: true,
};

const IS_WHOLE: Function = Function {
    name: "is_whole",
    types: "text, text, text, text, text",
    declaration: "(slot text, database text, schema text, \"table\" text, \"position\" text) \
                  RETURNS boolean",
    attributes: "plpgsql STABLE SET jit = off",
    body: "
DECLARE
    is_complete boolean;
BEGIN
    EXECUTE $told$SELECT f.is_complete FROM ({facts}) AS f$told$ INTO is_complete USING $1, $2, $3, $4, $5;
    RETURN is_complete;
END
",
    comment: "Whether a key that the record does not tell of was of no row.",
    is_open: true,
};

const REASON: Function = Function {
    name: "reason",
    types: "jsonb",
    declaration: "(why jsonb) RETURNS text",
    attributes: "sql IMMUTABLE STRICT",
    body: include_str!("reason.sql"),
    comment: "Why the record does not tell, in words.",
    is_open: true,
};

const ROWS_AS_OF: Function = Function {
    name: "rows_as_of",
    types: "text, text",
    declaration: "(\"table\" text, point text) RETURNS TABLE (primary_key text, status text, \
                  \"row\" jsonb, reason text)",
    attributes: "plpgsql VOLATILE ROWS 10000",
    body: include_str!("rows_as_of.sql"),
    comment: "The rows of a table as of a point, with the columns of that time: `present`, or `unknown` with \
              the reason. Where there may be more rows than the record knows of, one without a key says so.",
    is_open: true,
};

const ROW_AS_OF: Function = Function {
    name: "row_as_of",
    types: "text, text, text",
    declaration: "(\"table\" text, key text, point text) RETURNS TABLE (status text, \"row\" jsonb, \
                  reason text)",
    attributes: "plpgsql VOLATILE ROWS 1",
    body: include_str!("row_as_of.sql"),
    comment: "The row with this key as of a point: `present`, `absent`, or `unknown` with the reason.",
    is_open: true,
};

const DIFF: Function = Function {
    name: "diff",
    types: "text, text, text",
    declaration: "(\"table\" text, from_point text, to_point text) RETURNS TABLE (primary_key text, \
                  before jsonb, after jsonb, reason text)",
    attributes: "plpgsql VOLATILE ROWS 1000",
    body: include_str!("diff.sql"),
    comment: "The rows of a table that differ between two points. A row that was not there is an SQL NULL; \
              where the record does not tell, `reason` says why.",
    is_open: true,
};

const COVERED: Function = Function {
    name: "covered",
    types: "",
    declaration: "() RETURNS TABLE (schema text, \"table\" text, since timestamptz, \
                  complete_since timestamptz, identity text, holes jsonb)",
    attributes: "plpgsql STABLE ROWS 100 SET jit = off",
    body: include_str!("covered.sql"),
    comment: "How far back the record goes, table by table: since when all changes are in it, since when all \
              rows are known, how much changes tell of the row before, and where something is missing.",
    is_open: true,
};
