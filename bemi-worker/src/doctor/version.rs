//! Versions of PostgreSQL: how long they get fixes, and minor ones that decode wrongly.

use super::checks::Subject;
use super::finding::Diagnosis;

/// A major version, when it gets its last fixes, and the first minor one without the defects of
/// decoding that are named in docs/findings.md.
struct Major {
    number: i32,
    supported_until: &'static str,
    minor_min: i32,
}

const MAJORS: [Major; 5] = [
    Major { number: 14, supported_until: "2026-11-12", minor_min: 19 },
    Major { number: 15, supported_until: "2027-11-11", minor_min: 14 },
    Major { number: 16, supported_until: "2028-11-09", minor_min: 10 },
    Major { number: 17, supported_until: "2029-11-08", minor_min: 6 },
    Major { number: 18, supported_until: "2030-11-14", minor_min: 0 },
];

pub(super) fn support(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    let facts = subject.facts;
    let servers = [("source", &facts.source), ("destination", &facts.destination)];
    let told: Vec<String> = servers
        .into_iter()
        .filter_map(|(side, server)| unsupported(side, server.version, &server.today))
        .collect();
    if !told.is_empty() {
        diagnosis.warn(
            "B061",
            told.join("; "),
            "defects of the server are not mended any more, or this worker was never tried with it",
            "upgrade PostgreSQL, or bemi-worker where the server is newer; how to keep the record whole \
             over an upgrade is in docs/operating.md",
        );
    }
}

fn unsupported(side: &str, version: i32, today: &str) -> Option<String> {
    let major = version / 10_000;
    let newest = MAJORS.last().map_or(0, |newest| newest.number);
    if major > newest {
        return Some(format!("the {side} runs PostgreSQL {major}, newer than this worker knows"));
    }
    let until = MAJORS.iter().find(|known| known.number == major).map(|m| m.supported_until);
    match until {
        Some(until) if today <= until => None,
        Some(until) => Some(format!(
            "the {side} runs PostgreSQL {major}, which has had no fixes since {until}"
        )),
        None => Some(format!("the {side} runs PostgreSQL {major}, which has no fixes any more")),
    }
}

/// Of the source alone: nobody decodes in the destination.
pub(super) fn decoding(subject: &Subject<'_>, diagnosis: &mut Diagnosis) {
    if let Some((major, minor, needed)) = defective(subject.facts.source.version) {
        diagnosis.warn(
            "B062",
            format!("the source runs PostgreSQL {major}.{minor}"),
            "it may decode a change by an old state of the publications where a table was added or altered \
             at the same time, and leave it out",
            format!("upgrade the source to {major}.{needed} or newer"),
        );
    }
}

/// Major and minor version, and the minor one that is needed, where that is another.
fn defective(version: i32) -> Option<(i32, i32, i32)> {
    let (major, minor) = (version / 10_000, version % 10_000);
    let needed = MAJORS.iter().find(|known| known.number == major)?.minor_min;
    (minor < needed).then_some((major, minor, needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_supported_up_to_its_last_day() {
        assert_eq!(unsupported("source", 140_023, "2026-11-12"), None);
        let told = unsupported("source", 140_023, "2026-11-13").unwrap();
        assert_eq!(told, "the source runs PostgreSQL 14, which has had no fixes since 2026-11-12");
        assert!(unsupported("destination", 130_010, "2024-01-01").is_some());
        assert!(unsupported("source", 190_000, "2026-11-22").unwrap().contains("newer"));
    }

    #[test]
    fn minor_versions_that_lose_changes_are_known() {
        assert_eq!(defective(170_005), Some((17, 5, 6)));
        assert_eq!(defective(170_006), None);
        assert_eq!(defective(150_013), Some((15, 13, 14)));
        assert_eq!(defective(180_000), None);
        assert_eq!(defective(190_000), None);
    }
}
