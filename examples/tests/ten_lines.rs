//! Moving an axum and sqlx application over to bemi takes at most ten changed lines, and no change of a query.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

const BEFORE: &str = include_str!("../src/todo/before.rs");
const AFTER: &str = include_str!("../src/todo/after.rs");

/// The lines of a file, without those in which it says what it is.
fn lines(file: &'static str) -> Vec<&'static str> {
    file.lines().filter(|line| !line.starts_with("//!")).collect()
}

/// What a line diff of the two files shows: the lines that only the one has, and those that only the other has.
fn diff<'a>(one: &[&'a str], other: &[&'a str]) -> (Vec<&'a str>, Vec<&'a str>) {
    // common[i][j]: the length of the longest common subsequence of one[i..] and other[j..].
    let mut common = vec![vec![0; other.len() + 1]; one.len() + 1];
    for i in (0..one.len()).rev() {
        for j in (0..other.len()).rev() {
            common[i][j] = match one[i] == other[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let (mut removed, mut added) = (Vec::new(), Vec::new());
    while i < one.len() || j < other.len() {
        if i < one.len() && j < other.len() && one[i] == other[j] {
            (i, j) = (i + 1, j + 1);
        } else if j == other.len() || (i < one.len() && common[i + 1][j] >= common[i][j + 1]) {
            removed.push(one[i]);
            i += 1;
        } else {
            added.push(other[j]);
            j += 1;
        }
    }
    (removed, added)
}

#[test]
fn a_diff_finds_what_was_removed_added_and_replaced() {
    let (removed, added) = diff(&["a", "b", "c", "d"], &["a", "x", "c", "y", "d", "z"]);
    assert_eq!(removed, ["b"]);
    assert_eq!(added, ["x", "y", "z"]);
    assert_eq!(diff(&[], &["a"]), (vec![], vec!["a"]));
    assert_eq!(diff(&["a"], &[]), (vec!["a"], vec![]));
}

#[test]
fn moving_over_takes_at_most_ten_changed_lines() {
    let (removed, added) = diff(&lines(BEFORE), &lines(AFTER));
    // A line that is replaced counts once: every line that went has one in its place.
    assert!(removed.len() <= added.len(), "{removed:#?}");
    assert!(!added.is_empty() && added.len() <= 10, "{} lines: {added:#?}", added.len());
}

#[test]
fn no_query_changes() {
    let queries = |file| {
        lines(file).into_iter().filter(|line| line.contains("sqlx::query")).collect::<Vec<_>>()
    };
    assert_eq!(queries(BEFORE).len(), 4);
    assert_eq!(queries(BEFORE), queries(AFTER));
}
