//! The screen without a terminal: keys in, a picture out. Flows and policies go through the real engine.
mod behaviour;
mod hostile;
mod kit;
mod pictures;
mod speed;
