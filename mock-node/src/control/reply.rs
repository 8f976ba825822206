//! What the control API answers: JSON always, errors with their reason.

use axum::{
    Json,
    extract::{FromRequest, FromRequestParts, OriginalUri, Path, Query, Request, rejection::JsonRejection},
    http::{HeaderValue, Method, StatusCode, header, request::Parts},
    response::{IntoResponse, Response},
};
use serde::{Serialize, de::DeserializeOwned};
use utoipa::ToSchema;

/// Why a call is not done.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Refusal {
    /// The HTTP status.
    code: u16,
    /// What is wrong, and what is expected.
    message: String,
}

impl Refusal {
    pub(super) fn bad(message: impl Into<String>) -> Self {
        Self { code: 400, message: message.into() }
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self { code: 404, message: message.into() }
    }

    /// The call makes no sense in the state that the node is in.
    pub(super) fn conflict(message: impl Into<String>) -> Self {
        Self { code: 409, message: message.into() }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, Json(self)).into_response()
    }
}

pub(super) async fn unknown_path(OriginalUri(uri): OriginalUri) -> Refusal {
    Refusal::not_found(format!("there is no {}: see /swagger-ui/ or /api-doc.json", uri.path()))
}

pub(super) async fn wrong_method(method: Method, OriginalUri(uri): OriginalUri) -> Refusal {
    Refusal { code: 405, message: format!("{method} does not go with {}: see /swagger-ui/", uri.path()) }
}

/// A JSON body. The content type is not insisted on: a plain `curl -d` does not set it.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Refusal> {
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(header::CONTENT_TYPE, json);
        match Json::from_request(request, state).await {
            Ok(Json(body)) => Ok(Self(body)),
            Err(JsonRejection::JsonDataError(error)) => Err(Refusal::bad(error.body_text())),
            Err(error) => Err(Refusal { code: error.status().as_u16(), message: error.body_text() }),
        }
    }
}

/// Query fields.
pub(super) struct Fields<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Fields<T> {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Query(fields) =
            Query::from_request_parts(parts, state).await.map_err(|error| Refusal::bad(error.body_text()))?;
        Ok(Self(fields))
    }
}

/// The name in the path.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refusal> {
        let Path(name) =
            Path::from_request_parts(parts, state).await.map_err(|error| Refusal::bad(error.body_text()))?;
        Ok(Self(name))
    }
}
