//! What the black-box tests are made with: `edge` runs the program, `setup` writes its configuration, `origin` is a real
//! server behind it, `request`, `raw` and `frames` are its clients, `tls` makes certificates, `api` asks the
//! operator's side, `decode` and `av1` look at what it delivers with decoders of their
//! own, `pictures` are what it is given, `disk` is what it left on disk, `wait` polls with a deadline. `still` is an origin
//! and an edge whose time stands, `namespace` is a network of the test's own, `wire` an origin that writes bytes as they are.

pub(crate) mod api;
pub(crate) mod av1;
pub(crate) mod decode;
pub(crate) mod disk;
pub(crate) mod edge;
pub(crate) mod frames;
pub(crate) mod namespace;
pub(crate) mod origin;
pub(crate) mod pictures;
pub(crate) mod ports;
pub(crate) mod raw;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod setup;
pub(crate) mod still;
pub(crate) mod tls;
pub(crate) mod wait;
pub(crate) mod wire;

pub(crate) use decode::{assert_looks_like, decode};
pub(crate) use edge::Edge;
pub(crate) use origin::Origin;
pub(crate) use reply::{Gate, Reply};
pub(crate) use request::{Answer, CHROMIUM, CURL, SAFARI_15};
pub(crate) use setup::Setup;
pub(crate) use still::Still;
pub(crate) use wait::{until, until_some};
