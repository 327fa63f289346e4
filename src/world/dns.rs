//! Names learnt from DNS answers. Owns a bounded table address → names; decides nothing about expiry.
use crate::model::time::Nanos;
use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

const ADDRESSES: usize = 65_536;
const NAMES: usize = 16;

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Learnt {
    /// In lower case, without the trailing dot.
    pub name: String,
    pub at: Nanos,
    /// Seconds.
    pub ttl: u32,
}

/// Address → names, newest first; the address learnt first leaves first.
#[derive(Debug, Default)]
pub struct Names {
    of: HashMap<IpAddr, Vec<Learnt>>,
    order: VecDeque<IpAddr>,
}

impl Names {
    pub fn learn(&mut self, name: &str, ips: &[IpAddr], ttl: u32, at: Nanos) {
        let name = normal(name);
        if name.is_empty() {
            return;
        }
        for ip in ips {
            let names = self.of.entry(*ip).or_insert_with(|| {
                self.order.push_back(*ip);
                Vec::new()
            });
            names.retain(|l| l.name != name);
            names.insert(0, Learnt { name: name.clone(), at, ttl });
            names.truncate(NAMES);
        }
        while self.order.len() > ADDRESSES {
            if let Some(old) = self.order.pop_front() {
                self.of.remove(&old);
            }
        }
    }

    pub fn of(&self, ip: IpAddr) -> &[Learnt] {
        self.of.get(&ip).map_or(&[], Vec::as_slice)
    }
}

/// Lower case, no trailing dot: how names are compared.
pub fn normal(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn newest_first_and_bounded() {
        let mut n = Names::default();
        let ip: IpAddr = "10.0.0.1".parse().unwrap();
        for i in 0..40 {
            n.learn(&format!("N{i}.Example."), &[ip], 30, Nanos(i));
        }
        assert_eq!(n.of(ip).len(), NAMES);
        assert_eq!(n.of(ip)[0].name, "n39.example");
        for i in 0..u32::try_from(ADDRESSES).unwrap() + 5 {
            n.learn("x", &[IpAddr::from(i.to_be_bytes())], 1, Nanos(0));
        }
        assert!(n.of(ip).is_empty() && n.of.len() <= ADDRESSES);
    }
}
