//! What is planned where the original worker's installation is to be taken over.

use super::*;
use crate::setup::inspect::{ChangesTable, OriginalChanges};

fn slot(name: &str, is_lost: bool) -> (SlotName, SlotState) {
    let state = SlotState {
        plugin: "pgoutput".to_owned(),
        database: "shop".to_owned(),
        active_process: None,
        confirmed: Lsn::new(0x20),
        is_lost,
        invalidation: None,
        is_failover: false,
    };
    (name.parse().unwrap(), state)
}

/// A database with the table of the original worker, and these slots.
fn tracked_before(slots: Vec<(SlotName, SlotState)>) -> Found {
    let mut found = found(vec![table("public", "todo")]);
    found.destination.changes = Some(ChangesTable {
        is_table: true,
        is_adopted: false,
        columns: Vec::new(),
        key: vec!["id".to_owned()],
        indexes: Vec::new(),
    });
    found.original = Original {
        slots,
        publication: Some("dbz_publication".to_owned()),
        changes: Some(OriginalChanges {
            is_owned: true,
            constraints: vec!["changes_pkey".to_owned()],
            unique_indexes: Vec::new(),
            last: Some(Lsn::new(0x10)),
        }),
    };
    found
}

fn adopt(found: &Found, options: SetupOptions) -> Plan {
    plan(&options, &config(), found).unwrap()
}

#[test]
fn the_table_is_touched_when_the_slot_is_ours_and_theirs_goes_last() {
    let found = tracked_before(vec![slot("bemi_local", false)]);
    let plan = adopt(&found, all().adopt(None).drop_adopted_rest());
    assert!(plan.problems.0.is_empty(), "{}", problems(&plan));
    let steps: Vec<&str> = plan.steps.iter().map(|step| step.what.as_str()).collect();
    assert_eq!(
        steps[steps.len() - 8..],
        [
            "mark from where on the publications can be read",
            "go on from replication slot bemi_local",
            "bring public.changes into shape, with all its rows",
            "refuse UPDATE, DELETE and TRUNCATE of public.changes",
            "start the checkpoint where the slot is",
            "say in the stream that it is tracked: public.todo",
            "drop replication slot bemi_local",
            "drop publication dbz_publication",
        ]
    );
    let first_publication = steps.iter().position(|step| step.contains("publication")).unwrap();
    assert!(first_publication < steps.len() - 8, "the mark is behind them: {steps:?}");
}

#[test]
fn without_being_asked_nothing_of_it_is_touched() {
    let found = tracked_before(vec![slot("bemi_local", false)]);
    let plan = adopt(&found, all());
    assert!(problems(&plan).contains("take it over with --adopt"), "{}", problems(&plan));
    let kept = adopt(&found, all().adopt(None));
    assert!(!sql(&kept).contains("pg_drop_replication_slot"), "{}", sql(&kept));
    assert!(!sql(&kept).contains("DROP PUBLICATION \""), "{}", sql(&kept));
}

#[test]
fn a_slot_that_cannot_be_gone_on_from_is_told() {
    for (slots, says) in [
        (vec![], "no slot bemi_local or bemi"),
        (vec![slot("bemi_local", true)], "is lost"),
        (vec![slot("bemi", false)], "another name with --slot"),
        (vec![slot("bemi_local", false), slot("bemi", false)], "both bemi_local and bemi"),
    ] {
        let plan = adopt(&tracked_before(slots), all().adopt(None));
        assert!(problems(&plan).contains(says), "{}", problems(&plan));
    }
}

#[test]
fn without_a_slot_to_go_on_from_a_new_one_is_made_when_told_and_what_was_missed_is_a_gap() {
    for slots in [vec![], vec![slot("bemi_local", true)]] {
        let plan = adopt(&tracked_before(slots), all().adopt(None).recreate_slot(true));
        assert!(plan.problems.0.is_empty(), "{}", problems(&plan));
        let [create, start] = slot_steps(&plan)[..] else { panic!("{:?}", plan.steps) };
        assert_eq!(create, &Action::CreateSlot { drops_lost: false, failover: false });
        let Action::StartCheckpoint(Start::After { began, .. }) = start else {
            panic!("{start:?}");
        };
        assert_eq!(*began, Lsn::new(0x10));
    }
}

#[test]
fn one_that_was_killed_behind_the_slot_goes_on_and_knows_of_no_gap() {
    let before = tracked_before(vec![slot("bemi_local", false)]);
    let mut found = set_up(before, "0/20", 0x20);
    found.destination.checkpoint = None;
    let installation = found.source.installation.as_mut().unwrap();
    installation.records.push(Record {
        kind: RecordKind::OriginalSlot,
        name: "bemi_local".to_owned(),
        former: Some("0/18".to_owned()),
    });
    let plan = adopt(&found, all().adopt(None));
    assert_eq!(slot_steps(&plan), [&Action::StartCheckpoint(Start::Fresh)]);
    assert!(sql(&plan).contains("ADD COLUMN commit_position"), "{}", sql(&plan));
}
