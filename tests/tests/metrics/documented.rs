//! The page on metrics, the dashboard and the alert rules, against what a worker says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use bemi_tests::{Cluster, ClusterOptions, Tracked};
use serde::Deserialize;
use serde_json::Value;

use super::format::Scrape;
use super::observed::Observed;

fn read(path: &str) -> String {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A page with every metric that there is.
async fn complete() -> Scrape {
    // Else nobody knows when the server would give up the slot.
    let cluster =
        Cluster::start(&ClusterOptions::new().set("max_slot_wal_keep_size", "1GB")).unwrap();
    let tracked = Tracked::on(&cluster, "CREATE TABLE t (id int PRIMARY KEY)").await;
    let observed = Observed::run(&tracked).await;
    tracked.sql("INSERT INTO t VALUES (1)").await;
    let scrape = observed
        .scrape_until("everything to be known", |scrape| {
            let known = |name| scrape.types.contains_key(name);
            known("bemi_gaps")
                && known("bemi_lag_bytes")
                && known("bemi_last_commit_timestamp_seconds")
        })
        .await;
    observed.worker.stop().await;
    scrape
}

/// A row of the tables on the page.
struct Documented {
    kind: String,
    labels: String,
    cells: Vec<String>,
}

fn documented() -> BTreeMap<String, Documented> {
    let page = read("metrics.md");
    let rows = page.lines().filter_map(|line| {
        let cells: Vec<String> =
            line.strip_prefix('|')?.trim_end_matches('|').split('|').map(trimmed).collect();
        let name = cells[0].strip_prefix('`')?.strip_suffix('`')?.to_owned();
        let is_metric = name.starts_with("bemi_") || name.starts_with("process_");
        let documented = || Documented {
            kind: cells[1].clone(),
            labels: cells[3].clone(),
            cells: cells.clone(),
        };
        is_metric.then(|| (name, documented()))
    });
    let rows: Vec<_> = rows.collect();
    let count = rows.len();
    let by_name: BTreeMap<_, _> = rows.into_iter().collect();
    assert_eq!(by_name.len(), count, "a metric is documented twice");
    by_name
}

fn trimmed(cell: &str) -> String {
    cell.trim().to_owned()
}

/// The names of metrics in an expression.
fn names_in(text: &str) -> BTreeSet<String> {
    text.split(|character: char| !character.is_ascii_alphanumeric() && character != '_')
        .filter(|word| word.starts_with("bemi_") || word.starts_with("process_"))
        .map(str::to_owned)
        .collect()
}

/// Requires that an expression is about what there is, labels included.
fn require(expression: &str, scrape: &Scrape) {
    let names = names_in(expression);
    assert!(!names.is_empty() || expression.contains("up{job="), "{expression}");
    for name in names {
        let family = name.strip_suffix("_bucket").unwrap_or(&name);
        assert!(scrape.types.contains_key(family), "no metric {name}: {expression}");
        let is_counter = scrape.types[family] != "gauge";
        let is_rated = ["rate(", "increase("].iter().any(|call| expression.contains(call));
        assert!(!is_counter || is_rated, "a counter as it is says little: {expression}");
    }
    // Whatever is selected by a label is a value that the label can have.
    for (label, values) in selected(expression) {
        if ["job", "instance"].contains(&label.as_str()) {
            continue;
        }
        let known: BTreeSet<String> = names_in(expression)
            .iter()
            .flat_map(|name| scrape.labels(name).remove(&label).unwrap_or_default())
            .collect();
        for value in values {
            assert!(known.contains(&value), "no {label} {value}: {expression}");
        }
    }
}

/// Labels that an expression selects by, with their values: `side="source"`, `status=~"lost|missing"`.
fn selected(expression: &str) -> Vec<(String, Vec<String>)> {
    let inside = expression.split('{').skip(1).filter_map(|rest| rest.split_once('}'));
    let matchers = inside.flat_map(|(inside, _)| inside.split(','));
    let pairs = matchers.filter_map(|matcher| matcher.split_once('='));
    pairs
        .map(|(label, value)| {
            let value = value.trim_start_matches('~').trim_matches('"');
            (label.trim().to_owned(), value.split('|').map(str::to_owned).collect())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented_as_it_is_and_whatever_is_shown_or_alerted_by_exists() {
    let scrape = complete().await;
    let documented = documented();
    for (name, kind) in &scrape.types {
        let row = documented.get(name).unwrap_or_else(|| panic!("docs/metrics.md lacks {name}"));
        assert_eq!(&row.kind, kind, "{name}");
        assert_eq!(row.cells.len(), 6, "{name}: {:?}", row.cells);
        assert!(!row.cells[2].is_empty() && !row.cells[4].is_empty(), "{name}");
        for (label, values) in scrape.labels(name) {
            assert!(row.labels.contains(&format!("`{label}`")), "{name}: no label {label}");
            let is_enumerated = !["le", "version"].contains(&label.as_str());
            for value in values.iter().filter(|_| is_enumerated) {
                assert!(row.labels.contains(&format!("`{value}`")), "{name}: no {label} {value}");
            }
        }
        let is_counter = kind == "counter";
        assert_eq!(name.ends_with("_total"), is_counter, "{name} is a {kind}");
    }
    for name in documented.keys() {
        assert!(scrape.types.contains_key(name), "there is no {name}");
    }

    let dashboard: Value =
        serde_json::from_str(&read("monitoring/grafana-dashboard.json")).unwrap();
    for panel in dashboard["panels"].as_array().unwrap() {
        for target in panel["targets"].as_array().unwrap() {
            require(target["expr"].as_str().unwrap(), &scrape);
        }
    }
    for rule in rules() {
        require(&rule.expr, &scrape);
    }
}

/// It can be imported anywhere: which data source, job and instance is for the reader to choose.
#[test]
fn the_dashboard_is_about_no_installation_and_says_its_units() {
    let dashboard: Value =
        serde_json::from_str(&read("monitoring/grafana-dashboard.json")).unwrap();
    assert!(dashboard.get("id").is_none());
    let variables = dashboard["templating"]["list"].as_array().unwrap();
    assert_eq!(
        (&variables[0]["name"], &variables[0]["type"]),
        (&"datasource".into(), &"datasource".into())
    );
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}");
        assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{title}");
        for target in panel["targets"].as_array().unwrap() {
            assert_eq!(target["datasource"]["uid"], "${datasource}", "{title}");
            let expression = target["expr"].as_str().unwrap();
            assert!(expression.contains("job=~\"$job\",instance=~\"$instance\""), "{title}");
        }
    }
}

/// What the file of alert rules says.
#[derive(Deserialize)]
struct Alerts {
    groups: Vec<Group>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(dead_code, reason = "read, so that a misspelt key is found")]
struct Group {
    name: String,
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    alert: String,
    expr: String,
    #[serde(rename = "for")]
    lasting: Option<String>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
}

fn rules() -> Vec<Rule> {
    let alerts: Alerts = serde_saphyr::from_str(&read("monitoring/alerts.yaml")).unwrap();
    alerts.groups.into_iter().flat_map(|group| group.rules).collect()
}

#[test]
fn every_alert_says_how_bad_it_is_and_where_to_read_on() {
    let rules = rules();
    let names: BTreeSet<&str> = rules.iter().map(|rule| rule.alert.as_str()).collect();
    assert_eq!(names.len(), rules.len());
    for rule in &rules {
        let name = &rule.alert;
        let severity = rule.labels["severity"].as_str();
        assert!(["critical", "warning", "info"].contains(&severity), "{name}: {severity}");
        assert!(!rule.annotations["summary"].is_empty(), "{name}");
        // What looks back by itself need not last.
        let looks_back = ["increase(", "offset"].iter().any(|word| rule.expr.contains(word));
        assert!(rule.lasting.is_some() || looks_back, "{name} may be a moment");
        let runbook = rule.annotations["runbook"].as_str();
        let (page, anchor) = runbook.split_once('#').unwrap_or_else(|| panic!("{name}: {runbook}"));
        let page = read(page.strip_prefix("docs/").unwrap());
        let anchors = page
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(|heading| heading.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"));
        assert!(anchors.into_iter().any(|known| known == anchor), "{name}: no {runbook}");
    }
}
