//! Drop reasons in plain words (Hubble's `flow.DropReason` and the monitor's numbers).
//!
//! Owns the table: number, wire name, the text Hubble prints, our sentence, and whether a policy can be the cause.
//! Source: the datapath's drop codes as of Cilium 1.19.

/// Whether a policy can have caused a drop with this reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Default deny: no rule allowed it.
    DefaultDeny,
    /// An explicit deny rule.
    DenyRule,
    /// Authentication demanded by a policy.
    Auth,
    /// Not a network policy, whatever else.
    Other,
    /// The record gives no reason.
    None,
}

/// One reason.
#[derive(Debug, Clone, Copy)]
pub struct Reason {
    pub number: u32,
    /// Wire name; empty for monitor codes below 130 that have no enum value.
    pub name: &'static str,
    /// What Hubble prints as the event's type.
    pub printed: &'static str,
    /// A sentence for a person, without a full stop.
    pub words: &'static str,
}

/// The reason with this number.
pub fn by_number(number: u32) -> Option<&'static Reason> {
    REASONS.binary_search_by_key(&number, |r| r.number).ok().and_then(|i| REASONS.get(i))
}

/// The reason with this wire name, in any case.
pub fn by_name(name: &str) -> Option<&'static Reason> {
    REASONS.iter().find(|r| !r.name.is_empty() && r.name.eq_ignore_ascii_case(name))
}

/// What kind of cause the reason speaks of.
pub fn cause(number: u32) -> Cause {
    match number {
        0 => Cause::None,
        133 => Cause::DefaultDeny,
        181 => Cause::DenyRule,
        189 => Cause::Auth,
        _ => Cause::Other,
    }
}

/// All reasons, by number.
pub static REASONS: &[Reason] = &[
    Reason { number: 0, name: "DROP_REASON_UNKNOWN", printed: "Success", words: "no drop reason, or a reason number newer than the table" },
    Reason { number: 2, name: "", printed: "Invalid packet", words: "informational monitor code, not a drop reason" },
    Reason { number: 3, name: "", printed: "Interface", words: "informational monitor code, not a drop reason" },
    Reason { number: 4, name: "", printed: "Interface Decrypted", words: "informational monitor code, not a drop reason" },
    Reason {
        number: 5,
        name: "",
        printed: "LB, sock cgroup: No backend slot entry found",
        words: "informational monitor code, not a drop reason",
    },
    Reason {
        number: 6,
        name: "",
        printed: "LB, sock cgroup: No backend entry found",
        words: "informational monitor code, not a drop reason",
    },
    Reason {
        number: 7,
        name: "",
        printed: "LB, sock cgroup: Reverse entry update failed",
        words: "informational monitor code, not a drop reason",
    },
    Reason { number: 8, name: "", printed: "LB, sock cgroup: Reverse entry stale", words: "informational monitor code, not a drop reason" },
    Reason { number: 9, name: "", printed: "Fragmented packet", words: "informational monitor code, not a drop reason" },
    Reason {
        number: 10,
        name: "",
        printed: "Fragmented packet entry update failed",
        words: "informational monitor code, not a drop reason",
    },
    Reason { number: 11, name: "", printed: "Missed tail call to custom program", words: "informational monitor code, not a drop reason" },
    Reason { number: 12, name: "", printed: "Interface Decrypting", words: "informational monitor code, not a drop reason" },
    Reason { number: 13, name: "", printed: "Interface Encrypting", words: "informational monitor code, not a drop reason" },
    Reason {
        number: 14,
        name: "",
        printed: "LB: sock cgroup: Reverse entry delete succeeded",
        words: "informational monitor code, not a drop reason",
    },
    Reason { number: 15, name: "", printed: "MTU error message", words: "informational monitor code, not a drop reason" },
    Reason {
        number: 130,
        name: "INVALID_SOURCE_MAC",
        printed: "Invalid source mac",
        words: "source MAC address of the frame is not the endpoint's",
    },
    Reason {
        number: 131,
        name: "INVALID_DESTINATION_MAC",
        printed: "Invalid destination mac",
        words: "destination MAC address is not the expected one",
    },
    Reason {
        number: 132,
        name: "INVALID_SOURCE_IP",
        printed: "Invalid source ip",
        words: "the packet's source IP is not one the sending endpoint owns (spoof check)",
    },
    Reason {
        number: 133,
        name: "POLICY_DENIED",
        printed: "Policy denied",
        words: "no policy rule allows this traffic while the endpoint is in default-deny for that direction",
    },
    Reason { number: 134, name: "INVALID_PACKET_DROPPED", printed: "Invalid packet", words: "the packet is malformed or truncated" },
    Reason {
        number: 135,
        name: "CT_TRUNCATED_OR_INVALID_HEADER",
        printed: "CT: Truncated or invalid header",
        words: "connection tracking could not read a complete L4 header",
    },
    Reason {
        number: 136,
        name: "CT_MISSING_TCP_ACK_FLAG",
        printed: "Fragmentation needed",
        words: "packet is larger than the path MTU and may not be fragmented (the enum keeps its old name CT_MISSING_TCP_ACK_FLAG; the CLI prints 'Fragmentation needed')",
    },
    Reason {
        number: 137,
        name: "CT_UNKNOWN_L4_PROTOCOL",
        printed: "CT: Unknown L4 protocol",
        words: "connection tracking does not know the L4 protocol",
    },
    Reason {
        number: 138,
        name: "CT_CANNOT_CREATE_ENTRY_FROM_PACKET",
        printed: "CT: Can't create entry from packet",
        words: "connection tracking refused to create an entry for this packet",
    },
    Reason {
        number: 139,
        name: "UNSUPPORTED_L3_PROTOCOL",
        printed: "Unsupported L3 protocol",
        words: "the EtherType/L3 protocol is not handled (e.g. not IPv4/IPv6/ARP)",
    },
    Reason {
        number: 140,
        name: "MISSED_TAIL_CALL",
        printed: "Missed tail call",
        words: "a BPF tail call target was missing, usually during a datapath upgrade",
    },
    Reason {
        number: 141,
        name: "ERROR_WRITING_TO_PACKET",
        printed: "Error writing to packet",
        words: "the datapath could not write to the packet buffer",
    },
    Reason { number: 142, name: "UNKNOWN_L4_PROTOCOL", printed: "Unknown L4 protocol", words: "the L4 protocol is not handled" },
    Reason { number: 143, name: "UNKNOWN_ICMPV4_CODE", printed: "Unknown ICMPv4 code", words: "unhandled ICMPv4 code" },
    Reason { number: 144, name: "UNKNOWN_ICMPV4_TYPE", printed: "Unknown ICMPv4 type", words: "unhandled ICMPv4 type" },
    Reason { number: 145, name: "UNKNOWN_ICMPV6_CODE", printed: "Unknown ICMPv6 code", words: "unhandled ICMPv6 code" },
    Reason { number: 146, name: "UNKNOWN_ICMPV6_TYPE", printed: "Unknown ICMPv6 type", words: "unhandled ICMPv6 type" },
    Reason {
        number: 147,
        name: "ERROR_RETRIEVING_TUNNEL_KEY",
        printed: "Error retrieving tunnel key",
        words: "tunnel metadata (key) of an encapsulated packet could not be read",
    },
    Reason {
        number: 148,
        name: "ERROR_RETRIEVING_TUNNEL_OPTIONS",
        printed: "Error retrieving tunnel options",
        words: "tunnel options could not be read",
    },
    Reason { number: 149, name: "INVALID_GENEVE_OPTION", printed: "Invalid Geneve option", words: "bad Geneve option" },
    Reason {
        number: 150,
        name: "UNKNOWN_L3_TARGET_ADDRESS",
        printed: "Unknown L3 target address",
        words: "no next hop known for the L3 target (no neighbour/endpoint)",
    },
    Reason {
        number: 151,
        name: "STALE_OR_UNROUTABLE_IP",
        printed: "Stale or unroutable IP",
        words: "the destination belonged to an endpoint that is gone, or cannot be routed",
    },
    Reason {
        number: 152,
        name: "NO_MATCHING_LOCAL_CONTAINER_FOUND",
        printed: "No matching local container found",
        words: "no local endpoint owns the destination address",
    },
    Reason {
        number: 153,
        name: "ERROR_WHILE_CORRECTING_L3_CHECKSUM",
        printed: "Error while correcting L3 checksum",
        words: "L3 checksum could not be fixed up after rewriting",
    },
    Reason {
        number: 154,
        name: "ERROR_WHILE_CORRECTING_L4_CHECKSUM",
        printed: "Error while correcting L4 checksum",
        words: "L4 checksum could not be fixed up after rewriting",
    },
    Reason {
        number: 155,
        name: "CT_MAP_INSERTION_FAILED",
        printed: "CT: Map insertion failed",
        words: "the conntrack map refused the new entry (full, or a clash)",
    },
    Reason {
        number: 156,
        name: "INVALID_IPV6_EXTENSION_HEADER",
        printed: "Invalid IPv6 extension header",
        words: "bad or unsupported IPv6 extension header chain",
    },
    Reason {
        number: 157,
        name: "IP_FRAGMENTATION_NOT_SUPPORTED",
        printed: "IP fragmentation not supported",
        words: "IP fragments are not supported in this configuration",
    },
    Reason {
        number: 158,
        name: "SERVICE_BACKEND_NOT_FOUND",
        printed: "Service backend not found",
        words: "a service has no usable backend",
    },
    Reason {
        number: 160,
        name: "NO_TUNNEL_OR_ENCAPSULATION_ENDPOINT",
        printed: "No tunnel/encapsulation endpoint (datapath BUG!)",
        words: "no tunnel endpoint known for the destination although one was needed (datapath bug)",
    },
    Reason {
        number: 161,
        name: "FAILED_TO_INSERT_INTO_PROXYMAP",
        printed: "NAT 46/64 not enabled",
        words: "NAT46/64 needed but not enabled (the enum keeps the old name FAILED_TO_INSERT_INTO_PROXYMAP)",
    },
    Reason {
        number: 162,
        name: "REACHED_EDT_RATE_LIMITING_DROP_HORIZON",
        printed: "Reached EDT rate-limiting drop horizon",
        words: "bandwidth manager: the packet would depart later than the rate-limit horizon",
    },
    Reason {
        number: 163,
        name: "UNKNOWN_CONNECTION_TRACKING_STATE",
        printed: "Unknown connection tracking state",
        words: "conntrack returned a state the datapath does not know",
    },
    Reason {
        number: 164,
        name: "LOCAL_HOST_IS_UNREACHABLE",
        printed: "Local host is unreachable",
        words: "traffic to the local host cannot be delivered",
    },
    Reason {
        number: 165,
        name: "NO_CONFIGURATION_AVAILABLE_TO_PERFORM_POLICY_DECISION",
        printed: "No configuration available to perform policy decision",
        words: "endpoint has no policy configuration, so nothing can be decided",
    },
    Reason {
        number: 166,
        name: "UNSUPPORTED_L2_PROTOCOL",
        printed: "Unsupported L2 protocol",
        words: "the L2 frame type is not supported",
    },
    Reason {
        number: 167,
        name: "NO_MAPPING_FOR_NAT_MASQUERADE",
        printed: "No mapping for NAT masquerade",
        words: "masquerading needed but no SNAT mapping could be found or made",
    },
    Reason {
        number: 168,
        name: "UNSUPPORTED_PROTOCOL_FOR_NAT_MASQUERADE",
        printed: "Unsupported protocol for NAT masquerade",
        words: "masquerading is not possible for this protocol",
    },
    Reason { number: 169, name: "FIB_LOOKUP_FAILED", printed: "FIB lookup failed", words: "the kernel routing (FIB) lookup failed" },
    Reason {
        number: 170,
        name: "ENCAPSULATION_TRAFFIC_IS_PROHIBITED",
        printed: "Encapsulation traffic is prohibited",
        words: "an endpoint tried to send encapsulated (tunnel) traffic, which is refused",
    },
    Reason {
        number: 171,
        name: "INVALID_IDENTITY",
        printed: "Invalid identity",
        words: "the security identity carried by the packet is invalid",
    },
    Reason { number: 172, name: "UNKNOWN_SENDER", printed: "Unknown sender", words: "the sending endpoint is unknown" },
    Reason { number: 173, name: "NAT_NOT_NEEDED", printed: "NAT not needed", words: "internal: NAT was found to be unnecessary" },
    Reason {
        number: 174,
        name: "IS_A_CLUSTERIP",
        printed: "Is a ClusterIP",
        words: "packet addressed to a ClusterIP arrived from outside",
    },
    Reason {
        number: 175,
        name: "FIRST_LOGICAL_DATAGRAM_FRAGMENT_NOT_FOUND",
        printed: "First logical datagram fragment not found",
        words: "a later IP fragment arrived but the first one was not seen",
    },
    Reason {
        number: 176,
        name: "FORBIDDEN_ICMPV6_MESSAGE",
        printed: "Forbidden ICMPv6 message",
        words: "an ICMPv6 message type that endpoints may not send",
    },
    Reason {
        number: 177,
        name: "DENIED_BY_LB_SRC_RANGE_CHECK",
        printed: "Denied by LB src range check",
        words: "client address outside the Service's loadBalancerSourceRanges",
    },
    Reason { number: 178, name: "SOCKET_LOOKUP_FAILED", printed: "Socket lookup failed", words: "socket lookup failed (proxy redirect)" },
    Reason {
        number: 179,
        name: "SOCKET_ASSIGN_FAILED",
        printed: "Socket assign failed",
        words: "assigning the packet to a socket failed (proxy redirect)",
    },
    Reason {
        number: 180,
        name: "PROXY_REDIRECTION_NOT_SUPPORTED_FOR_PROTOCOL",
        printed: "Proxy redirection not supported for protocol",
        words: "an L7 redirect is configured for a protocol that cannot be proxied",
    },
    Reason { number: 181, name: "POLICY_DENY", printed: "Policy denied by denylist", words: "an explicit deny rule matched" },
    Reason {
        number: 182,
        name: "VLAN_FILTERED",
        printed: "VLAN traffic disallowed by VLAN filter",
        words: "VLAN id is not in the allowed set",
    },
    Reason { number: 183, name: "INVALID_VNI", printed: "Incorrect VNI from VTEP", words: "packet from a VTEP carries the wrong VNI" },
    Reason {
        number: 184,
        name: "INVALID_TC_BUFFER",
        printed: "Failed to update or lookup TC buffer",
        words: "the datapath could not use its scratch buffer map",
    },
    Reason { number: 185, name: "NO_SID", printed: "No SID was found for the IP address", words: "SRv6: no SID for the destination" },
    Reason {
        number: 186,
        name: "MISSING_SRV6_STATE",
        printed: "SRv6 state was removed during tail call",
        words: "SRv6 state lost in a tail call",
    },
    Reason {
        number: 187,
        name: "NAT46",
        printed: "L3 translation from IPv4 to IPv6 failed (NAT46)",
        words: "IPv4 to IPv6 translation failed",
    },
    Reason {
        number: 188,
        name: "NAT64",
        printed: "L3 translation from IPv6 to IPv4 failed (NAT64)",
        words: "IPv6 to IPv4 translation failed",
    },
    Reason {
        number: 189,
        name: "AUTH_REQUIRED",
        printed: "Authentication required",
        words: "policy demands mutual authentication and it has not been completed (yet)",
    },
    Reason { number: 190, name: "CT_NO_MAP_FOUND", printed: "No conntrack map found", words: "the per-cluster conntrack map is missing" },
    Reason { number: 191, name: "SNAT_NO_MAP_FOUND", printed: "No nat map found", words: "the per-cluster NAT map is missing" },
    Reason { number: 192, name: "INVALID_CLUSTER_ID", printed: "Invalid ClusterID", words: "cluster id out of range or unknown" },
    Reason {
        number: 193,
        name: "UNSUPPORTED_PROTOCOL_FOR_DSR_ENCAP",
        printed: "Unsupported packet protocol for DSR encapsulation",
        words: "DSR encapsulation is not possible for this protocol",
    },
    Reason {
        number: 194,
        name: "NO_EGRESS_GATEWAY",
        printed: "No egress gateway found",
        words: "no egress gateway node is available for the matching egress gateway policy",
    },
    Reason {
        number: 195,
        name: "UNENCRYPTED_TRAFFIC",
        printed: "Traffic is unencrypted",
        words: "strict encryption mode: the packet would leave unencrypted",
    },
    Reason { number: 196, name: "TTL_EXCEEDED", printed: "TTL exceeded", words: "TTL / hop limit reached zero" },
    Reason { number: 197, name: "NO_NODE_ID", printed: "No node ID found", words: "no node id known for the remote node" },
    Reason {
        number: 198,
        name: "DROP_RATE_LIMITED",
        printed: "Rate limited",
        words: "a datapath rate limit was exceeded (e.g. ICMPv6/event limits)",
    },
    Reason {
        number: 199,
        name: "IGMP_HANDLED",
        printed: "IGMP handled",
        words: "IGMP packet consumed by the multicast code (not an error)",
    },
    Reason { number: 200, name: "IGMP_SUBSCRIBED", printed: "IGMP subscribed", words: "IGMP join handled (not an error)" },
    Reason {
        number: 201,
        name: "MULTICAST_HANDLED",
        printed: "Multicast handled",
        words: "multicast packet handled by replication (not an error)",
    },
    Reason {
        number: 202,
        name: "DROP_HOST_NOT_READY",
        printed: "Host datapath not ready",
        words: "the host datapath program is not loaded yet (start-up)",
    },
    Reason {
        number: 203,
        name: "DROP_EP_NOT_READY",
        printed: "Endpoint policy program not available",
        words: "the endpoint's policy program is not loaded yet (start-up/regeneration)",
    },
    Reason {
        number: 204,
        name: "DROP_NO_EGRESS_IP",
        printed: "No Egress IP configured",
        words: "an egress gateway policy matched but selected no valid egress IP",
    },
    Reason { number: 205, name: "DROP_PUNT_PROXY", printed: "Punt to proxy", words: "packet handed to a user space proxy (not an error)" },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sorted_and_found() {
        assert!(REASONS.windows(2).all(|w| w[0].number < w[1].number));
        assert_eq!(by_number(133).map(|r| r.name), Some("POLICY_DENIED"));
        assert_eq!(by_name("policy_deny").map(|r| r.number), Some(181));
        assert!(by_number(131).is_some() && by_number(159).is_none());
    }

    #[test]
    fn only_three_reasons_blame_a_policy() {
        let policy = REASONS.iter().filter(|r| !matches!(cause(r.number), Cause::Other | Cause::None)).count();
        assert_eq!(policy, 3);
    }
}
