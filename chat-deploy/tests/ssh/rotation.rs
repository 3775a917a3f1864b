//! The exchange of a host key.
