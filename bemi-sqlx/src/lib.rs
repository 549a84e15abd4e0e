//! Application context for every row that sqlx writes to PostgreSQL: the sqlx adapter of bemi.
