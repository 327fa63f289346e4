//! The screen: keys in, pictures out. Owns the loop and, alone in this room, time and async; everything below is synchronous.
pub mod action;
pub mod app;
pub mod key;
pub mod model;
mod prompt;
mod screen;
mod text;
mod theme;
mod update;
mod view;
mod widget;
