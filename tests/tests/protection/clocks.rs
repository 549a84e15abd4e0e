//! Clocks that jump: that of the source, back by a day and ahead by a year, and that of the worker.
//!
//! A library that is loaded before all others tells a process the time with an offset, which a file says. It is
//! compiled by the tests, with the C compiler that links them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use bemi_tests::STORED_WITHIN;

use super::pair::{Pair, options};

const DAY: i64 = 24 * 60 * 60;

/// Nothing in here allocates: a server may ask for the time in a signal handler.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static long offset(void) {
    char text[32];
    const char *path = getenv("TEST_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0) return 0;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return 0;
    text[length] = 0;
    return strtol(text, 0, 10);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
    int failed = (int) syscall(SYS_clock_gettime, clock, time);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) time->tv_sec += offset();
    return failed;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    struct timespec now;
    (void) zone;
    clock_gettime(CLOCK_REALTIME, &now);
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *told) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (told) *told = now.tv_sec;
    return now.tv_sec;
}
"#;

/// A clock that can be set, and what a process needs to go by it.
struct Clock {
    folder: tempfile::TempDir,
}

impl Clock {
    /// None where there is no C compiler.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        // The server runs as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let clock = Self { folder };
        let source = clock.path("clock.c");
        fs::write(&source, LIBRARY).unwrap();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .args([clock.library(), source])
            .output()
            .ok()?;
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        clock.set(0);
        Some(clock)
    }

    /// Ahead by so many seconds.
    fn set(&self, seconds: i64) {
        // At once: a process that looks in between must not see half of it.
        let (new, place) = (self.path("new"), self.path("offset"));
        fs::write(&new, seconds.to_string()).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o644)).unwrap();
        fs::rename(new, place).unwrap();
    }

    fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [("LD_PRELOAD", self.library()), ("TEST_CLOCK", self.path("offset"))]
    }

    fn library(&self) -> PathBuf {
        self.path("clock.so")
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::new(self.folder.path()).join(name)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn commit_times_that_go_back_and_far_ahead_are_stored_in_the_order_of_commits() {
    let Some(clock) = Clock::new() else {
        eprintln!("skipped: there is no C compiler");
        return;
    };
    let mut source = options();
    for (name, value) in clock.environment() {
        source = source.environment(name, &value.display().to_string());
    }
    let pair = Pair::new(&source, &options()).await;
    let worker = pair.run(&[]).await;
    for (id, offset) in [(1, 0), (2, -DAY), (3, 400 * DAY), (4, -2 * DAY), (5, 0)] {
        clock.set(offset);
        pair.tracked.sql(&format!("INSERT INTO t VALUES ({id})")).await;
        pair.wait_for_key(&id.to_string()).await;
    }
    assert_eq!(pair.keys().await, ["1", "2", "3", "4", "5"]);
    let client = pair.changes.connect().await.unwrap();
    let sql = "SELECT (extract(epoch FROM committed_at - now()) / 86400)::int8 FROM changes \
               ORDER BY commit_position";
    let days: Vec<i64> =
        client.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    assert_eq!(days, [0, -1, 400, -2, 0], "as the source says it");
    assert_eq!(pair.gaps().await, []);
    worker.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_own_clock_jumps_goes_on() {
    let Some(clock) = Clock::new() else {
        eprintln!("skipped: there is no C compiler");
        return;
    };
    let pair = Pair::new(&options(), &options()).await;
    let mut command = pair.worker(&["run"]);
    for (name, value) in clock.environment() {
        command = command.env(name, value);
    }
    let mut worker = command.spawn();
    worker.wait_for_log("streaming").await;
    for (id, offset) in [(1, -DAY), (2, 400 * DAY), (3, -400 * DAY), (4, 0)] {
        clock.set(offset);
        pair.tracked.sql(&format!("INSERT INTO t VALUES ({id})")).await;
        pair.wait_for_key(&id.to_string()).await;
    }
    assert_eq!(pair.counts().await, (4, 4));
    assert!(!worker.stderr().contains("interrupted"), "{}", worker.stderr());
    worker.wait_for_log("streaming").await;
    worker.terminate();
    worker.wait(STORED_WITHIN).await.assert_code(0);
}
