//! The image: what it runs, as whom, and how it is asked for its health.

use std::collections::BTreeMap;
use std::time::Duration;

use bemi_tests::{Tracked, WorkerCommand, eventually, free_port};

use super::files::{root, text, yaml};
use super::worker::assert_takes;

const PROGRAM: &str = "/usr/local/bin/bemi-worker";

/// The instructions of the last stage, each on one line.
pub(crate) fn instructions() -> Vec<(String, String)> {
    let joined = text("Dockerfile").replace("\\\n", " ");
    let lines = joined.lines().map(str::trim).filter(|line| !line.is_empty());
    let instructions: Vec<_> = lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| line.split_once(' ').expect("an instruction and what it is about"))
        .map(|(name, rest)| (name.to_owned(), rest.trim().to_owned()))
        .collect();
    let last = instructions.iter().rposition(|(name, _)| name == "FROM").unwrap();
    instructions[last..].to_vec()
}

/// What the only one of that name says.
fn only(name: &str) -> String {
    let of: Vec<_> = instructions().into_iter().filter(|(of, _)| of == name).collect();
    assert_eq!(of.len(), 1, "{name}: {of:?}");
    of.into_iter().next().unwrap().1
}

/// What it sets for the worker.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let pairs = only("ENV");
    let pairs = pairs.split_whitespace().map(|pair| pair.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The words of an instruction in the form of an array, which needs no shell.
fn words(instruction: &str) -> Vec<String> {
    serde_json::from_str(instruction).expect("an array: there is no shell")
}

#[tokio::test]
async fn it_runs_the_worker_and_not_as_root() {
    assert_eq!(words(&only("ENTRYPOINT")), [PROGRAM]);
    assert!(only("COPY").ends_with(&format!(" {PROGRAM}")), "{}", only("COPY"));
    assert_takes(&words(&only("CMD")), &environment()).await;
    let (user, _group) =
        only("USER").split_once(':').map(|(u, g)| (u.to_owned(), g.to_owned())).unwrap();
    assert_ne!(user.parse::<u32>().expect("a number, so that Kubernetes can tell"), 0);
    assert_eq!(only("STOPSIGNAL"), "SIGTERM");
    let port = environment()["BEMI_METRICS"].rsplit_once(':').unwrap().1.to_owned();
    assert_eq!(only("EXPOSE"), port);
}

/// The command of the image, with the variable of the image, beside a worker that has it as well.
#[tokio::test]
async fn its_health_check_is_the_workers_own_and_tells_well_from_gone() {
    let check = only("HEALTHCHECK");
    let command = words(check.split_once("CMD").unwrap().1.trim());
    assert_eq!(command[0], PROGRAM);

    let tracked = Tracked::new("CREATE TABLE t (id int PRIMARY KEY)").await;
    let metrics = environment()["BEMI_METRICS"].replace("9187", &free_port().unwrap().to_string());
    let ask =
        || WorkerCommand::under_test(&command[1..]).env("BEMI_METRICS", &metrics).run_to_end();
    ask().await.assert_code(1);
    let mut worker = tracked.worker(&["run"]).env("BEMI_METRICS", &metrics).spawn();
    eventually(Duration::from_secs(60), "the worker to be well", async || {
        (ask().await.code == Some(0)).then_some(())
    })
    .await;
    worker.kill_9();
    ask().await.assert_code(1);
}

/// An image is built of what cargo asks for: a member of the workspace that is left out fails the build.
#[test]
fn nothing_that_cargo_needs_is_left_out_of_the_build() {
    let manifest = text("Cargo.toml");
    let (_, members) = manifest.split_once("members = [").unwrap();
    let (members, _) = members.split_once(']').unwrap();
    let ignored = text(".dockerignore");
    for member in members.split(',').map(|member| member.trim().trim_matches('"')) {
        if member.is_empty() {
            continue;
        }
        let pattern =
            if member.starts_with("bemi-") { "!bemi-*/".to_owned() } else { format!("!{member}/") };
        assert!(ignored.lines().any(|line| line == pattern), "{member} is not in .dockerignore");
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        assert!(ignored.lines().any(|line| line == format!("!{file}")), "{file}");
    }
}

/// The same compiler as that of the workspace, or newer.
#[test]
fn its_compiler_is_new_enough() {
    let manifest = text("Cargo.toml");
    let (_, version) = manifest.split_once("rust-version = \"").unwrap();
    let (version, _) = version.split_once('"').unwrap();
    assert!(
        text("Dockerfile").contains(&format!("FROM rust:{version}-")),
        "rust-version is {version}"
    );
}

/// What is built in one file is what is run in the others.
#[test]
fn every_file_means_the_same_program() {
    assert!(text("deploy/systemd/bemi-worker.service").contains(&format!("ExecStart={PROGRAM} ")));
    let version = text("Cargo.toml");
    let (_, version) = version.split_once("\nversion = \"").unwrap();
    let (version, _) = version.split_once('"').unwrap();
    let deployment =
        yaml("deploy/kubernetes.yaml").into_iter().find(|d| d["kind"] == "Deployment").unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let image = container["image"].as_str().unwrap();
    assert!(image.ends_with(&format!("/bemi-worker:{version}")), "{image}");
    assert!(container.get("command").is_none(), "the image says which program it is");
    assert!(root().join("Dockerfile").exists());
}
