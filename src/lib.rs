//! Lightmeter: a self-hosted real-time image-optimization CDN edge proxy.

pub mod image;
pub mod request;
