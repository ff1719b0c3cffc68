//! The three paths, over HTTP/1.1.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use kmskit::Error;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::message::{FailureInfo, TimeStampResp};
use crate::tsa::{Rejection, TimeStampAuthority, rejection};

/// Far beyond any request: a digest, a nonce and an OID fit into 200 octets.
const LONGEST_REQUEST: usize = 16 * 1024;
/// So much of a request that is too long is read all the same, so that its sender gets to read the answer.
const LONGEST_READ: usize = 8 * 1024 * 1024;
/// For the head of a request, and for its body.
const PATIENCE: Duration = Duration::from_secs(10);

const QUERY: &str = "application/timestamp-query";
const REPLY: &str = "application/timestamp-reply";

/// What is served.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) authority: TimeStampAuthority,
    /// The certificate chain in PEM.
    pub(crate) chain: Bytes,
}

/// Serves until `end`, then lets the requests that are under way finish.
pub(crate) async fn serve(listener: TcpListener, service: Arc<Service>, end: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let mut end = std::pin::pin!(end);
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(error) => {
                    // Out of file descriptors, most likely: some come back as connections end.
                    eprintln!("cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = &mut end => break,
        };
        // An answer is one small write; it must not wait for more.
        let _ = stream.set_nodelay(true);
        let service = Arc::clone(&service);
        let answer = service_fn(move |request| {
            let service = Arc::clone(&service);
            async move { Ok::<_, Infallible>(answer(&service, request).await) }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), answer);
        let connection = graceful.watch(connection);
        // A connection that breaks off concerns nobody but its other end.
        tokio::spawn(async move { drop(connection.await) });
    }
    drop(listener);
    let _ = timeout(PATIENCE, graceful.shutdown()).await;
}

type Answer = Response<Full<Bytes>>;

async fn answer(service: &Service, request: Request<Incoming>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/api/v1/timestamp") => stamp(service, request).await,
        (&Method::GET, "/api/v1/timestamp/certchain") => {
            response(StatusCode::OK, "application/pem-certificate-chain", service.chain.clone())
        }
        (&Method::GET | &Method::HEAD, "/ping") => response(StatusCode::OK, "text/plain", "."),
        (_, "/api/v1/timestamp" | "/api/v1/timestamp/certchain" | "/ping") => {
            response(StatusCode::METHOD_NOT_ALLOWED, "text/plain", "another method is needed\n")
        }
        _ => response(StatusCode::NOT_FOUND, "text/plain", "no such path\n"),
    }
}

/// Every answer is a `TimeStampResp`; the HTTP status says the same for those in between: 201 as timestamp-server has it.
async fn stamp(service: &Service, request: Request<Incoming>) -> Answer {
    let is_query = request.headers().get(CONTENT_TYPE).is_some_and(is_query);
    let body = match timeout(PATIENCE, read(request.into_body())).await {
        Ok(Ok(Some(body))) => body,
        Ok(Ok(None)) => {
            let rejection = rejection(FailureInfo::BadDataFormat, "the request is too long");
            return rejected(StatusCode::PAYLOAD_TOO_LARGE, &rejection);
        }
        Ok(Err(_)) | Err(_) => {
            let rejection = rejection(FailureInfo::BadRequest, "the request did not arrive whole");
            return rejected(StatusCode::REQUEST_TIMEOUT, &rejection);
        }
    };
    if !is_query {
        let rejection = rejection(FailureInfo::BadRequest, "the content type is not application/timestamp-query");
        return rejected(StatusCode::UNSUPPORTED_MEDIA_TYPE, &rejection);
    }
    // Only waits while the device or service signs: a worker of the runtime goes on with other connections. A software
    // key computes in place, in less time than handing it to another thread is worth.
    match service.authority.stamp(&body).await {
        Ok(stamp) => response(StatusCode::CREATED, REPLY, stamp),
        Err(rejection) => {
            let Some(error) = &rejection.error else { return rejected(StatusCode::BAD_REQUEST, &rejection) };
            eprintln!("no time stamp: {}", error.chain());
            rejected(status_of(error), &rejection)
        }
    }
}

/// The body, or `None` when it is too long.
async fn read(mut body: Incoming) -> Result<Option<Vec<u8>>, hyper::Error> {
    let (mut octets, mut total) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        total += data.len();
        if total > LONGEST_READ {
            break;
        }
        if total <= LONGEST_REQUEST {
            octets.extend_from_slice(&data);
        }
    }
    Ok((total <= LONGEST_REQUEST).then_some(octets))
}

fn is_query(value: &HeaderValue) -> bool {
    let media_type = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case(QUERY)
}

fn status_of(error: &Error) -> StatusCode {
    if error.is_transient() { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::INTERNAL_SERVER_ERROR }
}

fn rejected(status: StatusCode, rejection: &Rejection) -> Answer {
    match TimeStampResp::rejection(rejection.failure, rejection.text).and_then(|answer| answer.encode()) {
        Ok(der) => response(status, REPLY, der),
        Err(_) => response(StatusCode::INTERNAL_SERVER_ERROR, "text/plain", rejection.text),
    }
}

fn response(status: StatusCode, media_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}
