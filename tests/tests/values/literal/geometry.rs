//! The geometric types.

use super::numbers::{coordinate, float8};
use crate::draw::Draw;

pub(super) fn of(name: &str, draw: &mut Draw) -> Option<String> {
    Some(match name {
        "point" => format!("({},{})", float8(draw), float8(draw)),
        // Of A and B one must not be zero.
        "line" => format!("{{{},{}1,{}}}", coordinate(draw), coordinate(draw), coordinate(draw)),
        "lseg" => format!("[{},{}]", point(draw), point(draw)),
        "box" => format!("{},{}", point(draw), point(draw)),
        "circle" => format!("<{},{}>", point(draw), draw.bits()),
        "path" => match draw.one_in(2) {
            true => format!("[{}]", points(draw)),
            false => format!("({})", points(draw)),
        },
        "polygon" => format!("({})", points(draw)),
        _ => return None,
    })
}

fn point(draw: &mut Draw) -> String {
    format!("({},{})", coordinate(draw), coordinate(draw))
}

fn points(draw: &mut Draw) -> String {
    let first = point(draw);
    draw.several(5, point).into_iter().fold(first, |points, point| points + "," + &point)
}
