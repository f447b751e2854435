//! The side that visitors see. Read `handler` first: one function, each line a step of the request's way. `server` accepts
//! connections, `sites` finds the site, `lookup` the cached variant, `miss` gets what is not cached, `passthrough` forwards
//! the rest, `respond` writes heads, `body` bodies, `problem` errors. Nothing imports this module but the program itself.

pub mod body;
pub mod handler;
mod lookup;
mod miss;
mod passthrough;
mod problem;
mod respond;
pub mod server;
pub mod sites;
