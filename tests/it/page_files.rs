//! The status page as files: how they are served, and where they come from.

use std::{fs, io::Read as _};

use axum::{body::Body, http::Request};
use flate2::read::GzDecoder;
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::support::{Gateway, package_file};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/http/page");
/// Each file of the page, as the service names it, and what it is.
const FILES: [(&str, &str); 7] = [
    ("/", "text/html; charset=utf-8"),
    ("/assets/page.js", "text/javascript; charset=utf-8"),
    ("/assets/page.css", "text/css; charset=utf-8"),
    ("/assets/icon.svg", "image/svg+xml"),
    ("/assets/uplot-1.6.32/uPlot.iife.min.js", "text/javascript; charset=utf-8"),
    ("/assets/uplot-1.6.32/uPlot.min.css", "text/css; charset=utf-8"),
    ("/assets/uplot-1.6.32/LICENSE", "text/plain; charset=utf-8"),
];

/// Status, headers and bytes of a reply.
async fn fetch(
    gateway: &Gateway,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, Vec<(String, String)>, Vec<u8>) {
    let request = Request::builder().method(method).uri(path);
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let response = gateway.app.service.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let (head, body) = response.into_parts();
    let named = head.headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
    (head.status.as_u16(), named.collect(), body.collect().await.unwrap().to_bytes().to_vec())
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
    headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
}

/// The file behind the name that the service has for it.
fn file(path: &str) -> Vec<u8> {
    let name = match path.strip_prefix("/assets/") {
        Some(name) => name.replace("uplot-1.6.32/", "uplot/"),
        None => "index.html".to_owned(),
    };
    fs::read(format!("{FOLDER}/{name}")).unwrap()
}

#[tokio::test]
async fn each_file_comes_as_it_is_or_compressed_and_not_again_to_who_has_it() {
    // It stands before authentication.
    let gateway =
        Gateway::configured([("API_KEYS", "web:0123456789abcdef"), ("ADMIN_TOKEN", "the-administrators-own")]);
    for (path, media_type) in FILES {
        let (status, headers, body) = fetch(&gateway, "GET", path, &[]).await;
        assert_eq!((status, header(&headers, "content-type")), (200, media_type), "{path}");
        assert!(body == file(path), "{path} is another");
        let etag = header(&headers, "etag").to_owned();
        let lasts = if path.contains("uplot") { "public, max-age=31536000, immutable" } else { "no-cache" };
        assert_eq!(header(&headers, "cache-control"), lasts, "{path}");

        let (status, headed, empty) = fetch(&gateway, "HEAD", path, &[]).await;
        assert_eq!((status, header(&headed, "etag"), empty.len()), (200, &*etag, 0), "{path}");
        assert_eq!(header(&headed, "content-length"), body.len().to_string(), "{path}");

        let (status, headers, empty) = fetch(&gateway, "GET", path, &[("if-none-match", &etag)]).await;
        assert_eq!((status, header(&headers, "etag"), empty.len()), (304, &*etag, 0), "{path}");
        assert_eq!(header(&headers, "cache-control"), lasts, "{path}");

        let (status, headers, sent) = fetch(&gateway, "GET", path, &[("accept-encoding", "gzip, br")]).await;
        let is_small = media_type == "image/svg+xml";
        assert_eq!((status, header(&headers, "content-encoding")), (200, if is_small { "" } else { "gzip" }), "{path}");
        if is_small {
            continue;
        }
        let mut read = Vec::new();
        GzDecoder::new(&*sent).read_to_end(&mut read).unwrap();
        assert!(read == body && sent.len() < body.len(), "{path}");
        assert!(headers.iter().any(|(name, value)| name == "vary" && value == "accept-encoding"), "{path}");
        let compressed = header(&headers, "etag").to_owned();
        assert_ne!(compressed, etag, "{path}");
        let has = [("accept-encoding", "gzip"), ("if-none-match", &*compressed)];
        assert_eq!(fetch(&gateway, "GET", path, &has).await.0, 304, "{path}");
    }
}

#[tokio::test]
async fn a_page_may_load_only_what_is_the_services_own_and_nothing_else_is_there() {
    let gateway = Gateway::configured([]);
    let (_, headers, _) = fetch(&gateway, "GET", "/", &[]).await;
    let policy = header(&headers, "content-security-policy");
    for part in ["default-src 'none'", "script-src 'self'", "style-src 'self'", "require-trusted-types-for 'script'"] {
        assert!(policy.split("; ").any(|one| one == part), "{policy}");
    }
    for path in ["/assets", "/assets/", "/assets/none.js", "/assets/../page.js", "/assets/mod.rs", "/favicon.ico"] {
        let reply = gateway.get(path).await;
        assert_eq!(reply.expect(404).json()["error"], "Not found", "{path}");
    }
    let posted = gateway.send(Request::post("/").body(Body::empty()).unwrap()).await;
    assert_eq!(posted.expect(405).header("allow"), "GET,HEAD");
}

#[tokio::test]
async fn every_file_of_the_folder_is_served_and_what_the_page_loads_is_there() {
    let gateway = Gateway::configured([]);
    for entry in fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() || path.extension().unwrap() == "rs" || name == "index.html" {
            continue;
        }
        let reply = gateway.get(&format!("/assets/{name}")).await;
        let imported = reply.expect(200).body.split(" from './").skip(1).map(|rest| rest.split('\'').next().unwrap());
        for import in imported {
            gateway.get(&format!("/assets/{import}")).await.expect(200);
        }
    }
}

#[test]
fn what_is_vendored_is_what_its_package_has() {
    for (ours, theirs) in [
        ("LICENSE", "LICENSE"),
        ("uPlot.iife.min.js", "dist/uPlot.iife.min.js"),
        ("uPlot.min.css", "dist/uPlot.min.css"),
    ] {
        assert!(
            fs::read(format!("{FOLDER}/uplot/{ours}")).unwrap() == package_file(&format!("uplot/{theirs}")),
            "{ours}"
        );
    }
    let package: serde_json::Value = serde_json::from_slice(&package_file("uplot/package.json")).unwrap();
    // The version is in the path, so that browsers may keep the files for good.
    assert_eq!(package["version"], "1.6.32");
}
