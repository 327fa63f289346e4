//! Pieces that screens are made of. Each draws into a rectangle it is given and never outside it.
pub mod bar;
pub mod cell;
pub mod l7;
pub mod name;
pub mod pen;
pub mod spark;
pub mod verdict;
pub mod yaml;
