//! The side that visitors see. Read `handler` first: one function, each line a step of the request's way. `server` accepts
//! connections, `entrance` lets them in and `connection` serves one (`peer` is who is at its other end, `limits` what it may take), `secure` is what https asks for, `signed` what signed URLs are without their signature, `sites` finds the site, `lookup` the cached variant, `miss` gets what is not cached, `passthrough` forwards
//! the rest or has it relayed through the cache (`relaying`), `deliver` pays for variants, `respond` and `respond_relayed` write heads (`vary` one field of theirs), `body` bodies in pieces (`piece`), `request_body` reads those of requests, `problem` errors. Nothing imports this
//! module but the program itself.

pub mod body;
mod connection;
mod deliver;
mod entrance;
pub mod handler;
pub mod limits;
mod lookup;
mod miss;
mod passthrough;
pub mod peer;
mod piece;
mod problem;
mod relaying;
pub mod request_body;
mod respond;
mod respond_relayed;
mod secure;
pub mod server;
mod signed;
pub mod sites;
mod vary;
