//! Pure conversions between bytes and values; no I/O.
