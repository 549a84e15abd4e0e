//! The manifest for Kubernetes.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::files::{list, plain, yaml};
use super::worker::assert_takes;

const FILE: &str = "deploy/kubernetes.yaml";

fn of_kind(kind: &str) -> Value {
    let documents = yaml(FILE);
    let of: Vec<_> = documents.into_iter().filter(|document| document["kind"] == kind).collect();
    assert_eq!(of.len(), 1, "{kind}");
    of.into_iter().next().unwrap()
}

fn pod() -> Value {
    of_kind("Deployment")["spec"]["template"]["spec"].clone()
}

fn environment() -> BTreeMap<String, String> {
    let container = &pod()["containers"][0];
    let map = of_kind("ConfigMap");
    assert_eq!(container["envFrom"][0]["configMapRef"]["name"], map["metadata"]["name"]);
    let from_map = map["data"].as_object().unwrap().clone();
    let own = container["env"].as_array().unwrap().iter();
    let own = own.map(|entry| (plain(&entry["name"]), plain(&entry["value"])));
    from_map.iter().map(|(name, value)| (name.clone(), plain(value))).chain(own).collect()
}

#[tokio::test]
async fn the_worker_takes_what_it_is_told() {
    assert_takes(&list(&pod()["containers"][0]["args"]), &environment()).await;
}

/// The API takes texts only, and refuses the whole manifest otherwise.
#[test]
fn every_variable_is_a_text() {
    let map = of_kind("ConfigMap");
    assert!(map["data"].as_object().unwrap().values().all(Value::is_string), "{map}");
    for entry in pod()["containers"][0]["env"].as_array().unwrap() {
        assert!(entry["value"].is_string(), "{entry}");
    }
}

/// Two workers for a slot do no harm, but only one of them works.
#[test]
fn the_old_worker_is_gone_before_a_new_one_starts() {
    let deployment = of_kind("Deployment");
    assert_eq!(deployment["spec"]["replicas"], 1);
    assert_eq!(deployment["spec"]["strategy"], json!({"type": "Recreate"}));
    let labels = &deployment["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&deployment["spec"]["selector"]["matchLabels"], labels);
}

#[test]
fn the_password_is_where_the_worker_looks_for_it() {
    let (pod, secret) = (pod(), of_kind("Secret"));
    let volume = &pod["volumes"][0];
    assert_eq!(volume["secret"]["secretName"], secret["metadata"]["name"]);
    let mount = &pod["containers"][0]["volumeMounts"][0];
    assert_eq!(mount["name"], volume["name"]);
    let environment = environment();
    let key = environment["DB_PASSWORD_FILE"].strip_prefix(&plain(&mount["mountPath"])).unwrap();
    assert!(secret["stringData"].get(key.trim_start_matches('/')).is_some(), "{key}");
    assert!(!environment.contains_key("DB_PASSWORD"));
}

#[test]
fn probes_and_scraping_ask_where_the_worker_answers() {
    let deployment = of_kind("Deployment");
    let pod = pod();
    let container = &pod["containers"][0];
    let port = environment()["BEMI_METRICS"].rsplit_once(':').unwrap().1.to_owned();
    assert_eq!(plain(&container["ports"][0]["containerPort"]), port);
    let annotations = &deployment["spec"]["template"]["metadata"]["annotations"];
    assert_eq!(plain(&annotations["prometheus.io/port"]), port);
    for (probe, path) in
        [("livenessProbe", "/health"), ("startupProbe", "/health"), ("readinessProbe", "/ready")]
    {
        let asked = &container[probe]["httpGet"];
        assert_eq!(asked, &json!({"path": path, "port": container["ports"][0]["name"]}), "{probe}");
    }
}

#[test]
fn the_container_may_do_little() {
    let pod = pod();
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault");
    assert_eq!(pod["automountServiceAccountToken"], false);
    let context = &pod["containers"][0]["securityContext"];
    assert_eq!(context["allowPrivilegeEscalation"], false);
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(list(&context["capabilities"]["drop"]), ["ALL"]);
    assert!(pod["containers"][0]["resources"]["limits"].get("memory").is_some());
}
