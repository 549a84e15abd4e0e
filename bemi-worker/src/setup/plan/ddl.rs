//! The event triggers that record DDL, where it is asked for, or their removal.

use super::{Action, Plan, Side, forget, record};
use crate::setup::ddl::{self, DDL_TRIGGERS};
use crate::setup::inspect::{RecordKind, Source};
use crate::setup::rules::Rules;

pub(super) fn plan(source: &Source, rules: &Rules, plan: &mut Plan) {
    if !rules.records_ddl {
        drop(source, plan);
        return;
    }
    if source.ddl.is_current() {
        return;
    }
    if let Some(owner) = &source.untrusted_owner {
        plan.note(format!(
            "DDL is not recorded: schema bemi belongs to role {owner}, which event triggers with our \
             rights must not rely on; tear down and set up as a superuser"
        ));
        return;
    }
    let mut sql = ddl::create();
    sql.extend(DDL_TRIGGERS.iter().map(|t| record(RecordKind::EventTrigger, t.name, None)));
    plan.step(
        Side::Source,
        "create the event triggers that record DDL",
        Action::IfAllowed {
            sql,
            otherwise: format!(
                "DDL is not recorded: role {} may not create event triggers, which takes a superuser; \
                 run `bemi-worker setup --ddl` once as one",
                source.role.name
            ),
        },
    );
}

/// Drops what [`plan`] creates, if setup made it.
pub(crate) fn drop(source: &Source, plan: &mut Plan) {
    let made = DDL_TRIGGERS.iter().filter(|t| source.made(RecordKind::EventTrigger, t.name));
    let records: Vec<String> = made.map(|t| forget(RecordKind::EventTrigger, t.name)).collect();
    if !records.is_empty() {
        let sql = [ddl::drop(), records].concat();
        plan.source("drop the event triggers that record DDL", sql);
    }
}

/// The event triggers that bear the names of ours, and are not.
pub(super) fn strangers<'a>(
    source: &'a Source,
    rules: &'a Rules,
) -> impl Iterator<Item = &'static str> + 'a {
    DDL_TRIGGERS
        .iter()
        .filter(|_| rules.records_ddl)
        .map(|trigger| trigger.name)
        .filter(|name| source.ddl.triggers.contains_key(*name))
        .filter(|name| !source.made(RecordKind::EventTrigger, name))
}
