//! Texts with names in them that somebody else chose, inside statements.

/// The text as a constant between dollar signs, which leaves it readable. No text ends it before its end.
pub(crate) fn dollar_quoted(text: &str) -> String {
    let mut tag = "bemi".to_owned();
    while text.contains(&format!("${tag}")) {
        tag.push('_');
    }
    format!("${tag}${text}${tag}$")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_end_it_gets_another_tag_around_it() {
        assert_eq!(dollar_quoted("SELECT 1"), "$bemi$SELECT 1$bemi$");
        assert_eq!(
            dollar_quoted("$bemi$; DROP TABLE t; --"),
            "$bemi_$$bemi$; DROP TABLE t; --$bemi_$"
        );
        assert_eq!(dollar_quoted("$bemi_$ $bemi"), "$bemi__$$bemi_$ $bemi$bemi__$");
    }
}
