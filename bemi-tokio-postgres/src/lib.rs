//! Application context for every row that tokio-postgres writes to PostgreSQL: the tokio-postgres adapter of bemi.
