//! Reads the exposition format of Prometheus, version 0.0.4, by its specification and not by what
//! writes it: whatever is not in there is an error.

use std::collections::{BTreeMap, BTreeSet};

/// What a page of metrics says.
#[derive(Debug, Default)]
pub(crate) struct Scrape {
    /// The type of each metric.
    pub(crate) types: BTreeMap<String, String>,
    help: BTreeMap<String, String>,
    samples: BTreeMap<Sample, f64>,
}

/// What a line with a value is of.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Sample {
    name: String,
    labels: BTreeMap<String, String>,
}

impl Scrape {
    /// Reads a page.
    pub(crate) fn parse(text: &str) -> Self {
        assert!(text.ends_with('\n'), "the last line must end, too");
        let mut scrape = Self::default();
        let mut ended = BTreeSet::new();
        let mut current = String::new();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            let family = match line.strip_prefix("# ") {
                Some(comment) => scrape.take_comment(comment),
                None => scrape.take_sample(line),
            };
            if family != current {
                assert!(ended.insert(family.clone()), "{family} is in several places");
                current = family;
            }
        }
        scrape.check_histograms();
        scrape
    }

    fn take_comment(&mut self, comment: &str) -> String {
        let mut words = comment.splitn(3, ' ');
        let (kind, name, rest) =
            (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
        assert!(is_name(name), "{name}");
        let (into, known) = match kind {
            "HELP" => (&mut self.help, true),
            "TYPE" => (&mut self.types, ["counter", "gauge", "histogram"].contains(&rest)),
            _ => panic!("neither HELP nor TYPE: {comment}"),
        };
        assert!(known, "{name} is no type: {rest}");
        assert!(into.insert(name.to_owned(), rest.to_owned()).is_none(), "{kind} of {name} twice");
        let begun = self.samples.keys().any(|sample| sample.name == name);
        assert!(!begun, "{kind} of {name} comes after its samples");
        name.to_owned()
    }

    fn take_sample(&mut self, line: &str) -> String {
        let end = line.find(['{', ' ']).unwrap_or_else(|| panic!("{line}"));
        let (name, mut rest) = line.split_at(end);
        assert!(is_name(name), "{line}");
        let mut labels = BTreeMap::new();
        if let Some(inside) = rest.strip_prefix('{') {
            let (all, after) = inside.split_once('}').unwrap_or_else(|| panic!("{line}"));
            rest = after;
            for label in all.split(',').filter(|label| !label.is_empty()) {
                let (key, value) = label.split_once('=').unwrap_or_else(|| panic!("{line}"));
                let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
                let value = value.unwrap_or_else(|| panic!("{line}"));
                // Ours need neither escapes nor commas.
                assert!(is_name(key) && !value.contains(['"', '\\', ',']), "{line}");
                assert!(labels.insert(key.to_owned(), value.to_owned()).is_none(), "{line}");
            }
        }
        let value = number(rest.trim()).unwrap_or_else(|| panic!("{line}"));
        let family = self.family_of(name);
        let sample = Sample { name: name.to_owned(), labels };
        assert!(self.samples.insert(sample, value).is_none(), "the same sample twice: {line}");
        family
    }

    /// The metric that a sample is of: those of a histogram have a suffix.
    fn family_of(&self, name: &str) -> String {
        let of_histogram = ["_bucket", "_sum", "_count"].iter().find_map(|suffix| {
            let family = name.strip_suffix(suffix)?;
            (self.types.get(family)? == "histogram").then(|| family.to_owned())
        });
        let family = of_histogram.unwrap_or_else(|| name.to_owned());
        assert!(self.types.contains_key(&family), "{name} has no type");
        assert!(self.help.get(&family).is_some_and(|help| !help.is_empty()), "{name} has no help");
        family
    }

    fn check_histograms(&self) {
        for (name, _) in self.types.iter().filter(|(_, kind)| *kind == "histogram") {
            let mut buckets: Vec<(f64, f64)> = self
                .samples
                .iter()
                .filter(|(sample, _)| sample.name == format!("{name}_bucket"))
                .map(|(sample, value)| (number(&sample.labels["le"]).unwrap(), *value))
                .collect();
            buckets.sort_by(|one, other| one.0.total_cmp(&other.0));
            assert!(buckets.is_sorted_by(|one, other| one.1 <= other.1), "{buckets:?}");
            let last = buckets.last().unwrap();
            assert_eq!((last.0, last.1), (f64::INFINITY, self.value(&format!("{name}_count"))));
            assert!(self.value(&format!("{name}_sum")) >= 0.0);
        }
    }

    /// The value of what has no labels.
    pub(crate) fn value(&self, name: &str) -> f64 {
        self.get(name, &[]).unwrap_or_else(|| panic!("no {name} in {self:#?}"))
    }

    /// The value of what has one label.
    pub(crate) fn labelled(&self, name: &str, label: &str, value: &str) -> f64 {
        self.get(name, &[(label, value)]).unwrap_or_else(|| panic!("no {name} {value}: {self:#?}"))
    }

    /// The value, if it is there.
    pub(crate) fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels =
            labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        self.samples.get(&Sample { name: name.to_owned(), labels }).copied()
    }

    /// The sum over all labels.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        let of_it = self.samples.iter().filter(|(sample, _)| sample.name == name);
        of_it.map(|(_, value)| value).sum()
    }

    /// Requires that no counter is lower than it was.
    pub(crate) fn require_not_below(&self, before: &Self) {
        for (sample, value) in &before.samples {
            let family = before.family_of(&sample.name);
            if before.types[&family] != "gauge" {
                let now = self.samples.get(sample);
                assert!(now.is_some_and(|now| now >= value), "{sample:?}: {value}, then {now:?}");
            }
        }
    }

    /// Which label names and values there are of a metric.
    pub(crate) fn labels(&self, family: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for sample in self.samples.keys().filter(|sample| self.family_of(&sample.name) == family) {
            for (key, value) in &sample.labels {
                found.entry(key.clone()).or_default().insert(value.clone());
            }
        }
        found
    }
}

fn is_name(name: &str) -> bool {
    let is_start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    name.bytes().next().is_some_and(is_start)
        && name.bytes().all(|byte| is_start(byte) || byte.is_ascii_digit())
}

fn number(text: &str) -> Option<f64> {
    match text {
        "+Inf" => Some(f64::INFINITY),
        // Rust's own words for what is no number are not Prometheus's.
        _ if text.starts_with(|first: char| first.is_ascii_digit() || first == '-') => {
            text.parse().ok()
        }
        _ => None,
    }
}
