//! What was read from the catalog at one moment, and where in the WAL it holds.
//!
//! Invariant: outside its stretch, nothing gives the value away.

use bemi_core::Lsn;

/// A stretch of the WAL, with both of its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    from: Lsn,
    to: Lsn,
}

impl Stretch {
    /// All of the WAL.
    pub(crate) const ALWAYS: Self = Self { from: Lsn::ZERO, to: Lsn::new(u64::MAX) };

    pub(crate) fn new(from: Lsn, to: Lsn) -> Self {
        Self { from, to }
    }

    /// From a position on.
    pub(crate) fn since(from: Lsn) -> Self {
        Self { from, ..Self::ALWAYS }
    }

    /// Up to a position, and nowhere known before it: what is read next may say more.
    pub(crate) fn nowhere_up_to(to: Lsn) -> Self {
        Self { from: Self::ALWAYS.to, to }
    }

    /// What is in both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { from: self.from.max(other.from), to: self.to.min(other.to) }
    }

    /// Where it begins.
    pub(crate) fn start(self) -> Lsn {
        self.from
    }

    /// Where it ends: behind, the catalog has to be asked again.
    pub(crate) fn end(self) -> Lsn {
        self.to
    }

    fn contains(self, position: Lsn) -> bool {
        self.from <= position && position <= self.to
    }
}

/// A value, and where in the WAL it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Dated<T> {
    value: T,
    holds: Stretch,
}

impl<T> Dated<T> {
    pub(crate) fn new(value: T, holds: Stretch) -> Self {
        Self { value, holds }
    }

    /// A value that does not change.
    pub(crate) fn always(value: T) -> Self {
        Self::new(value, Stretch::ALWAYS)
    }

    /// The value, if it holds there.
    pub(crate) fn at(&self, position: Lsn) -> Option<&T> {
        self.holds.contains(position).then_some(&self.value)
    }

    pub(crate) fn holds(&self) -> Stretch {
        self.holds
    }

    pub(crate) fn map<U>(self, f: impl FnOnce(T) -> U) -> Dated<U> {
        Dated { value: f(self.value), holds: self.holds }
    }

    /// The same value, everywhere: for rows that are as new as what was read.
    pub(crate) fn everywhere(self) -> Self {
        Self::always(self.value)
    }

    /// The value, wherever it holds: to ask about it, never to render by it.
    pub(crate) fn anywhere(&self) -> &T {
        &self.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(holds: Stretch, position: u64) -> bool {
        Dated::new((), holds).at(Lsn::new(position)).is_some()
    }

    #[test]
    fn a_value_is_given_away_inside_its_stretch_alone() {
        let holds = Stretch::new(Lsn::new(10), Lsn::new(20));
        for (position, inside) in [(9, false), (10, true), (20, true), (21, false)] {
            assert_eq!(at(holds, position), inside, "{position}");
        }
        assert!(at(Stretch::ALWAYS, 0) && at(Stretch::ALWAYS, u64::MAX));
    }

    #[test]
    fn what_is_made_of_several_things_holds_where_all_of_them_do() {
        let both = Stretch::new(Lsn::new(10), Lsn::new(20)).and(Stretch::since(Lsn::new(15)));
        assert_eq!(both, Stretch::new(Lsn::new(15), Lsn::new(20)));
        assert_eq!(both.and(Stretch::ALWAYS), both);
    }

    #[test]
    fn what_holds_nowhere_still_says_when_to_ask_again() {
        let holds = Stretch::nowhere_up_to(Lsn::new(20)).and(Stretch::ALWAYS);
        assert_eq!(holds.end(), Lsn::new(20));
        assert!((0..40).all(|position| !at(holds, position)));
    }
}
