//! The image and the recipes that make it: what is in it, to its last byte, and what it does in
//! containers of real engines.

#[path = "../common/mod.rs"]
mod common;

mod dist;
mod images;
mod programs;
mod push;
mod recipes;
mod release;
mod reproducible;
mod variants;
