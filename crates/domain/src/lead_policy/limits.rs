//! How many objects may be created now.
