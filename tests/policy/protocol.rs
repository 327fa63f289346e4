//! The corpus' words for protocols.
use flowhy::model::observed::L4;

pub fn l4(word: &str) -> L4 {
    match word {
        "TCP" => L4::Tcp,
        "UDP" => L4::Udp,
        "SCTP" => L4::Sctp,
        "ICMP" => L4::Icmp4,
        "ICMPv6" => L4::Icmp6,
        other => panic!("protocol {other}"),
    }
}
