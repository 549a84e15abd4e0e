//! The rows of a simulation, found by where they lie.

use std::collections::HashMap;

use super::simulate::Slot;

/// Rows by number, and by where they lie in the source.
#[derive(Debug)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    by_place: HashMap<String, usize>,
}

impl Slots {
    pub(super) fn new(slots: Vec<Slot>) -> Self {
        let by_place = slots
            .iter()
            .enumerate()
            .filter_map(|(number, slot)| Some((slot.live.as_ref()?.place.clone(), number)))
            .collect();
        Self { slots, by_place }
    }

    pub(super) fn all(&self) -> &[Slot] {
        &self.slots
    }

    pub(super) fn get(&self, number: usize) -> Option<&Slot> {
        self.slots.get(number)
    }

    /// The number of the row that lies there.
    pub(super) fn at(&self, place: &str) -> Option<usize> {
        self.by_place.get(place).copied()
    }

    pub(super) fn of_table(&self, table: usize) -> impl Iterator<Item = (usize, &Slot)> {
        self.slots.iter().enumerate().filter(move |(_, slot)| slot.table == table)
    }
}
