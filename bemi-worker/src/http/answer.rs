//! Answers: their bodies, and the headers that all of them have.

use std::convert::Infallible;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use serde::Serialize;

/// A body, whole or in the making.
pub(crate) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What every answer says: keep it nowhere, and take it for nothing else.
const HEADERS: [(HeaderName, &str); 5] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// When to try again what was refused for lack of room, in seconds.
const RETRY_AFTER: &str = "2";

/// Why a request is not answered as it wished.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// There is no such thing, or it is not shown.
    NotFound,
    /// That can only be read.
    Method,
    /// The token is missing or wrong.
    Token,
    /// A name that leads here, and is not ours.
    Host,
    /// The request cannot be understood, and why.
    Request(String),
    /// The cursor is of no change in the record, and why.
    Cursor(String),
    /// There is no room now, and for what.
    Busy(&'static str),
    /// The database cannot be asked now.
    Unavailable,
    /// The database refused. The log says why: that is for nobody else.
    Failed,
}

/// An answer with this body.
pub(crate) fn with_body(
    status: StatusCode,
    content_type: &'static str,
    body: Body,
) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(value) {
        Ok(text) => with_body(status, "application/json", whole(text)),
        // Nothing that is answered here has keys that are no texts.
        Err(_) => with_body(StatusCode::INTERNAL_SERVER_ERROR, "application/json", whole("")),
    }
}

/// What can be done here.
pub(crate) fn options() -> Response<Body> {
    let mut response = with_body(StatusCode::NO_CONTENT, "application/json", whole(""));
    response.headers_mut().remove(header::CONTENT_TYPE);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(ALLOWED));
    response
}

const ALLOWED: &str = "GET, HEAD, OPTIONS";

/// A body that is there already.
pub(crate) fn whole(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed_unsync()
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Token => StatusCode::UNAUTHORIZED,
            Self::Host => StatusCode::MISDIRECTED_REQUEST,
            Self::Request(_) => StatusCode::BAD_REQUEST,
            Self::Cursor(_) => StatusCode::GONE,
            Self::Busy(_) | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Failed => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// What is wrong, and what to do about it.
    pub(super) fn message(&self) -> &str {
        match self {
            Self::NotFound => "there is nothing here",
            Self::Method => "this can only be read; use GET",
            Self::Token => "a token is needed; send it as `Authorization: Bearer …`",
            Self::Host => {
                "without a token, this is served to this machine alone; ask for 127.0.0.1 or localhost"
            }
            Self::Request(why) | Self::Cursor(why) => why,
            Self::Busy(what) => what,
            Self::Unavailable => "the database does not answer now; try again",
            Self::Failed => "the record cannot be read; the worker's log says why",
        }
    }

    /// As an answer.
    pub(crate) fn answer(&self) -> Response<Body> {
        #[derive(Serialize)]
        struct Told<'a> {
            error: &'a str,
        }
        let mut response = json(self.status(), &Told { error: self.message() });
        let header = match self {
            Self::Method => Some((header::ALLOW, ALLOWED)),
            Self::Token => Some((header::WWW_AUTHENTICATE, "Bearer")),
            Self::Busy(_) | Self::Unavailable => Some((header::RETRY_AFTER, RETRY_AFTER)),
            _ => None,
        };
        if let Some((name, value)) = header {
            response.headers_mut().insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
