//! The transactions that are open on one connection, one inside the other, and who owns which.
//!
//! A transaction of sea-orm does not borrow the one that it is inside of: several may be open side by side, and end in any
//! order. The server has them as a stack of savepoints, where ending one ends those after it. This says what became of each.
//! Pure: it is told what was done, it sends nothing.
//!
//! Invariant: what is open here is open on the server, in this order, the transaction itself first.

/// A transaction or savepoint of one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(u64);

/// The transactions of a connection.
#[derive(Debug, Default)]
pub(crate) struct Nesting {
    open: Vec<Level>,
    begun: u64,
}

#[derive(Debug)]
struct Level {
    owner: Id,
    /// Those that began after it and were ended by the commit of one between: what they did is part of this one.
    merged: Vec<Id>,
}

/// What became of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// It is open. 0 is the transaction itself, more are savepoints.
    Open(usize),
    /// It was committed along with one around it, into one that is open.
    Merged,
    /// It is over, and so is the one that it was inside of; or what it did was undone.
    Over,
}

impl Nesting {
    /// How many are open.
    pub(crate) fn depth(&self) -> usize {
        self.open.len()
    }

    /// Another one was begun, inside of all the others.
    pub(crate) fn begun(&mut self) -> Id {
        self.begun += 1;
        let owner = Id(self.begun);
        self.open.push(Level { owner, merged: Vec::new() });
        owner
    }

    pub(crate) fn place(&self, id: Id) -> Place {
        for (depth, level) in self.open.iter().enumerate() {
            if level.owner == id {
                return Place::Open(depth);
            }
            if level.merged.contains(&id) {
                return Place::Merged;
            }
        }
        Place::Over
    }

    /// The one of this depth was committed, and those inside it with it.
    pub(crate) fn committed(&mut self, depth: usize) {
        let ended = self.open.split_off(depth.min(self.open.len()));
        if let Some(around) = self.open.last_mut() {
            for (place, level) in ended.into_iter().enumerate() {
                // Nobody will ask again for the one that was committed by its owner.
                if place > 0 {
                    around.merged.push(level.owner);
                }
                around.merged.extend(level.merged);
            }
        }
    }

    /// The one of this depth was rolled back, and those inside it with it.
    pub(crate) fn rolled_back(&mut self, depth: usize) {
        self.open.truncate(depth);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_depth_until_it_is_over() {
        let mut nesting = Nesting::default();
        let outer = nesting.begun();
        let inner = nesting.begun();
        assert_eq!(nesting.place(outer), Place::Open(0));
        assert_eq!(nesting.place(inner), Place::Open(1));
        nesting.committed(1);
        assert_eq!(nesting.place(inner), Place::Over);
        let next = nesting.begun();
        assert_eq!(nesting.place(next), Place::Open(1));
        nesting.rolled_back(0);
        assert_eq!(nesting.place(outer), Place::Over);
        assert_eq!(nesting.place(next), Place::Over);
    }

    #[test]
    fn one_that_is_ended_by_its_elder_sibling_is_part_of_the_one_around_both() {
        let mut nesting = Nesting::default();
        let outer = nesting.begun();
        let [_elder, younger, youngest] = [nesting.begun(), nesting.begun(), nesting.begun()];
        nesting.committed(2);
        assert_eq!(nesting.place(youngest), Place::Merged);
        nesting.committed(1);
        assert_eq!(nesting.place(youngest), Place::Merged);
        assert_eq!(nesting.place(younger), Place::Over);
        assert_eq!(nesting.depth(), 1);
        nesting.committed(0);
        assert_eq!(nesting.place(youngest), Place::Over);
        assert_eq!(nesting.place(outer), Place::Over);
    }

    #[test]
    fn what_is_undone_takes_along_what_was_inside() {
        let mut nesting = Nesting::default();
        let _outer = nesting.begun();
        let [_elder, younger] = [nesting.begun(), nesting.begun()];
        nesting.rolled_back(1);
        assert_eq!(nesting.place(younger), Place::Over);
        assert_eq!(nesting.depth(), 1);
    }
}
