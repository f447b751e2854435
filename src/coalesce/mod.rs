//! One piece of work for all who want its result at the same moment. `state` says who does it and what the others do: a pure
//! state machine; `flights` is the table of such work and lets many wait for one. `fill` is a body on its way in, which all
//! read while it comes, `receive` takes it in, `handoff` hands a thing to one taker; `budget` bounds the memory of all of it,
//! `changes` tells what was asked for before a change.

pub mod budget;
pub mod changes;
pub mod fill;
pub mod flights;
pub mod handoff;
pub mod receive;
pub mod state;
