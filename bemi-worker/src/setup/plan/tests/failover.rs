//! What is planned about a slot that is to survive a failover.

use super::*;

fn steps(plan: &Plan) -> Vec<&Action> {
    let of_slots = |a: &&Action| matches!(a, Action::CreateSlot { .. } | Action::AlterSlot { .. });
    plan.steps.iter().map(|step| &step.action).filter(of_slots).collect()
}

/// A server of 17 on which setup has run.
fn seventeen() -> Found {
    let mut found = set_up(found(Vec::new()), "0/1", 100);
    found.source.version = 170_010;
    found
}

fn survives() -> SetupOptions {
    SetupOptions::new().failover(true)
}

#[test]
fn before_17_it_is_refused_with_what_it_takes() {
    let plan = plan_for(&survives(), &set_up(found(Vec::new()), "0/1", 100));
    assert!(problems(&plan).contains("17"), "{}", problems(&plan));
}

#[test]
fn a_slot_is_made_or_altered_to_survive_and_stays_so_when_it_is_made_again() {
    let mut found = seventeen();
    let plan = plan_for(&survives(), &found);
    assert_eq!(steps(&plan), [&Action::AlterSlot { failover: true }]);
    assert!(sql(&plan).contains("failover slot"), "{}", sql(&plan));

    let made = Record { kind: RecordKind::FailoverSlot, name: "bemi".to_owned(), former: None };
    found.source.installation.as_mut().unwrap().records.push(made);
    found.source.slot.as_mut().unwrap().is_failover = true;
    assert_eq!(steps(&plan_for(&SetupOptions::new(), &found)), [] as [&Action; 0]);

    found.source.slot = None;
    let again = plan_for(&SetupOptions::new().recreate_slot(true), &found);
    assert_eq!(steps(&again), [&Action::CreateSlot { drops_lost: false, failover: true }]);
}

#[test]
fn it_is_taken_back_when_told_and_what_somebody_else_has_set_stays() {
    let mut found = seventeen();
    found.source.slot.as_mut().unwrap().is_failover = true;
    assert_eq!(steps(&plan_for(&SetupOptions::new(), &found)), [] as [&Action; 0]);
    let plan = plan_for(&SetupOptions::new().failover(false), &found);
    assert_eq!(steps(&plan), [&Action::AlterSlot { failover: false }]);
}

#[test]
fn a_slot_that_a_worker_streams_from_is_not_altered() {
    let mut found = seventeen();
    found.source.slot.as_mut().unwrap().active_process = Some(4711);
    assert!(problems(&plan_for(&survives(), &found)).contains("stop the worker"));
}
