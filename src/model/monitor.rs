//! The monitor's numbers: event types, observation points, reserved identities, and Hubble's names for them.
//!
//! Owns the tables that filters read by name and printers by number. Drop reasons have a room of their own ([`super::reason`]).

/// Event types (`flow.event_type.type`).
pub const DROP: i32 = 1;
pub const DEBUG: i32 = 2;
pub const CAPTURE: i32 = 3;
pub const TRACE: i32 = 4;
pub const POLICY_VERDICT: i32 = 5;
pub const TRACE_SOCK: i32 = 7;
/// Not the datapath's own: records of the L7 proxy, and messages of the agent.
pub const L7: i32 = 129;
pub const AGENT: i32 = 130;

/// Sub-types of a trace event up to which the packet has come to a receiver; behind these it is on its way.
pub const TO_ENDPOINT: i32 = 0;
pub const TO_HOST: i32 = 2;

/// Observation points; the place is the sub-type of a trace event.
pub const TRACE_POINTS: [&str; 14] = [
    "to-endpoint",
    "to-proxy",
    "to-host",
    "to-stack",
    "to-overlay",
    "from-endpoint",
    "from-proxy",
    "from-host",
    "from-stack",
    "from-overlay",
    "from-network",
    "to-network",
    "from-crypto",
    "to-crypto",
];

/// Reserved identities; the place is the number.
pub const RESERVED: [&str; 11] =
    ["unknown", "host", "world", "unmanaged", "health", "init", "remote-node", "kube-apiserver", "ingress", "world-ipv4", "world-ipv6"];
