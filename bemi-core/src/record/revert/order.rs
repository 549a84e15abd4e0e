//! In which order the statements run.
//!
//! Deletes come first, then updates, then inserts, as far as rows do not depend on each other
//! otherwise. A circle is cut where a constraint can be deferred.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use super::Action;
use super::facts::DeferrableConstraint;

/// One row must be written before another one.
#[derive(Clone, Debug)]
pub(super) struct Edge {
    pub(super) first: usize,
    /// The columns of it that matter.
    pub(super) first_columns: Vec<String>,
    pub(super) then: usize,
    pub(super) then_columns: Vec<String>,
    /// The constraint that, deferred, does without.
    pub(super) deferrable: Option<DeferrableConstraint>,
}

/// An order, or why there is none.
#[derive(Debug, Default)]
pub(super) struct Order {
    /// The rows, in the order of their statements; without those in circles.
    pub(super) rows: Vec<usize>,
    /// What has to be deferred.
    pub(super) deferred: Vec<DeferrableConstraint>,
    /// Rows in circles that cannot be cut.
    pub(super) circular: Vec<usize>,
}

/// Orders the rows.
pub(super) fn order(rows: &BTreeMap<usize, Action>, edges: &[Edge]) -> Order {
    let mut edges: Vec<&Edge> = edges
        .iter()
        .filter(|edge| edge.first != edge.then)
        .filter(|edge| rows.contains_key(&edge.first) && rows.contains_key(&edge.then))
        .collect();
    let mut deferred: Vec<DeferrableConstraint> = Vec::new();
    loop {
        let sorted = sort(rows, &edges);
        if sorted.len() == rows.len() {
            return Order { rows: sorted, deferred, circular: Vec::new() };
        }
        let circular = in_circles(rows, &sorted, &edges);
        let cut: Vec<DeferrableConstraint> = edges
            .iter()
            .filter(|edge| circular.contains(&edge.first) && circular.contains(&edge.then))
            .filter_map(|edge| edge.deferrable.clone())
            .collect();
        if cut.is_empty() {
            return Order { rows: sorted, deferred, circular: circular.into_iter().collect() };
        }
        edges.retain(|edge| !edge.deferrable.as_ref().is_some_and(|one| cut.contains(one)));
        for constraint in cut {
            if !deferred.contains(&constraint) {
                deferred.push(constraint);
            }
        }
    }
}

/// The rows that nothing circular comes before.
fn sort(rows: &BTreeMap<usize, Action>, edges: &[&Edge]) -> Vec<usize> {
    let mut waiting: BTreeMap<usize, usize> = rows.keys().map(|row| (*row, 0)).collect();
    let mut followers: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for edge in edges {
        *waiting.entry(edge.then).or_default() += 1;
        followers.entry(edge.first).or_default().push(edge.then);
    }
    let rank = |row: usize| Reverse((rows.get(&row).copied(), row));
    let mut ready: BinaryHeap<_> =
        waiting.iter().filter(|(_, count)| **count == 0).map(|(row, _)| rank(*row)).collect();
    let mut sorted = Vec::with_capacity(rows.len());
    while let Some(Reverse((_, row))) = ready.pop() {
        sorted.push(row);
        for follower in followers.get(&row).into_iter().flatten() {
            if let Some(count) = waiting.get_mut(follower) {
                *count -= 1;
                if *count == 0 {
                    ready.push(rank(*follower));
                }
            }
        }
    }
    sorted
}

/// Of those that could not be sorted, those from which a way leads on to another one: without what only
/// hangs behind a circle.
fn in_circles(
    rows: &BTreeMap<usize, Action>,
    sorted: &[usize],
    edges: &[&Edge],
) -> BTreeSet<usize> {
    let sorted: BTreeSet<usize> = sorted.iter().copied().collect();
    let mut left: BTreeSet<usize> =
        rows.keys().copied().filter(|row| !sorted.contains(row)).collect();
    loop {
        let leads_on: BTreeSet<usize> = edges
            .iter()
            .filter(|edge| left.contains(&edge.first) && left.contains(&edge.then))
            .map(|edge| edge.first)
            .collect();
        if leads_on.len() == left.len() {
            return left;
        }
        left = leads_on;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(first: usize, then: usize) -> Edge {
        Edge { first, first_columns: vec![], then, then_columns: vec![], deferrable: None }
    }

    fn deferrable(first: usize, then: usize) -> Edge {
        let constraint = serde_json::from_str(r#"{"schema":"s","name":"c","initially":false}"#);
        Edge { deferrable: Some(constraint.unwrap()), ..edge(first, then) }
    }

    fn rows(actions: &[Action]) -> BTreeMap<usize, Action> {
        actions.iter().copied().enumerate().collect()
    }

    #[test]
    fn deletes_come_first_and_inserts_last() {
        let rows = rows(&[Action::Insert, Action::Update, Action::Delete, Action::Insert]);
        assert_eq!(order(&rows, &[]).rows, [2, 1, 0, 3]);
        assert_eq!(order(&rows, &[edge(3, 2), edge(3, 0)]).rows, [1, 3, 2, 0]);
    }

    #[test]
    fn a_circle_is_cut_where_a_constraint_can_be_deferred() {
        let rows = rows(&[Action::Insert; 3]);
        let cut = order(&rows, &[edge(0, 1), deferrable(1, 0), edge(1, 2)]);
        assert_eq!((cut.rows, cut.deferred.len()), (vec![0, 1, 2], 1));
        let whole = order(&rows, &[edge(0, 1), edge(1, 0), edge(1, 2), deferrable(2, 2)]);
        assert_eq!(whole.circular, [0, 1]);
        assert!(whole.deferred.is_empty());
    }

    #[test]
    fn nothing_is_deferred_that_is_in_no_circle() {
        let rows = rows(&[Action::Insert; 2]);
        assert!(order(&rows, &[deferrable(1, 0)]).deferred.is_empty());
    }
}
