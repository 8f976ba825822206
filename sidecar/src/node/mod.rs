//! One node.
mod continuity;
mod holes;
mod sse;
