//! Decides what a version bump changes in a source tree; pure.
