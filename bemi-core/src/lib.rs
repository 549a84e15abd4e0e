//! The values and contracts of bemi, change tracking for PostgreSQL: context, scope, message, change.
