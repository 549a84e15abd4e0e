//! The checks of how SQL itself says its context: `bemi.set_context`, and what takes the context of
//! PostgREST's requests.

use super::checks::{SETUP, Subject};
use super::finding::Diagnosis;
use crate::setup::functions::{CONTEXT_FUNCTIONS, REQUEST_FUNCTIONS};
use crate::setup::inspect::Member;
use crate::setup::plan;

pub(super) fn set_context(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let found = &subject.facts.found.source.context;
    if CONTEXT_FUNCTIONS.iter().all(|function| found.is_current(function)) {
        diagnosis.ok("B036", "SQL can say its context by bemi.set_context");
    } else {
        diagnosis.warn(
            "B036",
            "function bemi.set_context is missing, or of another version",
            "psql, migrations and other languages cannot say their context by it",
            "run `bemi-worker setup`, as the role that set up first",
        );
    }
}

/// What takes the context of requests, where setup was told to.
pub(super) fn request_triggers(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let Subject { facts, rules, .. } = subject;
    let source = &facts.found.source;
    if !rules.takes_requests {
        return;
    }
    let why = "changes there have no context when they come by PostgREST";
    let outdated = REQUEST_FUNCTIONS.iter().any(|function| !source.context.is_current(function));
    if outdated {
        diagnosis.warn(
            "B037",
            "the functions that take the context of PostgREST's requests are missing, or of another version",
            "what becomes of requests is not as this version says",
            SETUP,
        );
    }
    let missing: Vec<String> =
        plan::context::missing(source, rules).values().map(Member::name).collect();
    if !missing.is_empty() {
        diagnosis.warn(
            "B038",
            format!(
                "{}: without the trigger that takes the context of requests",
                missing.join(", ")
            ),
            why,
            SETUP,
        );
    }
    let disabled: Vec<&str> = source
        .context
        .triggers
        .values()
        .filter(|trigger| !trigger.is_enabled)
        .map(|trigger| trigger.table_name.as_str())
        .collect();
    if !disabled.is_empty() {
        diagnosis.warn(
            "B039",
            format!(
                "{}: the trigger that takes the context of requests is disabled",
                disabled.join(", ")
            ),
            why,
            "run ALTER TABLE … ENABLE TRIGGER \"!bemi_context\"",
        );
    }
    if !source.context.is_schema_open {
        diagnosis.warn(
            "B040",
            "not every role may use schema bemi",
            "requests of roles that may not leave an error in the place of their context",
            "run GRANT USAGE ON SCHEMA bemi TO PUBLIC, or to the roles that PostgREST takes on",
        );
    }
    if !outdated && missing.is_empty() && disabled.is_empty() {
        let count = source.context.triggers.len();
        diagnosis.ok("B038", format!("{count} tables take the context of PostgREST's requests"));
    }
}
