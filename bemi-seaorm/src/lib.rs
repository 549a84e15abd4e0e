//! Application context for every row that SeaORM writes to PostgreSQL: the SeaORM adapter of bemi.
