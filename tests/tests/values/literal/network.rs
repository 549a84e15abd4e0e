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
    let (address, bits) =
        if draw.one_in(2) { (v4(draw).to_string(), 32) } else { (v6(draw).to_string(), 128) };
    if draw.one_in(2) { address } else { format!("{address}/{}", draw.below(bits + 1)) }
}

/// No bit to the right of the mask may be set.
fn cidr(draw: &mut Draw) -> String {
    if draw.one_in(2) {
        let zeros = *draw.pick(&[0_u8, 1, 7, 8, 16, 24, 31, 32]);
        let mask = u32::MAX.checked_shl(zeros.into()).unwrap_or(0);
        format!("{}/{}", Ipv4Addr::from_bits(v4(draw).to_bits() & mask), 32 - zeros)
    } else {
        let zeros = *draw.pick(&[0_u8, 1, 63, 64, 65, 80, 127, 128]);
        let mask = u128::MAX.checked_shl(zeros.into()).unwrap_or(0);
        format!("{}/{}", Ipv6Addr::from_bits(v6(draw).to_bits() & mask), 128 - zeros)
    }
}

fn v4(draw: &mut Draw) -> Ipv4Addr {
    let bytes: [u8; 4] = draw.bytes(4).try_into().unwrap();
    bytes.into()
}

fn v6(draw: &mut Draw) -> Ipv6Addr {
    let mut bytes: [u8; 16] = draw.bytes(16).try_into().unwrap();
    // A row of zeros, and an IPv4 address, are written in their own ways.
    match draw.below(3) {
        0 => bytes[2..12].fill(0),
        1 => bytes[..10].fill(0),
        _ => {}
    }
    bytes.into()
}
