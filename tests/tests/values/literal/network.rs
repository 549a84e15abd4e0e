//! Addresses.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::texts::hexadecimal;
use crate::draw::Draw;

pub(super) fn of(name: &str, draw: &mut Draw) -> Option<String> {
    Some(match name {
        "inet" => inet(draw),
        "cidr" => cidr(draw),
        "macaddr" => hexadecimal(&draw.bytes(6)),
        "macaddr8" => hexadecimal(&draw.bytes(8)),
        _ => return None,
    })
}

fn inet(draw: &mut Draw) -> String {
    let (address, bits) = if draw.one_in(2) {
        (Ipv4Addr::from_bits((draw.bits() >> 32) as u32).to_string(), 32)
    } else {
        let high = u128::from(draw.bits()) << 64;
        (Ipv6Addr::from_bits(high | u128::from(draw.bits())).to_string(), 128)
    };
    if draw.one_in(2) { address } else { format!("{address}/{}", draw.between(0, bits)) }
}

/// No bit to the right of the mask may be set.
fn cidr(draw: &mut Draw) -> String {
    if draw.one_in(2) {
        let mask = draw.between(0, 32) as u32;
        let bits = (draw.bits() >> 32) as u32;
        let net = bits & u32::MAX.checked_shl(32 - mask).unwrap_or(0);
        format!("{}/{mask}", Ipv4Addr::from_bits(net))
    } else {
        let mask = draw.between(0, 128) as u32;
        let bits = u128::from(draw.bits()) << 64 | u128::from(draw.bits());
        let net = bits & u128::MAX.checked_shl(128 - mask).unwrap_or(0);
        format!("{}/{mask}", Ipv6Addr::from_bits(net))
    }
}
