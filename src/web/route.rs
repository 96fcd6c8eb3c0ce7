//! The paths that have a response.

/// Where a request's target leads.
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

/// All routes in order, and how metrics name their paths.
pub const ROUTES: [(Route, &str); 6] = [
    (Route::Page, "/"),
    (Route::AppInfo, "/v1/appinfo"),
    (Route::Healthz, "/healthz"),
    (Route::Readyz, "/readyz"),
    (Route::Metrics, "/metrics"),
    (Route::Unknown, "other"),
];

impl Route {
    /// The route of a request target in origin form or in absolute form, which a server must accept
    /// as well (RFC 9112, 3.2.2). A query means nothing to any of them.
    pub fn of(target: &str) -> Route {
        let path = path(target);
        let known = ROUTES.iter().find(|(_, name)| *name == path);
        known.map_or(Route::Unknown, |(route, _)| *route)
    }

    /// The path, as metrics name it.
    pub fn name(self) -> &'static str {
        ROUTES[self as usize].1
    }
}

/// The path in a request target, without scheme, authority and query.
pub fn path(target: &str) -> &str {
    let target = target.split('?').next().unwrap_or_default();
    match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => {
            rest.find('/').map_or("/", |start| &rest[start..])
        }
        _ => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_lead_to_their_routes() {
        for (target, route) in [
            ("/", Route::Page),
            ("/?a=b", Route::Page),
            ("/v1/appinfo", Route::AppInfo),
            ("/v1/appinfo?x=/healthz", Route::AppInfo),
            ("http://a/healthz", Route::Healthz),
            ("HTTPS://a:8080/readyz?x", Route::Readyz),
            ("http://a", Route::Page),
            ("http://a?x", Route::Page),
            ("/metrics", Route::Metrics),
            ("/metrics/", Route::Unknown),
            ("/V1/appinfo", Route::Unknown),
            ("//", Route::Unknown),
            ("*", Route::Unknown),
            ("", Route::Unknown),
            ("/ftp://a/healthz", Route::Unknown),
            ("a:80", Route::Unknown),
            ("other", Route::Unknown),
        ] {
            assert_eq!(Route::of(target), route, "{target:?}");
        }
    }

    #[test]
    fn all_routes_are_in_order() {
        for (place, (route, _)) in ROUTES.into_iter().enumerate() {
            assert_eq!(route as usize, place);
        }
    }
}
