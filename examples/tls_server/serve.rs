//! Connections: the handshake on a thread of its own, the rest on the runtime's workers.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::rustls::{ServerConfig, ServerConnection};

use crate::accept::accept;
use crate::handshake::failed;

/// Longest wait for a request.
const LIMIT: Duration = Duration::from_secs(10);

/// Answers until the future is dropped.
pub(crate) async fn serve(listener: TcpListener, config: Arc<ServerConfig>) {
    loop {
        match listener.accept().await {
            Ok((tcp, peer)) => drop(tokio::spawn(connection(tcp, peer, Arc::clone(&config)))),
            // Out of file descriptors, most likely; those in use come back.
            Err(error) => {
                eprintln!("cannot accept a connection: {error}");
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(tcp: TcpStream, peer: SocketAddr, config: Arc<ServerConfig>) {
    let stream = match accept(tcp, config).await {
        Ok(stream) => stream,
        Err(error) => {
            let error = failed("handshake", error);
            eprintln!("{peer}: {}", error.chain());
            return;
        }
    };
    let page = page(stream.get_ref().1);
    let service = service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(&request, &page))));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(LIMIT);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        eprintln!("{peer}: {error}");
    }
}

/// What was negotiated.
fn page(connection: &ServerConnection) -> String {
    let version = connection.protocol_version().map(|version| format!("{version:?}")).unwrap_or_default();
    let suite = connection.negotiated_cipher_suite().map(|suite| format!("{:?}", suite.suite())).unwrap_or_default();
    let client = if connection.peer_certificates().is_some() { "with a certificate" } else { "anonymous" };
    format!("version: {version}\ncipher suite: {suite}\nclient: {client}\n")
}

fn answer(request: &Request<Incoming>, page: &str) -> Response<Full<Bytes>> {
    let (status, text) = match *request.method() {
        Method::GET | Method::HEAD => (StatusCode::OK, page.to_owned()),
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
