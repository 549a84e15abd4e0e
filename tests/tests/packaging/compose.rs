//! Containers on one machine.

use std::collections::BTreeMap;

use serde_json::Value;

use super::files::{list, plain, root, yaml};
use super::worker::assert_takes;

const FILE: &str = "deploy/compose.yaml";

fn file() -> Value {
    let mut documents = yaml(FILE);
    assert_eq!(documents.len(), 1);
    documents.remove(0)
}

fn environment(service: &Value) -> BTreeMap<String, String> {
    let variables = service["environment"].as_object().unwrap();
    variables.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
}

#[tokio::test]
async fn the_worker_takes_what_it_is_told() {
    let file = file();
    for name in ["setup", "worker"] {
        let service = &file["services"][name];
        assert_takes(&list(&service["command"]), &environment(service)).await;
        assert_eq!(service["image"], "bemi-worker");
    }
    assert!(
        root()
            .join("deploy")
            .join(plain(&file["services"]["setup"]["build"]))
            .join("Dockerfile")
            .exists()
    );
}

/// A password by the environment is in `docker inspect`.
#[test]
fn secrets_come_by_files_and_each_is_where_it_is_looked_for() {
    let file = file();
    for (name, service) in file["services"].as_object().unwrap() {
        let mounted: Vec<_> = list(&service["secrets"]);
        for secret in &mounted {
            assert!(file["secrets"].get(secret).is_some(), "{name}: {secret}");
        }
        for (variable, value) in environment(service) {
            assert!(!variable.ends_with("PASSWORD"), "{name}: {variable}");
            if variable.ends_with("_FILE") {
                let secret = value.strip_prefix("/run/secrets/").unwrap();
                assert!(mounted.iter().any(|mounted| mounted == secret), "{name}: {value}");
            }
        }
    }
}

/// The worker starts once the server answers and everything is set up, and reaches the database that is there.
#[test]
fn services_wait_for_each_other_and_agree() {
    let file = file();
    let services = &file["services"];
    assert_eq!(services["setup"]["depends_on"]["database"]["condition"], "service_healthy");
    assert_eq!(
        services["worker"]["depends_on"]["setup"]["condition"],
        "service_completed_successfully"
    );
    let settings = list(&services["database"]["command"]);
    assert!(settings.iter().any(|setting| setting == "wal_level=logical"), "{settings:?}");
    for name in ["setup", "worker"] {
        let environment = environment(&services[name]);
        assert_eq!(environment["DB_HOST"], "database");
        assert_eq!(
            environment["DB_NAME"],
            plain(&services["database"]["environment"]["POSTGRES_DB"])
        );
    }
    let role = plain(&services["worker"]["environment"]["DB_USER"]);
    assert!(plain(&file["configs"]["roles"]["content"]).contains(&format!("CREATE ROLE {role} ")));
    let setup = list(&services["setup"]["command"]);
    assert!(setup.windows(2).any(|pair| pair == ["--grant-worker", role.as_str()]), "{setup:?}");
}

#[test]
fn nothing_is_reached_from_another_machine_and_the_worker_may_do_little() {
    let file = file();
    for service in file["services"].as_object().unwrap().values() {
        for port in service.get("ports").map(list).unwrap_or_default() {
            assert!(port.starts_with("127.0.0.1:"), "{port}");
        }
    }
    let worker = &file["services"]["worker"];
    assert_eq!(worker["read_only"], true);
    assert_eq!(list(&worker["cap_drop"]), ["ALL"]);
    assert_eq!(list(&worker["security_opt"]), ["no-new-privileges:true"]);
}
