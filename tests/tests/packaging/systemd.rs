//! The unit of systemd.

use std::collections::BTreeMap;
use std::process::Command;

use super::files::text;
use super::worker::assert_takes;

const FILE: &str = "deploy/systemd/bemi-worker.service";

/// What the unit says, line by line.
fn settings() -> Vec<(String, String)> {
    let unit = text(FILE);
    let lines = unit.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn all(name: &str) -> Vec<String> {
    settings().into_iter().filter(|(of, _)| of == name).map(|(_, value)| value).collect()
}

#[tokio::test]
async fn the_worker_takes_what_it_is_told() {
    let start = all("ExecStart").remove(0);
    let arguments: Vec<_> = start.split(' ').skip(1).map(ToOwned::to_owned).collect();
    let pairs = all("Environment");
    let environment: BTreeMap<_, _> = pairs
        .iter()
        .map(|pair| pair.split_once('=').unwrap())
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    assert_takes(&arguments, &environment).await;
    // Where systemd puts what it passes on.
    let (credential, _) = all("LoadCredential")
        .remove(0)
        .split_once(':')
        .map(|(a, b)| (a.to_owned(), b.to_owned()))
        .unwrap();
    assert_eq!(environment["DB_PASSWORD_FILE"], format!("%d/{credential}"));
}

/// What trying again does not mend is not tried again, and nothing else ends for good.
#[test]
fn it_starts_again_but_for_what_that_does_not_mend() {
    assert_eq!(all("Restart"), ["always"]);
    assert_eq!(all("RestartPreventExitStatus"), ["2 3"]);
    assert_eq!(all("StartLimitIntervalSec"), ["0"]);
}

/// By systemd itself, where it is installed.
#[test]
fn systemd_takes_the_unit_and_finds_it_hardened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bemi-worker.service");
    // It looks whether the program is there.
    std::fs::write(&path, text(FILE).replace("/usr/local/bin/bemi-worker", "/bin/sh")).unwrap();
    let analyze =
        |arguments: &[&str]| Command::new("systemd-analyze").args(arguments).arg(&path).output();
    let Ok(verified) = analyze(&["verify", "--man=no"]) else {
        eprintln!("not checked: there is no systemd-analyze on this machine");
        return;
    };
    let complaints = String::from_utf8_lossy(&verified.stderr);
    let own = complaints.lines().filter(|line| line.contains("bemi-worker.service"));
    assert_eq!(own.collect::<Vec<_>>(), Vec::<&str>::new());
    // In tenths: 0 is a service that may do nothing at all, 100 one that may do everything.
    let secured = analyze(&["security", "--offline=yes", "--threshold=20"]).unwrap();
    let told = String::from_utf8_lossy(&secured.stdout);
    assert!(secured.status.success(), "{told}\n{}", String::from_utf8_lossy(&secured.stderr));
}
