//! Why an HTTP request is not answered as it was asked: one error type, which becomes the documented body.
//!
//! Every error of the REST and the admin server reads `{"code":<status>,"message":".."}`.

use std::time::Duration;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use tracing::{error, warn};

use crate::store::StoreError;

/// What is served where something is served.
pub(crate) const METHODS: &str = "GET, HEAD, OPTIONS";

/// When a client may ask again for what could not be read: the database is tried again every few seconds.
const READ_AGAIN: Duration = Duration::from_secs(5);

/// Why a request is not answered as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// There is nothing under this path.
    #[error("Invalid request path provided")]
    UnknownPath,
    /// There is nothing under `/` itself.
    #[error("Invalid request path provided: /swagger-ui/ and /api-doc.json tell which paths there are")]
    Root,
    /// There is nothing under this path of the admin server.
    #[error("Nothing is served here: ask for /, /metrics, /health/live or /health/ready")]
    NoPage,
    /// A part of the path or of the query is not of the form that it must have.
    #[error("Invalid parameter in query: {0}")]
    Parameter(String),
    /// Nothing is stored under this name.
    #[error("Query returned no results")]
    NotFound,
    /// The path is right, the method is not.
    #[error("Method not allowed: only {METHODS} are served here")]
    Method,
    /// Too many requests within a second.
    #[error("Too many requests per second: try again in {} s", seconds(*.0))]
    Rate(Duration),
    /// Too many requests at once.
    #[error("Too many requests at once: try again in {} s", seconds(*.0))]
    Concurrency(Duration),
    /// It took longer than it may.
    #[error("The request took longer than {} s", seconds(*.0))]
    Slow(Duration),
    /// The database cannot be read now.
    #[error("The database is unavailable: try again later")]
    Unavailable,
    /// A defect, or stored data that cannot be read back.
    #[error("Internal error: the log of the sidecar tells more")]
    Internal,
}

/// The body of a refusal.
#[derive(Serialize)]
struct Body {
    code: u16,
    message: String,
}

impl Refusal {
    /// The status of the response.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::UnknownPath | Self::Root | Self::Parameter(_) => StatusCode::BAD_REQUEST,
            Self::NotFound | Self::NoPage => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::Rate(_) => StatusCode::TOO_MANY_REQUESTS,
            Self::Concurrency(_) | Self::Slow(_) | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// When it makes sense to ask again, if it does.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Rate(wait) | Self::Concurrency(wait) | Self::Slow(wait) => Some(*wait),
            Self::Unavailable => Some(READ_AGAIN),
            Self::UnknownPath
            | Self::Root
            | Self::Parameter(_)
            | Self::NotFound
            | Self::NoPage
            | Self::Method
            | Self::Internal => None,
        }
    }
}

/// Whole seconds, rounded up, at least one.
fn seconds(duration: Duration) -> u64 {
    let rest = u64::from(duration.subsec_nanos() > 0);
    (duration.as_secs() + rest).max(1)
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status();
        let body = Body { code: status.as_u16(), message: self.to_string() };
        let mut response = (status, Json(body)).into_response();
        let headers = response.headers_mut();
        if let Some(wait) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds(wait).into());
        }
        if self == Self::Method {
            headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
        }
        response
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(source) => {
                warn!("a request could not be answered, since the database cannot be read: {source}");
                Self::Unavailable
            }
            StoreError::Corrupt { id, source } => {
                error!(id, "a request could not be answered, since an entry cannot be read back: {source}");
                Self::Internal
            }
            StoreError::Lost(source) => {
                error!("a request could not be answered, since the database is lost: {source}");
                Self::Internal
            }
        }
    }
}
