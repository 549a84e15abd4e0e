//! What doctor says of a database, read as a program reads it.

use std::collections::BTreeMap;

use bemi_tests::{Cluster, ClusterOptions, Output, Tracked, Wanted, WorkerCommand, shared_cluster};
use serde_json::Value;

/// The findings that are not ok, by code: the worst level of each, and all that is said.
#[derive(Debug)]
pub(crate) struct Examined {
    pub(crate) levels: BTreeMap<String, String>,
    pub(crate) said: String,
    pub(crate) code: Option<i32>,
}

impl Examined {
    pub(crate) fn level(&self, code: &str) -> Option<&str> {
        self.levels.get(code).map(String::as_str)
    }
}

/// Runs doctor on a database, and checks the form of what it says.
pub(crate) async fn examine(tracked: &Tracked) -> Examined {
    examined(tracked.worker(&["doctor", "--format", "json"])).await
}

pub(crate) async fn examined(command: WorkerCommand) -> Examined {
    read(&command.run_to_end().await)
}

pub(crate) fn read(output: &Output) -> Examined {
    let diagnosis: Value =
        serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}\n{output}"));
    let mut levels: BTreeMap<String, String> = BTreeMap::new();
    let mut said = String::new();
    for finding in diagnosis["findings"].as_array().unwrap() {
        let part = |name: &str| finding[name].as_str().unwrap().to_owned();
        let (code, level) = (part("code"), part("level"));
        assert_eq!(part("docs"), format!("docs/findings.md#{}", code.to_lowercase()));
        if level == "ok" {
            continue;
        }
        for name in ["what", "why", "fix"] {
            assert!(!part(name).is_empty(), "{finding}");
        }
        said.push_str(&format!("{code} {level} {}; {}\n", part("what"), part("fix")));
        let rank = |level: &str| ["note", "warn", "fail"].iter().position(|known| *known == level);
        let worst = levels.entry(code).or_insert_with(|| level.clone());
        if rank(&level) > rank(worst) {
            *worst = level;
        }
    }
    let has_failed = levels.values().any(|level| level == "fail");
    assert_eq!(output.code, Some(if has_failed { 3 } else { 0 }), "{output}");
    Examined { levels, said, code: output.code }
}

/// A cluster of the version under test, for faults that a whole server has.
pub(crate) fn cluster(settings: &[(&str, &str)]) -> Cluster {
    let major = shared_cluster().binaries().major();
    let options = ClusterOptions::new().wanted(Wanted::Major(major));
    let options = settings.iter().fold(options, |options, (name, value)| options.set(name, value));
    Cluster::start(&options).unwrap()
}

/// As `server_version_num` has it.
pub(crate) async fn version(tracked: &Tracked) -> i32 {
    tracked.value("SELECT current_setting('server_version_num')::int").await
}
