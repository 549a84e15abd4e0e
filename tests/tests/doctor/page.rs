//! Each code that doctor knows has a section in the documentation, and each section a code.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../bemi-worker/src/doctor");
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/findings.md");

/// The codes in the sources of doctor, wherever a check gives one.
pub(crate) fn codes() -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    read_folder(Path::new(SOURCES), &mut codes);
    assert!(codes.len() > 40, "{codes:?}");
    codes
}

fn read_folder(folder: &Path, codes: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            read_folder(&path, codes);
        } else {
            let text = fs::read_to_string(&path).unwrap();
            codes.extend(text.split('"').filter(|part| is_code(part)).map(str::to_owned));
        }
    }
}

fn is_code(text: &str) -> bool {
    text.len() == 4
        && text.strip_prefix('B').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
}

/// The sections, each with its text.
fn sections() -> Vec<(String, String)> {
    let page = fs::read_to_string(PAGE).unwrap();
    let begin = page.split("\n## ").skip(1);
    begin
        .map(|section| section.split_once('\n').unwrap())
        .map(|(head, text)| (head.to_owned(), text.split("\n# ").next().unwrap().to_owned()))
        .collect()
}

#[test]
fn each_code_has_a_section_and_each_section_a_code() {
    let sections = sections();
    let heads: Vec<&String> = sections.iter().map(|(head, _)| head).collect();
    assert!(heads.is_sorted(), "{heads:?}");
    let documented: BTreeSet<String> = heads.into_iter().cloned().collect();
    assert_eq!(documented.len(), sections.len(), "a section comes twice");
    assert_eq!(codes(), documented);
}

#[test]
fn each_section_says_what_why_the_fix_and_what_doctor_shows() {
    for (code, text) in sections() {
        let levels = ["`ok`", "`note`", "`warn`", "`fail`"];
        assert!(text.trim_start().starts_with("**"), "{code} does not say what it is");
        assert!(levels.iter().any(|level| text.contains(level)), "{code} has no level");
        for part in ["\n- Why: ", "\n- Fix", "\n- Shows: "] {
            assert!(text.contains(part), "{code} lacks {part:?}");
        }
    }
}
