//! What the pack asks of `changes` as it stands there: the history of a record, what became of its
//! fields, who did how much.

use bemi_core::record::sql_text;

use super::object::{Function, Object};

pub(super) fn objects(changes: &str) -> Vec<Object> {
    let history = HISTORY_OF
        .body
        .replace("{of_record}", &sql_text::history_condition())
        .replace("{changes}", changes);
    vec![
        TABLE_NAMED.over(changes),
        HISTORY_OF.with_body(&history),
        HISTORY.over(changes),
        FIELD_CHANGES.over(changes),
        ACTIVITY.over(changes),
        Object::view(
            "activity",
            "activity",
            "Who changed what, day by day, over the last 30 days: bemi.activity() as a view.",
        ),
    ]
}

const TABLE_NAMED: Function = Function {
    name: "table_named",
    types: "text",
    declaration: "(name text) RETURNS text[]",
    attributes: "plpgsql STABLE STRICT",
    body: include_str!("table_named.sql"),
    comment: "Schema and table of a name as SQL writes it; an error where the record has no such table.",
    is_open: true,
};

const HISTORY_OF: Function = Function {
    name: "history_of",
    types: "text, text, text",
    // In the order of the parameters of the condition.
    declaration: "(\"table\" text, schema text, key text) RETURNS TABLE (id uuid, \
                  committed_at timestamptz, operation text, primary_key text, previous_key text, \
                  before jsonb, after jsonb, context jsonb, transaction_id bigint, \
                  commit_position bigint, sequence bigint, before_complete boolean, unavailable text[])",
    attributes: "sql STABLE",
    body: "
    SELECT c.id, c.committed_at, c.operation, c.primary_key, c.previous_key, c.before, c.after, c.context,
           c.transaction_id, c.commit_position, c.sequence, c.before_complete, c.unavailable
    FROM {changes} AS c
    WHERE {of_record}
    ORDER BY c.commit_position DESC, c.sequence DESC
",
    comment: "The changes of a row, the newest first; both names as the catalog has them.",
    is_open: true,
};

const HISTORY: Function = Function {
    name: "history",
    types: "text, text",
    declaration: "(\"table\" text, key text) RETURNS TABLE (id uuid, committed_at timestamptz, \
                  operation text, primary_key text, previous_key text, before jsonb, after jsonb, \
                  context jsonb, transaction_id bigint, commit_position bigint, sequence bigint, \
                  before_complete boolean, unavailable text[])",
    attributes: "sql STABLE",
    body: "
    SELECT h.*
    FROM (SELECT bemi.table_named($1) OFFSET 0) AS t (name)
    CROSS JOIN LATERAL bemi.history_of(t.name[2], t.name[1], $2) AS h
    ORDER BY h.commit_position DESC, h.sequence DESC
",
    comment: "The changes of the row with this key, also those by which it got the key or gave it up, and \
              each TRUNCATE; the newest first.",
    is_open: true,
};

const FIELD_CHANGES: Function = Function {
    name: "field_changes",
    types: "text, text",
    declaration: "(\"table\" text, key text) RETURNS TABLE (committed_at timestamptz, operation text, \
                  \"column\" text, old jsonb, new jsonb, context jsonb, id uuid)",
    attributes: "sql STABLE",
    body: include_str!("field_changes.sql"),
    comment: "What became of each field of the row with this key, the newest first. A value that the \
              record does not tell, or where there was no row, is an SQL NULL; a NULL in the row is the \
              JSON null.",
    is_open: true,
};

const ACTIVITY: Function = Function {
    name: "activity",
    types: "text, text, timestamp with time zone, timestamp with time zone",
    declaration: "(by text DEFAULT 'user_id', per text DEFAULT 'day', \
                  since timestamptz DEFAULT now() - interval '30 days', \
                  until timestamptz DEFAULT 'infinity') RETURNS TABLE (period timestamptz, who text, \
                  schema text, \"table\" text, operation text, changes bigint, transactions bigint)",
    attributes: "sql STABLE",
    body: include_str!("activity.sql"),
    comment: "Who changed what, and how often: counts by period, by a key of the context, by table and by \
              operation. `by` may be a path with dots; `per` is what date_trunc takes.",
    is_open: true,
};
