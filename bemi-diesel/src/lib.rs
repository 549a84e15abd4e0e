//! Application context for every row that diesel writes to PostgreSQL: the diesel and diesel-async adapter of bemi.
