//! The context of a web request, for bemi: a tower layer and axum extractors.
