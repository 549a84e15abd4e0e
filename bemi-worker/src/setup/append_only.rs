//! That rows of `changes` are only ever added: triggers that refuse to change, remove or empty them.
//!
//! Privileges are the first line: nobody but the owner is given UPDATE, DELETE or TRUNCATE. This is the
//! second one, for the owner, for superusers, and for roles that somebody has given too much. It costs
//! storing nothing: no trigger looks at INSERT or COPY.
//!
//! What must change rows all the same, retention and erasure, lifts the guard in its own transaction with
//! [`LIFT`], as a role that has the rights of the table's owner; of others it is refused even then. A
//! function that a lesser role is to call so must be SECURITY DEFINER, and belong to the owner. To attach,
//! detach or drop a partition needs no lifting: these are the owner's anyway. A plain table that is to be
//! attached to another one has to lose the trigger first, by [`remove`]: it gets that of its new parent.
//!
//! What it does not stop: an owner or a superuser who lifts it, disables it or drops it. That is what
//! the chain over what is stored is for, which shows it.

use bemi_core::changes_table::TABLE;
use postgres_protocol::escape::escape_identifier;

/// Lifts the guard until the end of the transaction, for a role with the rights of the table's owner.
#[allow(dead_code, reason = "for retention and erasure, which are made at the same time")]
pub(crate) const LIFT: &str = "SET LOCAL bemi.append_only = 'off'";

/// The trigger that looks at each row: partitions have it, too.
pub(crate) const ROW_TRIGGER: &str = "bemi_append_only";

/// The one against TRUNCATE, which has no rows to look at.
pub(crate) const TRUNCATE_TRIGGER: &str = "bemi_append_only_truncate";

/// The name of the function in schema `bemi`.
pub(crate) const FUNCTION: &str = "refuse_change";

/// Its text, by which it is known again.
pub(crate) const BODY: &str = "
BEGIN
    IF pg_catalog.current_setting('bemi.append_only', true) = 'off' AND pg_catalog.pg_has_role(
        current_user, (SELECT relowner FROM pg_catalog.pg_class WHERE oid = TG_RELID), 'USAGE')
    THEN
        IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
        RETURN NEW;
    END IF;
    RAISE EXCEPTION '% of %.% is refused: what is stored is never changed', TG_OP,
            pg_catalog.quote_ident(TG_TABLE_SCHEMA), pg_catalog.quote_ident(TG_TABLE_NAME)
        USING ERRCODE = 'insufficient_privilege',
              HINT = 'Old changes go by retention, and those of a person by bemi-worker erase.';
END
";

/// Guards `changes` in this schema. Schema `bemi` and the table are there.
pub(crate) fn create(schema: &str) -> Vec<String> {
    let table = table(schema);
    vec![
        format!(
            "CREATE OR REPLACE FUNCTION bemi.{FUNCTION}() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $bemi${BODY}$bemi$"
        ),
        // Nobody calls a trigger's function but the table.
        format!("REVOKE ALL ON FUNCTION bemi.{FUNCTION}() FROM PUBLIC"),
        format!(
            "CREATE OR REPLACE TRIGGER {ROW_TRIGGER} BEFORE UPDATE OR DELETE ON {table} \
             FOR EACH ROW EXECUTE FUNCTION bemi.{FUNCTION}()"
        ),
        format!(
            "CREATE OR REPLACE TRIGGER {TRUNCATE_TRIGGER} BEFORE TRUNCATE ON {table} \
             FOR EACH STATEMENT EXECUTE FUNCTION bemi.{FUNCTION}()"
        ),
    ]
}

/// Takes the guard off a table, whose name is [as SQL has it](table).
pub(crate) fn remove(table: &str) -> Vec<String> {
    vec![
        format!("DROP TRIGGER IF EXISTS {ROW_TRIGGER} ON {table}"),
        format!("DROP TRIGGER IF EXISTS {TRUNCATE_TRIGGER} ON {table}"),
    ]
}

/// Drops the function, once no table is guarded any more.
pub(crate) fn drop_function() -> String {
    format!("DROP FUNCTION IF EXISTS bemi.{FUNCTION}()")
}

/// The table in this schema, as SQL has it.
pub(crate) fn table(schema: &str) -> String {
    format!("{}.{}", escape_identifier(schema), escape_identifier(TABLE))
}
