//! What the program answers on each of its paths.

use std::borrow::Cow;
use std::mem;

use serde::Serialize;
use tiny_http::Method;

use crate::containment::bodies::Body;
use crate::pod::appinfo::{AppInfo, Pod};
use crate::pod::drain::Draining;
use crate::pod::labels_file::LabelsFile;
use crate::pod::variant::{self, Variant};
use crate::web::answer::Answer;
use crate::web::faults::{Fault, Faults};
use crate::web::late::Asked;
use crate::web::metrics::Metrics;
use crate::web::page;
use crate::web::route::Route;

/// Everything that answers are made of.
pub struct Endpoints {
    variant: &'static Variant,
    pod: Pod,
    labels: LabelsFile,
    /// Whether to read them before they are told again.
    looks_again: bool,
    draining: &'static Draining,
    pub faults: Faults,
    /// The answer for the labels last seen.
    appinfo: Answer,
    /// The broken variant's answer for them.
    failure: Answer,
    page: Answer,
    /// All is well.
    pub ok: Answer,
    not_ready: Answer,
}

impl Endpoints {
    pub fn new(
        variant: &'static Variant,
        labels: LabelsFile,
        faults: Faults,
        draining: &'static Draining,
    ) -> Endpoints {
        #[derive(Serialize)]
        struct Status {
            status: &'static str,
        }
        let ok = Answer::json(200, &Status { status: "ok" });
        Endpoints {
            variant,
            pod: Pod::from_environment(),
            labels,
            looks_again: true,
            draining,
            faults,
            // Never sent: the first look at the labels file replaces them.
            appinfo: ok.clone(),
            failure: ok.clone(),
            page: page::answer(),
            ok,
            not_ready: Answer::error(503, "draining: this pod is about to stop"),
        }
    }

    /// Lets the next answer about the labels read them anew; those after it need not. To be called
    /// when requests have come, before they are answered.
    pub fn look_again(&mut self) {
        self.looks_again = true;
    }

    /// What is to be wrong with the next answer to this.
    pub fn fault(&mut self, route: Route, method: &Method, body: Body) -> Fault {
        match (route, method, body) {
            (Route::AppInfo, Method::Get | Method::Head, Body::None) => self.faults.next(),
            _ => Fault::default(),
        }
    }

    /// The answer to what has been asked. A body comes before all else: no path and no method takes one.
    pub fn answer(&mut self, asked: &Asked, metrics: &Metrics) -> Cow<'_, Answer> {
        let (route, method) = (asked.route, asked.request.method());
        if asked.body != Body::None {
            return Cow::Owned(Answer::error(
                413,
                "no path here takes a body: send the request without one",
            ));
        }
        if route != Route::Unknown && !matches!(method, Method::Get | Method::Head) {
            let answer = Answer::error(405, "no such method here: use GET or HEAD");
            return Cow::Owned(answer.with_header("Allow", "GET, HEAD"));
        }
        match route {
            Route::Page => Cow::Borrowed(&self.page),
            Route::AppInfo => Cow::Borrowed(self.appinfo(asked.fails)),
            Route::Readyz if self.draining.has_begun() => Cow::Borrowed(&self.not_ready),
            // The variant has no say in these: a broken canary is alive and ready, else the
            // story would have no errors to show.
            Route::Readyz | Route::Healthz => Cow::Borrowed(&self.ok),
            Route::Metrics => Cow::Owned(metrics.answer()),
            Route::Unknown => Cow::Owned(Answer::error(
                404,
                "no such path: try /, /v1/appinfo, /healthz, /readyz or /metrics",
            )),
        }
    }

    /// The answer of `/v1/appinfo`, its own or the broken variant's, made anew when the labels have
    /// changed.
    fn appinfo(&mut self, fails: bool) -> &Answer {
        if mem::take(&mut self.looks_again)
            && let Some(labels) = self.labels.changed()
        {
            let facts = labels.map(|labels| AppInfo::new(&self.pod, labels));
            let release = facts.as_ref().map(|facts| facts.release.clone()).unwrap_or_default();
            let answer = |told: Result<AppInfo, String>| {
                let answer = match told {
                    Ok(appinfo) => Answer::json(200, &appinfo),
                    Err(sentence) => Answer::error(500, &sentence),
                };
                let answer = with_known(answer, "Appinfo-Pod", &self.pod.name);
                with_known(answer, "Appinfo-Release", &release)
            };
            self.failure = answer(variant::broken(Err(String::new())));
            self.appinfo = answer((self.variant.behaviour)(facts));
        }
        if fails { &self.failure } else { &self.appinfo }
    }
}

/// Adds a header, unless its value is unknown or could not stand in a header.
fn with_known(answer: Answer, name: &str, value: &str) -> Answer {
    if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
        return answer;
    }
    answer.with_header(name, value)
}
