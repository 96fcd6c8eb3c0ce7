//! The paths that the program answers.

/// What a request's target leads to.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Route {
    Page,
    AppInfo,
    Healthz,
    Readyz,
    Metrics,
    /// Any other path.
    Unknown,
}

impl Route {
    /// All of them, in order.
    pub const ALL: [Route; 6] = [
        Route::Page,
        Route::AppInfo,
        Route::Healthz,
        Route::Readyz,
        Route::Metrics,
        Route::Unknown,
    ];

    /// The route of a request target in origin form or in absolute form, which a server has to
    /// take as well (RFC 9112, 3.2.2). A query says nothing to any of them.
    pub fn of(target: &str) -> Route {
        match path(target) {
            "/" => Route::Page,
            "/v1/appinfo" => Route::AppInfo,
            "/healthz" => Route::Healthz,
            "/readyz" => Route::Readyz,
            "/metrics" => Route::Metrics,
            _ => Route::Unknown,
        }
    }

    /// The path, as metrics name it.
    pub fn name(self) -> &'static str {
        match self {
            Route::Page => "/",
            Route::AppInfo => "/v1/appinfo",
            Route::Healthz => "/healthz",
            Route::Readyz => "/readyz",
            Route::Metrics => "/metrics",
            Route::Unknown => "other",
        }
    }
}

/// The path in a request target, without scheme, authority and query.
pub fn path(target: &str) -> &str {
    let target = target.split('?').next().unwrap_or_default();
    if target.starts_with('/') {
        return target;
    }
    match target.split_once("://") {
        Some((scheme, rest))
            if ["http", "https"].iter().any(|s| s.eq_ignore_ascii_case(scheme)) =>
        {
            rest.find('/').map_or("/", |start| &rest[start..])
        }
        _ => target,
    }
}
