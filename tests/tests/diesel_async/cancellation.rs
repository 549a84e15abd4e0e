//! Futures that are dropped before they are done, at every place where they can be.
