//! The adapter over an HTTP client that answers from a script.
