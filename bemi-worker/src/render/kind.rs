//! How a type's text becomes JSON.

use std::sync::Arc;

/// What `to_jsonb` makes of a type. Domains are what they are over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `true` or `false`.
    Boolean,
    /// A number, or a string for `NaN` and the infinities.
    Number,
    /// A string in the form of ISO 8601, as XML Schema has it.
    Timestamp,
    /// The same with an offset.
    TimestampTz,
    /// The value itself, if `jsonb` can hold it.
    Json,
    /// The value itself.
    Jsonb,
    /// A string of the server's text: what most types become.
    Text,
    /// An array, nested as it has dimensions.
    Array { element: Arc<Kind>, delimiter: u8 },
    /// `int2vector` and `oidvector`: an array whose text is its elements with spaces between.
    Vector { element: Arc<Kind> },
    /// An object by attribute.
    Composite { attributes: Vec<(String, Arc<Kind>)> },
    /// An object of strings.
    Hstore,
    /// What a cast to `json` that somebody defined makes of it, as that of PostGIS for `geometry`. Only
    /// the server can run that: a string of its text, marked.
    CastToJson,
    /// The catalog does not know the type any more: a string of the server's text, marked.
    Unknown,
}

impl Kind {
    /// The kinds of built-in types that need no catalog: those that every schema uses.
    pub(crate) fn of_builtin(type_oid: u32) -> Option<Self> {
        match type_oid {
            16 => Some(Self::Boolean),
            // int8, int2, int4, float4, float8, numeric
            20 | 21 | 23 | 700 | 701 | 1700 => Some(Self::Number),
            1114 => Some(Self::Timestamp),
            1184 => Some(Self::TimestampTz),
            114 => Some(Self::Json),
            3802 => Some(Self::Jsonb),
            // int2vector, oidvector
            22 => Some(Self::Vector { element: Arc::new(Self::Number) }),
            30 => Some(Self::Vector { element: Arc::new(Self::Text) }),
            // bytea, char, name, text, oid, xml, inet, bpchar, varchar, date, time, interval, uuid
            17 | 18 | 19 | 25 | 26 | 142 | 869 | 1042 | 1043 | 1082 | 1083 | 1186 | 2950 => {
                Some(Self::Text)
            }
            _ => None,
        }
    }
}
