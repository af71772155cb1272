//! Replays: what was signed for one catalogue, shown to another.
