//! Each fault by its name, under the random workload: whatever befalls, what is stored is what was told.

use std::time::Duration;

use bemi_tests::StopMode;
use bemi_tests::faults::{Condition, Direction, Fault, Place, Plan, Side, WAL_SENDER_TIMEOUT};

/// Longer than the servers wait for a sign of life.
const OUTLASTING: Duration = Duration::from_millis(2_600);

/// No time to notice much.
const SHORT: Duration = Duration::from_millis(200);

/// Lets faults befall one after the other, on servers of their own.
async fn survives(place: Place, faults: &[Fault]) {
    assert!(OUTLASTING > WAL_SENDER_TIMEOUT);
    let pause = Duration::from_millis(400);
    let plan = Plan::of(place, faults.iter().map(|fault| (pause, *fault)).collect());
    let report = plan.run(std::path::Path::new("../target/faults")).await;
    assert!(report.problems.is_empty(), "{report}");
    assert!(report.changes > 0, "nobody wrote anything: {report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_at_any_time() {
    survives(Place::TwoClusters, &[Fault::KillWorker; 4]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_beside_the_database_it_stores_in() {
    survives(Place::OneDatabase, &[Fault::KillWorker, Fault::StopWorker, Fault::KillWorker]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_killed() {
    survives(Place::TwoClusters, &[Fault::Restart(Side::Destination, StopMode::Kill, SHORT); 2])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_is_killed_and_recovers_from_its_wal() {
    survives(Place::TwoClusters, &[Fault::Restart(Side::Source, StopMode::Kill, SHORT); 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_source_and_destination_and_is_killed() {
    survives(Place::OneDatabase, &[Fault::Restart(Side::Source, StopMode::Kill, SHORT); 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fast_and_immediate_restarts_of_both_servers() {
    let faults = [
        Fault::Restart(Side::Source, StopMode::Fast, SHORT),
        Fault::Restart(Side::Destination, StopMode::Fast, SHORT),
        Fault::Restart(Side::Source, StopMode::Immediate, SHORT),
        Fault::Restart(Side::Destination, StopMode::Immediate, SHORT),
    ];
    survives(Place::TwoClusters, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_cut_for_longer_than_the_source_waits() {
    for side in [Side::Source, Side::Destination] {
        survives(Place::TwoClusters, &[Fault::Cut(side, OUTLASTING)]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_swallows_everything_for_longer_than_the_source_waits() {
    let half_open =
        |side, direction| Fault::Network(side, direction, Condition::HalfOpen, OUTLASTING);
    let faults = [
        half_open(Side::Source, Direction::Both),
        half_open(Side::Destination, Direction::Both),
        half_open(Side::Source, Direction::ToServer),
        half_open(Side::Destination, Direction::ToClient),
    ];
    survives(Place::TwoClusters, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_that_are_reset() {
    let reset = |side, direction| Fault::Reset(side, direction, SHORT);
    let faults = [
        reset(Side::Source, Direction::Both),
        reset(Side::Destination, Direction::Both),
        reset(Side::Source, Direction::ToClient),
        reset(Side::Destination, Direction::ToServer),
    ];
    survives(Place::TwoClusters, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_is_late_and_slow() {
    let late = Condition::Latency(Duration::from_millis(60));
    let slow = Condition::BytesPerSecond(60_000);
    let faults = [
        Fault::Network(Side::Source, Direction::Both, late, OUTLASTING),
        Fault::Network(Side::Destination, Direction::Both, late, OUTLASTING),
        Fault::Network(Side::Source, Direction::ToClient, slow, OUTLASTING),
    ];
    survives(Place::TwoClusters, &faults).await;
}

/// As slow as this, it takes in ten seconds what the clients write in one.
#[tokio::test(flavor = "multi_thread")]
async fn a_destination_that_is_slower_than_the_source() {
    let slow = Condition::BytesPerSecond(30_000);
    let time = Duration::from_secs(10);
    let fault = Fault::Network(Side::Destination, Direction::ToServer, slow, time);
    survives(Place::TwoClusters, &[fault, Fault::KillWorker]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_workers_at_once() {
    let faults = [Fault::SecondWorker(OUTLASTING), Fault::KillWorker, Fault::SecondWorker(SHORT)];
    survives(Place::TwoClusters, &faults).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_paused_while_another_one_takes_over_and_then_goes_on() {
    survives(Place::TwoClusters, &[Fault::PauseWorker(OUTLASTING); 2]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_drawn_from_seeds() {
    for seed in [1, 2, 3] {
        let report = Plan::draw(seed, None).run(std::path::Path::new("../target/faults")).await;
        assert!(report.problems.is_empty(), "{report}");
    }
}
