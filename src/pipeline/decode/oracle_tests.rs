//! stub: random JSON text against serde_json follows.
