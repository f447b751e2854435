//! What a visitor asks for: pure functions from a request to an image request.

pub mod transform;
