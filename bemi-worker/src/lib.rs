//! Stores every row change of a PostgreSQL database, with its context, exactly once.
