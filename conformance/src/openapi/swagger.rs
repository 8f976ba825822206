//! The documentation's page in the browser, and that it needs nothing from elsewhere.

use crate::{
    check::{Check, Deviation, Finding, Need, Section, ensure},
    target::{Server, Target},
};

const SWAGGER: Section = Section::Page("Swagger Documentation");

pub(super) const CHECKS: &[Check] = &[
    Check {
        id: "swagger.page",
        section: SWAGGER,
        says: "http://localhost:18888/swagger-ui/",
        needs: &[Need::Rest],
        run: |target| Box::pin(page(target)),
    },
    Check {
        id: "swagger.no-slash",
        section: Section::Sidecar("REST server"),
        says: "/swagger-ui leads to /swagger-ui/",
        needs: &[Need::Rest],
        run: |target| Box::pin(without_slash(target)),
    },
    Check {
        id: "swagger.offline",
        section: Section::Sidecar("REST server"),
        says: "All that the page loads comes from the sidecar: it works without a network",
        needs: &[Need::Rest],
        run: |target| Box::pin(offline(target)),
    },
    Check {
        id: "swagger.document",
        section: SWAGGER,
        says: "The page shows the documentation of this sidecar's REST API: it loads /api-doc.json",
        needs: &[Need::Rest],
        run: |target| Box::pin(shows_document(target)),
    },
];

/// The page's HTML.
async fn html(target: &Target) -> Result<String, Deviation> {
    let answer = target.get(Server::Rest, "/swagger-ui/").await?;
    let kind = answer.header("content-type").to_owned();
    ensure(
        answer.status == 200 && kind.starts_with("text/html"),
        "200 text/html",
        format!("{} {kind}", answer.status),
    )?;
    Ok(answer.body)
}

async fn page(target: &Target) -> Finding {
    let html = html(target).await?;
    ensure(html.contains("id=\"swagger-ui\""), "an element for Swagger UI", &html)?;
    Ok(format!("{} bytes of HTML", html.len()))
}

async fn without_slash(target: &Target) -> Finding {
    let answer = target.get(Server::Rest, "/swagger-ui").await?;
    let leads = (300..400).contains(&answer.status) && answer.header("location").ends_with("/swagger-ui/");
    let seen = format!("{} {}", answer.status, answer.header("location"));
    ensure(leads || answer.status == 200, "the page, or a redirection to it", &seen)?;
    Ok(seen)
}

/// What the page loads: the values of `src`, and of `href` in `link` elements.
fn assets(html: &str) -> Vec<&str> {
    let tags = html.split('<').skip(1).filter_map(|tag| tag.split_once('>').map(|(tag, _)| tag));
    tags.filter_map(|tag| {
        let attribute = if tag.starts_with("link") { "href=\"" } else { " src=\"" };
        let (_, rest) = tag.split_once(attribute)?;
        rest.split_once('"').map(|(value, _)| value)
    })
    .collect()
}

/// Where an asset of the page is on the server; `None` if it is elsewhere.
fn located(asset: &str) -> Option<String> {
    if asset.contains("://") || asset.starts_with("//") {
        None
    } else if asset.starts_with('/') {
        Some(asset.to_owned())
    } else {
        Some(format!("/swagger-ui/{}", asset.trim_start_matches("./")))
    }
}

async fn offline(target: &Target) -> Finding {
    let html = html(target).await?;
    let assets = assets(&html);
    ensure(assets.iter().any(|asset| asset.contains(".js")), "scripts", &html)?;
    for asset in &assets {
        let path = located(asset).ok_or_else(|| Deviation::new("nothing from elsewhere", asset))?;
        let answer = target.get(Server::Rest, &path).await?;
        let there = answer.status == 200 && !answer.body.is_empty();
        ensure(
            there,
            format!("{path} to be there"),
            format!("{}, {} bytes", answer.status, answer.body.len()),
        )?;
    }
    Ok(format!("{} files, all from the sidecar", assets.len()))
}

async fn shows_document(target: &Target) -> Finding {
    let html = html(target).await?;
    let mut text = html.clone();
    for asset in assets(&html).into_iter().filter(|asset| asset.contains("initializer")) {
        let path = located(asset).ok_or_else(|| Deviation::new("nothing from elsewhere", asset))?;
        text.push_str(&target.get(Server::Rest, &path).await?.body);
    }
    let line = text.lines().find(|line| line.contains("api-doc.json")).map(str::trim).unwrap_or("nothing");
    let elsewhere = line.contains("://");
    ensure(line != "nothing" && !elsewhere, "/api-doc.json as the document's address", line)?;
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_page_loads_is_found_and_located() {
        let html = "<link rel=\"icon\" href=\"./a.png\"><script src=\"b.js\"></script><a href=\"http://x/\">x</a>\
                    <script charset=\"UTF-8\" src=\"https://cdn.example/c.js\"></script>";
        assert_eq!(assets(html), ["./a.png", "b.js", "https://cdn.example/c.js"]);
        assert_eq!(located("./a.png").as_deref(), Some("/swagger-ui/a.png"));
        assert_eq!(located("/b.js").as_deref(), Some("/b.js"));
        assert_eq!(located("https://cdn.example/c.js"), None);
        assert_eq!(located("//cdn.example/c.js"), None);
    }
}
