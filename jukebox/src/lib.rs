//! The Jukebox music model.
