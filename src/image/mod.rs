//! The image pipeline: bytes in, bytes out, no I/O. `format` tells what bytes are and what can be made of them.

pub mod format;
