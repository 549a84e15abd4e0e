//! Dates and times.

use crate::draw::Draw;

pub(super) fn of(name: &str, draw: &mut Draw) -> Option<String> {
    Some(match name {
        "date" => match draw.below(12) {
            0 => "infinity".to_owned(),
            1 => "-infinity".to_owned(),
            2 => "4714-11-24 BC".to_owned(),
            3 => "5874897-12-31".to_owned(),
            _ => dated(draw, 5_874_896, ""),
        },
        "time" => time(draw),
        "timetz" => timetz(draw),
        "timestamp" => timestamp(draw, ""),
        "timestamptz" => timestamp(draw, "+00"),
        "interval" => interval(draw),
        _ => return None,
    })
}

fn time(draw: &mut Draw) -> String {
    match draw.below(8) {
        0 => "24:00:00".to_owned(),
        1 => "23:59:59.999999".to_owned(),
        2 => "00:00:00".to_owned(),
        _ => clock(draw),
    }
}

fn timetz(draw: &mut Draw) -> String {
    match draw.below(8) {
        0 => "24:00:00+15:59:59".to_owned(),
        1 => "00:00:00-15:59:59".to_owned(),
        _ => format!("{}{}", time(draw), offset(draw)),
    }
}

/// The same of a timestamp.
pub(super) fn timestamp_of_these_days(draw: &mut Draw) -> String {
    let clock = clock(draw);
    dated(draw, 4000, &format!(" {clock}"))
}

fn interval(draw: &mut Draw) -> String {
    match draw.below(24) {
        0 => "178000000 years".to_owned(),
        1 => "-178000000 years".to_owned(),
        2 => "2147483647 mons".to_owned(),
        3 => "-2147483648 days".to_owned(),
        // The longest time is read since 15.
        4 if draw.version >= 150_000 => "2562047788:00:54.775807".to_owned(),
        5 if draw.version >= 150_000 => "-2562047788:00:54.775807".to_owned(),
        6 => "0".to_owned(),
        // Since 17 there is a longest interval.
        7 if draw.version >= 170_000 => "infinity".to_owned(),
        8 if draw.version >= 170_000 => "-infinity".to_owned(),
        _ => interval_of_these_days(draw),
    }
}

/// What a rounded fraction does not push out of range.
pub(super) fn interval_of_these_days(draw: &mut Draw) -> String {
    let part = |draw: &mut Draw| if draw.one_in(3) { 0 } else { draw.between(-1000, 1000) };
    let (months, days) = (part(draw), part(draw));
    format!("{months} mons {days} days {}{}", draw.pick(&["+", "-"]), clock(draw))
}

fn timestamp(draw: &mut Draw, utc: &str) -> String {
    match draw.below(12) {
        0 => "infinity".to_owned(),
        1 => "-infinity".to_owned(),
        2 => format!("4714-11-24 00:00:00{utc} BC"),
        3 => format!("294276-12-31 23:59:59.999999{utc}"),
        4 => format!("0001-12-31 23:59:59.5{utc} BC"),
        _ => {
            let clock = clock(draw);
            let offset = if utc.is_empty() { String::new() } else { offset(draw) };
            dated(draw, 294_275, &format!(" {clock}{offset}"))
        }
    }
}

/// A date of up to `year_max`, followed by `rest`; the era comes last.
fn dated(draw: &mut Draw, year_max: i64, rest: &str) -> String {
    let (month, day) = (draw.between(1, 12), draw.between(1, 28));
    let (year, era) = match draw.below(6) {
        0 => (draw.between(1, 4713), " BC"),
        1 => (draw.between(1, year_max), ""),
        _ => (draw.between(1900, 2100), ""),
    };
    format!("{year:04}-{month:02}-{day:02}{rest}{era}")
}

fn clock(draw: &mut Draw) -> String {
    let (hour, minute, second) = (draw.below(24), draw.below(60), draw.below(60));
    match draw.below(3) {
        0 => format!("{hour:02}:{minute:02}:{second:02}"),
        1 => format!("{hour:02}:{minute:02}:{second:02}.{}", draw.below(10)),
        _ => format!("{hour:02}:{minute:02}:{second:02}.{:06}", draw.below(1_000_000)),
    }
}

fn offset(draw: &mut Draw) -> String {
    let sign = *draw.pick(&["+", "-"]);
    match draw.below(3) {
        0 => format!("{sign}{:02}", draw.below(16)),
        1 => format!("{sign}{:02}:{:02}", draw.below(15), draw.below(60)),
        _ => format!("{sign}{:02}:{:02}:{:02}", draw.below(15), draw.below(60), draw.below(60)),
    }
}
