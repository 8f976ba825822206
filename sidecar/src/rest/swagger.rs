//! `/swagger-ui/`: the documentation in a browser, from files within this program: it works without a network.

use std::sync::Arc;

use axum::extract::Path;
use axum::response::{IntoResponse, Redirect, Response};
use http::header;
use utoipa_swagger_ui::{Config, SwaggerFile};

use super::document;
use crate::refusal::Refusal;

/// Leads to the page.
pub(super) async fn leave() -> Redirect {
    Redirect::temporary("/swagger-ui/")
}

/// The page.
pub(super) async fn page() -> Result<Response, Refusal> {
    file("index.html")
}

/// A file that the page asks for.
pub(super) async fn named(Path(name): Path<String>) -> Result<Response, Refusal> {
    file(&name)
}

fn file(name: &str) -> Result<Response, Refusal> {
    let config = Arc::new(Config::from(document::PATH).try_it_out_enabled(true));
    match utoipa_swagger_ui::serve(name, config) {
        Ok(Some(SwaggerFile { bytes, content_type, .. })) => {
            Ok(([(header::CONTENT_TYPE, content_type)], bytes.into_owned()).into_response())
        }
        Ok(None) => Err(Refusal::UnknownPath),
        Err(error) => {
            tracing::error!("a file of the documentation cannot be served: {error}");
            Err(Refusal::Internal)
        }
    }
}
