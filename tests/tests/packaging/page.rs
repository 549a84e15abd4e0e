//! The page that takes an operator through all of this: what it points at is there.

use std::collections::BTreeSet;
use std::path::Path;

use super::files::{root, text, yaml};

const PAGE: &str = "docs/production.md";

/// What an address within a page is made of: the heading in lower case, with hyphens for spaces and nothing else but
/// letters and digits.
fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(path: &Path) -> BTreeSet<String> {
    let page = std::fs::read_to_string(path).unwrap();
    let headings = page.lines().filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let page = text(PAGE);
    let here = root().join(PAGE);
    let targets =
        page.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    let mut dead = Vec::new();
    for target in targets {
        let (file, place) = target.split_once('#').unwrap_or((target, ""));
        let path = if file.is_empty() { here.clone() } else { here.parent().unwrap().join(file) };
        let is_there = path.exists() && (place.is_empty() || anchors(&path).contains(place));
        if !is_there {
            dead.push(target.to_owned());
        }
    }
    assert_eq!(dead, Vec::<String>::new());
}

#[test]
fn every_alert_that_it_names_is_one() {
    let rules = yaml("docs/monitoring/alerts.yaml").remove(0);
    let rules = rules["groups"][0]["rules"].as_array().unwrap().clone();
    let alerts: BTreeSet<_> = rules.iter().filter_map(|rule| rule["alert"].as_str()).collect();
    let page = text(PAGE);
    let named = page.split('`').filter(|word| word.starts_with("Bemi")).collect::<BTreeSet<_>>();
    assert!(!named.is_empty());
    assert_eq!(named.difference(&alerts).collect::<Vec<_>>(), Vec::<&&str>::new());
}
