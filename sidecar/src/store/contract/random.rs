//! Random operations on each store, against the most naive log there can be.
