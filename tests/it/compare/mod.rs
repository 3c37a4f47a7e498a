//! `llm-gateway compare`: rule by rule on replies as data, and as a whole against an old backend that is emulated.

mod cases;
mod cases_of_parts;
mod faults;
mod mutations;
mod near_misses;
mod old_backend;
mod proxy;
mod replies;
mod rules;
mod whole;
