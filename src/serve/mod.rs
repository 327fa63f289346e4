//! (room serve)
//STUB
pub enum Rate { Realtime, PerSecond(f64), Max }
pub async fn demo(_: crate::demo::Simulation, _: Rate, _: &crate::source::Stop) -> Result<std::net::SocketAddr, crate::error::Error> { Err(crate::error::Error::usage("x")) }
