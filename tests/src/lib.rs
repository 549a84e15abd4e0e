//! Throwaway PostgreSQL clusters, and the tests that run the whole family against them.
