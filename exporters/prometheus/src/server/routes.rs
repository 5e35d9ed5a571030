//! What is answered where.

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use tokio::sync::{OnceCell, Semaphore};
use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout};

use super::coalesce::Coalesced;
use super::guard::{self, Refusal, Rules};
use super::stats::Stats;
use super::{DumpForm, HeapForm, Limits, Pages};

/// The content type of the Prometheus text format.
pub(crate) const METRICS_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";
const HTML: &str = "text/html; charset=utf-8";

/// Bodies below this are sent as they are: gzip would save less than a packet.
const GZIP_FROM: usize = 1024;

/// On every answer. The page needs its own style and nothing else, from nowhere else.
const SECURITY: [(HeaderName, &str); 6] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// All that a connection needs to answer.
pub(crate) struct Site {
    pub(crate) limits: Limits,
    pub(crate) stats: Arc<Stats>,
    rules: Rules,
    in_flight: Semaphore,
    metrics: Arc<Coalesced<Page>>,
    index: Arc<Coalesced<Page>>,
    dumps: Option<Dumps>,
    heap: Heap,
}

/// The dump in its two forms.
struct Dumps {
    json: Arc<Coalesced<Page>>,
    text: Arc<Coalesced<Page>>,
}

/// The heap's call sites in their three forms.
struct Heap {
    pprof: Arc<Coalesced<Page>>,
    folded: Arc<Coalesced<Page>>,
    text: Arc<Coalesced<Page>>,
}

/// A rendered page, and its compressed form once someone asked for it.
struct Page {
    /// `None` where there is nothing to show.
    text: Option<Bytes>,
    gzip: OnceCell<Bytes>,
}

impl Site {
    pub(crate) fn new(pages: Arc<dyn Pages>, rules: Rules, limits: Limits, stats: Arc<Stats>) -> Self {
        let for_index = Arc::clone(&pages);
        let gathered = Arc::clone(&stats);
        let dump = |form| {
            let pages = Arc::clone(&pages);
            Coalesced::new(move || Page::new(pages.dump(form)))
        };
        let dumps = pages.has_dump().then(|| Dumps { json: dump(DumpForm::Json), text: dump(DumpForm::Text) });
        let heap = |form| {
            let pages = Arc::clone(&pages);
            Coalesced::new(move || Page::new(pages.heap(form)))
        };
        let heap = Heap { pprof: heap(HeapForm::Pprof), folded: heap(HeapForm::Folded), text: heap(HeapForm::Text) };
        Self {
            rules,
            in_flight: Semaphore::new(limits.max_in_flight),
            metrics: Coalesced::new(move || {
                let started = Instant::now();
                let text = pages.metrics();
                gathered.gathered(started.elapsed());
                Page::new(text)
            }),
            index: Coalesced::new(move || Page::new(for_index.index())),
            dumps,
            heap,
            limits,
            stats,
        }
    }

    /// The answer to one request.
    pub(crate) async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.stats.requests.fetch_add(1, Relaxed);
        let (request, _body) = request.into_parts();
        let answer = match guard::check(&request, &self.rules) {
            Err(refusal) => Err(refusal),
            Ok(()) => match (request.uri.path(), &self.dumps) {
                ("/metrics", _) => self.page(&self.metrics, METRICS_TYPE, &request.headers).await,
                ("/healthz", _) => Ok(response(TEXT, Bytes::from_static(b"ok\n"))),
                ("/", _) => self.page(&self.index, HTML, &request.headers).await,
                ("/dump.json", Some(dumps)) => self.page(&dumps.json, JSON, &request.headers).await,
                ("/dump.txt", Some(dumps)) => self.page(&dumps.text, TEXT, &request.headers).await,
                ("/heap.pb.gz", _) => self.page(&self.heap.pprof, BINARY, &request.headers).await,
                ("/heap.folded", _) => self.page(&self.heap.folded, TEXT, &request.headers).await,
                ("/heap.txt", _) => self.page(&self.heap.text, TEXT, &request.headers).await,
                _ => Err(Refusal::NotFound),
            },
        };
        answer.unwrap_or_else(|refusal| {
            self.stats.refuse(refusal);
            refused(refusal)
        })
    }

    async fn page(
        &self,
        page: &Arc<Coalesced<Page>>,
        content_type: &'static str,
        headers: &HeaderMap,
    ) -> Result<Response<Full<Bytes>>, Refusal> {
        let _place = self.in_flight.try_acquire().map_err(|_| Refusal::Overloaded)?;
        let work = async {
            let (page, shared) = page.get().await;
            let page = page.map_err(|_| Refusal::GatherFailed)?;
            let text = page.text.clone().ok_or(Refusal::NotFound)?;
            // What is binary is compressed already.
            let gzip = content_type != BINARY && text.len() >= GZIP_FROM && guard::accepts_gzip(headers);
            let body = if gzip { page.gzip(text).await? } else { text };
            Ok((body, gzip, shared))
        };
        let (body, gzip, shared) =
            timeout(self.limits.gather_timeout, work).await.map_err(|_| Refusal::GatherTimeout)??;
        if content_type == METRICS_TYPE {
            self.stats.scrapes.fetch_add(1, Relaxed);
            self.stats.coalesced.fetch_add(u64::from(shared), Relaxed);
        }
        let mut response = response(content_type, body);
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        if gzip {
            headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        }
        Ok(response)
    }
}

impl Page {
    fn new(text: impl Into<Option<Vec<u8>>>) -> Self {
        Self { text: text.into().map(Bytes::from), gzip: OnceCell::new() }
    }

    /// Compressed once, off the server's thread, for all who share the page.
    async fn gzip(&self, text: Bytes) -> Result<Bytes, Refusal> {
        let compress = || async {
            let packed = spawn_blocking(move || compress(&text)).await;
            packed.ok().and_then(Result::ok).ok_or(Refusal::GatherFailed)
        };
        self.gzip.get_or_try_init(compress).await.cloned()
    }
}

fn compress(text: &[u8]) -> std::io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(text.len() / 4), Compression::fast());
    encoder.write_all(text)?;
    encoder.finish().map(Bytes::from)
}

fn response(content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    for (name, value) in SECURITY {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    let mut response = response(TEXT, Bytes::from_static(refusal.message().as_bytes()));
    *response.status_mut() = refusal.status();
    let headers = response.headers_mut();
    match refusal {
        Refusal::Method => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            // What follows a refused method may be a body.
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Refusal::Body => {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        Refusal::Unauthorized => {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"engine-vitals\""));
        }
        Refusal::Overloaded | Refusal::GatherTimeout => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        Refusal::UriTooLong
        | Refusal::NoHost
        | Refusal::ForeignHost
        | Refusal::NotFound
        | Refusal::GatherFailed
        | Refusal::HeadTooLarge
        | Refusal::Malformed => {}
    }
    response
}
