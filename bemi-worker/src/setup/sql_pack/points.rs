//! Points in time from SQL: whose changes it is about, up to where they are stored, and where a point
//! is among them. The meaning is that of `bemi_core::record::Point` and `Record::resolve`; tests hold
//! both to the same answers.

use bemi_core::{HEARTBEAT_PREFIX, SPACER_PREFIX};

use super::object::{Function, Object};

pub(super) fn objects(changes: &str) -> Vec<Object> {
    let caught_up =
        CAUGHT_UP.body.replace("{heartbeat}", HEARTBEAT_PREFIX).replace("{spacer}", SPACER_PREFIX);
    vec![
        IS_HERE.over(changes),
        FOLLOWED_SLOT.over(changes),
        CAUGHT_UP.with_body(&caught_up),
        MOMENT_OF.over(changes),
        POSITION_OF_INSTANT.over(changes),
        POSITION_OF.over(changes),
    ]
}

const IS_HERE: Function = Function {
    name: "is_here",
    types: "bemi.checkpoint",
    declaration: "(followed bemi.checkpoint) RETURNS boolean",
    attributes: "sql STABLE",
    body: "
    SELECT followed.database = current_database()
           AND followed.system_identifier = (SELECT s.system_identifier::text FROM pg_control_system() AS s)
",
    comment: "Whether the changes of a slot are stored in the database that they are of.",
    is_open: true,
};

const FOLLOWED_SLOT: Function = Function {
    name: "followed_slot",
    types: "",
    declaration: "() RETURNS bemi.checkpoint",
    attributes: "plpgsql VOLATILE",
    body: include_str!("followed_slot.sql"),
    comment: "The slot whose changes are asked about, and up to where they are stored.",
    is_open: true,
};

const CAUGHT_UP: Function = Function {
    name: "caught_up",
    types: "bigint, timestamp with time zone",
    declaration: "(position_wanted bigint, instant_wanted timestamptz) RETURNS bemi.checkpoint",
    attributes: "plpgsql VOLATILE",
    body: include_str!("caught_up.sql"),
    comment: "Waits until everything is stored that committed up to a position or an instant, at most for \
              as long as the setting bemi.wait says, 10 s if it says nothing.",
    is_open: true,
};

const MOMENT_OF: Function = Function {
    name: "moment_of",
    types: "uuid",
    declaration: "(id uuid) RETURNS timestamptz",
    attributes: "sql IMMUTABLE STRICT",
    body: "
    SELECT timestamptz '1970-01-01 00:00:00+00'
           + ('x' || left(replace(id::text, '-', ''), 12))::bit(48)::bigint * interval '1 millisecond'
",
    comment: "When the transaction of a change committed, to the millisecond, by which its id begins.",
    is_open: true,
};

const POSITION_OF_INSTANT: Function = Function {
    name: "position_of",
    types: "timestamp with time zone",
    declaration: "(instant timestamptz) RETURNS bigint",
    attributes: "plpgsql VOLATILE STRICT",
    body: include_str!("position_of_instant.sql"),
    comment: "The commit position of an instant: what had committed then has this one or a lower one.",
    is_open: true,
};

const POSITION_OF: Function = Function {
    name: "position_of",
    types: "text",
    declaration: "(point text) RETURNS bigint",
    attributes: "plpgsql VOLATILE STRICT",
    body: include_str!("position_of.sql"),
    comment: "The commit position of a point in time: an instant, -2h, now, @lsn:…, @tx:…, @change:…, \
              @before:…; waits until everything up to it is stored.",
    is_open: true,
};
