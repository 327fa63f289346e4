pub mod pb;
pub mod view;
