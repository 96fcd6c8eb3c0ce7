//! The response of each path.

use tiny_http::Method;

use crate::pod::appinfo::{self, AppInfo};
use crate::pod::drain::Draining;
use crate::pod::labels_file::LabelsFile;
use crate::pod::variant::{self, Variant};
use crate::response::{JSON, Response};
use crate::web::metrics::{Metrics, TEXT_FORMAT};
use crate::web::page;
use crate::web::route::Route;

/// The responses, made in advance where that is possible.
pub struct Endpoints {
    variant: &'static Variant,
    labels: LabelsFile,
    draining: &'static Draining,
    appinfo: Response,
    /// The broken variant's response, for an error rate.
    failure: Response,
    page: Response,
    ok: Response,
    not_ready: Response,
    metrics: Response,
    options: Response,
    not_allowed: Response,
    not_found: Response,
}

/// Whether a method asks for what a path has to tell.
pub fn is_read(method: &Method) -> bool {
    matches!(method, Method::Get | Method::Head)
}

impl Endpoints {
    /// The responses of this pod.
    pub fn new(
        variant: &'static Variant,
        labels: LabelsFile,
        draining: &'static Draining,
    ) -> Endpoints {
        let allow = |response: Response| response.with_header("Allow", "GET, HEAD, OPTIONS");
        let mut endpoints = Endpoints {
            variant,
            labels,
            draining,
            appinfo: Response::empty(204),
            failure: Response::empty(204),
            page: page::response(),
            ok: Response::new(200, JSON, b"{\"status\":\"ok\"}\n"),
            not_ready: Response::error(503, "draining: this pod is about to stop"),
            metrics: Response::empty(204),
            options: allow(Response::empty(204)),
            not_allowed: allow(Response::error(
                405,
                "this method is not allowed here: use GET, HEAD or OPTIONS",
            )),
            not_found: Response::error(
                404,
                "no such path: try /, /v1/appinfo, /healthz, /readyz or /metrics",
            ),
        };
        endpoints.refresh();
        endpoints
    }

    /// Reads the labels, once for each batch of requests: a change shows in the response to every request
    /// that is sent after it.
    pub fn refresh(&mut self) {
        let Some(labels) = self.labels.read_if_changed() else { return };
        let facts = labels.map(AppInfo::new);
        let release = facts.as_ref().map(|facts| facts.release.clone()).unwrap_or_default();
        let with_pod = |response: Response| {
            response
                .with_safe_header("Appinfo-Pod", &appinfo::pod_name())
                .with_safe_header("Appinfo-Release", &release)
        };
        self.failure = with_pod(Response::error(500, variant::BROKEN));
        self.appinfo = with_pod(match (self.variant.behavior)(facts) {
            Ok(appinfo) => Response::json(200, &appinfo),
            Err(sentence) => Response::error(500, &sentence),
        });
    }

    /// The response of a path to a method; `fails` makes it the broken variant's, where it has one.
    pub fn response(
        &mut self,
        route: Route,
        method: &Method,
        fails: bool,
        metrics: &Metrics,
    ) -> &Response {
        match route {
            Route::Unknown => &self.not_found,
            _ if *method == Method::Options => &self.options,
            _ if !is_read(method) => &self.not_allowed,
            Route::Page => &self.page,
            Route::AppInfo if fails => &self.failure,
            Route::AppInfo => &self.appinfo,
            Route::Readyz if self.draining.has_begun() => &self.not_ready,
            // Of every variant alike: a broken canary is alive and ready, or the story would have no errors
            // to show.
            Route::Readyz | Route::Healthz => &self.ok,
            Route::Metrics => {
                self.metrics = Response::new(200, TEXT_FORMAT, metrics.to_string().into_bytes());
                &self.metrics
            }
        }
    }
}
