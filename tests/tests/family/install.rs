//! Installs what a small application needs, once for each version of its lock file.
//!
//! Invariant: what is installed is what the lock file names, by its hash; no script of a package
//! runs while it is installed.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tokio::sync::Mutex;

/// Written last: what lacks it was not installed in full.
const MARK: &str = "installed";

/// What this run has installed. One at a time: registries are shared, and so is this machine.
static READY: Mutex<BTreeMap<String, PathBuf>> = Mutex::const_new(BTreeMap::new());

/// The folder of an application.
pub(crate) fn application(package: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("family").join(package)
}

/// A folder with the application and its `node_modules`, and what its script `generate` makes.
///
/// All tests of a run share it, so nothing writes to it afterwards.
pub(crate) async fn node(package: &str) -> PathBuf {
    let mut ready = READY.lock().await;
    if let Some(folder) = ready.get(package) {
        return folder.clone();
    }
    let folder = cache(package, "package-lock.json", |from, to| {
        for file in ["package.json", "package-lock.json"] {
            fs::copy(from.join(file), to.join(file)).unwrap();
        }
        let mut npm = Command::new("npm");
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
        vec![npm]
    });
    // Node looks for modules beside the program that asks for them.
    copy(&application(package), &folder);
    let mut generate = Command::new("npm");
    generate.args(["run", "--if-present", "--silent", "generate"]);
    run(generate, &folder);
    ready.insert(package.to_owned(), folder.clone());
    folder
}

/// The Python of a virtual environment that has what the application needs.
pub(crate) async fn python(package: &str) -> PathBuf {
    let mut ready = READY.lock().await;
    if let Some(python) = ready.get(package) {
        return python.clone();
    }
    let folder = cache(package, "requirements.txt", |from, to| {
        let mut venv = Command::new("python3");
        venv.args(["-m", "venv", "venv"]);
        let mut pip = Command::new(to.join("venv/bin/python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"])
            .args(["--no-deps", "--only-binary=:all:", "--require-hashes", "-r"])
            .arg(from.join("requirements.txt"));
        vec![venv, pip]
    });
    let python = folder.join("venv/bin/python");
    ready.insert(package.to_owned(), python.clone());
    python
}

/// The folder of what the lock file names; filled by the commands of `install` where it is new.
fn cache(package: &str, lock: &str, install: impl FnOnce(&Path, &Path) -> Vec<Command>) -> PathBuf {
    let from = application(package);
    let mut hasher = DefaultHasher::new();
    fs::read(from.join(lock)).unwrap().hash(&mut hasher);
    let name = format!("{package}-{:016x}", hasher.finish());
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("family").join(name);

    if folder.join(MARK).exists() {
        return folder;
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).unwrap();
    }
    fs::create_dir_all(&folder).unwrap();
    for command in install(&from, &folder) {
        run(command, &folder);
    }
    fs::write(folder.join(MARK), "").unwrap();
    folder
}

fn run(mut command: Command, folder: &Path) {
    command.current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(
        output.status.success(),
        "{command:?}\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            fs::copy(from, to).unwrap();
        }
    }
}
