//! One runnable program per thing that a user of bemi wants to do.
