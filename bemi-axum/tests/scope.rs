//! How far the scope of a request reaches, and where it ends.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::{Context as TaskContext, Poll};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::routing::get;
use bemi_axum::{Context, ContextLayer, RequestContext, add_context, current_context, spawn};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{self, FuturesUnordered};
use http::{HeaderMap, Request, Response};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, StreamBody};
use serde_json::json;
use tower::{Service, ServiceExt, service_fn};
use tower_layer::Layer;

fn named(name: &'static str) -> ContextLayer {
    ContextLayer::new().set_context(move |_| json!({ "name": name }))
}

fn name_here() -> Option<String> {
    Some(current_context()?.get("name")?.as_str()?.to_owned())
}

#[tokio::test]
async fn any_service_over_http_requests_sees_the_context_in_its_call_and_its_future() {
    let (sender, receiver) = std::sync::mpsc::channel();
    let service = service_fn(move |_: Request<()>| {
        sender.send(name_here()).unwrap();
        let sender = sender.clone();
        async move {
            tokio::task::yield_now().await;
            sender.send(name_here()).unwrap();
            Ok::<_, Infallible>(Response::new(()))
        }
    });
    named("plain").layer(service).oneshot(Request::new(())).await.unwrap();
    let seen: Vec<_> = receiver.iter().collect();
    assert_eq!(seen, [Some("plain".to_owned()), Some("plain".to_owned())]);
}

#[tokio::test]
async fn a_streamed_body_sees_the_context_in_every_frame_and_in_its_trailers() {
    let frames = |_: Request<()>| async {
        let data = stream::iter(0..3).then(async |_| {
            tokio::task::yield_now().await;
            Ok::<_, Infallible>(Frame::data(Bytes::from(name_here().unwrap_or_default())))
        });
        let trailers = stream::once(async {
            let name = name_here().unwrap_or_default().parse().unwrap();
            Ok(Frame::trailers(HeaderMap::from_iter([("x-name".parse().unwrap(), name)])))
        });
        Ok::<_, Infallible>(Response::new(StreamBody::new(data.chain(trailers))))
    };
    let response = named("body").layer(service_fn(frames)).oneshot(Request::new(())).await.unwrap();
    let mut body = std::pin::pin!(response.into_body());
    for _ in 0..3 {
        assert_eq!(current_context(), None);
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "body");
    }
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["x-name"], "body");
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn what_the_handler_adds_is_in_the_context_of_the_body() {
    async fn handler(context: RequestContext) -> Body {
        context.add([("added", true)]);
        Body::from_stream(stream::once(async {
            Ok::<_, Infallible>(format!("{}", current_context().unwrap().get("added").unwrap()))
        }))
    }
    let app = Router::new().route("/", get(handler)).layer(ContextLayer::new());
    let response = app.oneshot(Request::get("/").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "true");
}

/// A body that claims things about itself.
#[derive(Default)]
struct Claims;

impl http_body::Body for Claims {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut TaskContext<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(42)
    }
}

#[tokio::test]
async fn the_size_and_the_end_of_a_body_are_those_of_the_inner_one() {
    let service = service_fn(async |_: Request<()>| Ok::<_, Infallible>(Response::new(Claims)));
    let response = ContextLayer::new().layer(service).oneshot(Request::new(())).await.unwrap();
    assert!(response.body().is_end_stream());
    assert_eq!(response.body().size_hint().exact(), Some(42));
}

/// A service that panics when it is called without having been polled ready.
#[derive(Clone, Default)]
struct MustBeReady {
    pending_polls: u8,
    ready: bool,
}

impl Service<Request<()>> for MustBeReady {
    type Response = Response<()>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Response<()>, &'static str>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        match self.pending_polls {
            0 => self.ready = true,
            more => self.pending_polls = more - 1,
        }
        if self.ready { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        assert!(std::mem::take(&mut self.ready), "called before it was ready");
        std::future::ready(Err("its own error"))
    }
}

#[tokio::test]
async fn readiness_and_errors_are_those_of_the_inner_service() {
    let mut service = named("ready").layer(MustBeReady { pending_polls: 1, ready: false });
    let mut polls = Vec::new();
    while polls.last() != Some(&true) {
        polls.push(
            poll_fn(|cx| {
                Poll::Ready(Service::<Request<()>>::poll_ready(&mut service, cx).is_ready())
            })
            .await,
        );
    }
    assert_eq!(polls, [false, true]);
    assert_eq!(service.call(Request::new(())).await.unwrap_err(), "its own error");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_thousand_concurrent_requests_each_keep_their_own_context() {
    async fn handler(Path(id): Path<u32>) -> String {
        add_context([("handler", id)]);
        for _ in 0..10 {
            tokio::task::yield_now().await;
            let expected = Context::new().with("endpoint", format!("/{id}")).with("handler", id);
            assert_eq!(current_context(), Some(expected));
        }
        let in_task = spawn(async { current_context() }).await.unwrap();
        assert_eq!(in_task, current_context());
        id.to_string()
    }
    let layer = ContextLayer::new().set_context(|parts| json!({ "endpoint": parts.uri.path() }));
    let app = Router::new().route("/{id}", get(handler)).layer(layer);
    let mut requests: FuturesUnordered<_> = (0..1000)
        .map(|id| {
            let request = Request::get(format!("/{id}")).body(Body::empty()).unwrap();
            let response = app.clone().oneshot(request);
            tokio::spawn(async move {
                let body = response.await.unwrap().into_body().collect().await.unwrap().to_bytes();
                assert_eq!(current_context(), None);
                assert_eq!(body, id.to_string());
            })
        })
        .collect();
    while let Some(finished) = requests.next().await {
        finished.unwrap();
    }
}

#[test]
fn a_panic_in_a_handler_leaves_the_thread_without_context() {
    let service = service_fn(async |_: Request<()>| {
        assert_eq!(name_here().as_deref(), Some("panics"));
        if name_here().is_some() {
            panic!("on purpose");
        }
        Ok::<_, Infallible>(Response::new(()))
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        runtime.block_on(named("panics").layer(service).oneshot(Request::new(())))
    }));
    assert!(panicked.is_err());
    assert_eq!(current_context(), None);
}

#[tokio::test]
async fn a_request_that_is_dropped_half_way_leaves_no_context() {
    let service = service_fn(async |_: Request<()>| {
        std::future::pending::<Result<Response<()>, Infallible>>().await
    });
    let mut call = Box::pin(named("dropped").layer(service).oneshot(Request::new(())));
    poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx).is_pending())).await;
    drop(call);
    assert_eq!(current_context(), None);
}

#[test]
fn the_layer_and_its_service_say_what_they_are() {
    let layer = named("debug").request_id();
    let text = format!("{:?}", layer.layer(()));
    assert!(text.contains("request_id: true") && text.contains("set_context: true"), "{text}");
}
