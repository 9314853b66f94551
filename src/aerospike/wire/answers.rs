//! Reads the answers to a batch request, in place.
