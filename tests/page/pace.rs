//! How often the page asks.

use std::time::{Duration, Instant};

use serde_json::json;

use super::{assert_clean, fastest, pod, three_stable, watch};
use crate::browser::{Browser, LEFT};
use crate::common::pod::STABLE;
use crate::common::service::{Mode, Service};
use crate::common::until;

#[test]
fn it_asks_at_the_pace_that_is_set_rests_when_paused_and_when_hidden() {
    let pods = three_stable();
    let service = Service::new("", &pods);
    let Some(browser) = Browser::at(&service.url()) else { return };
    let pace = || {
        let (before, start) = (service.count(), Instant::now());
        std::thread::sleep(Duration::from_secs(3));
        (service.count() - before) as f64 / start.elapsed().as_secs_f64()
    };
    let asks_again = || {
        let before = service.count();
        until("the page asks again", || service.count() > before + 5);
    };
    browser.wait("state.textContent === 'Live'");
    assert_eq!(browser.text("pace.textContent"), "4");
    let asked = pace();
    assert!((1.5..=4.8).contains(&asked), "{asked} a second, not about 4");
    fastest(&browser);
    assert_eq!(browser.text("pace.textContent"), "20");
    let asked = pace();
    assert!((5.5..=21.0).contains(&asked), "{asked} a second, not about 20");

    let rests = || {
        let shown = || browser.number("+responses.textContent");
        until("the last answer is shown", || shown() == service.count() as f64);
        let seen = "responses.textContent + $('pods').textContent";
        let before = (service.count(), browser.text(seen));
        std::thread::sleep(Duration::from_millis(2500)); // What is absent cannot be waited for.
        assert_eq!(before, (service.count(), browser.text(seen)));
    };
    browser.click("#pause");
    browser.wait("state.textContent === 'Paused' && pause.textContent === 'Resume'");
    rests();
    browser.js("rate.focus()");
    browser.press(LEFT);
    assert_eq!(browser.text("pace.textContent"), "19");
    rests(); // Another pace is not the end of the pause.
    browser.click("#pause");
    browser.wait("state.textContent === 'Live' && pause.textContent === 'Pause'");
    asks_again();

    browser.post("/window/minimize", json!({}));
    browser.wait("document.hidden");
    rests();
    browser.post("/window/rect", json!({"width": 1280, "height": 900}));
    browser.wait("!document.hidden");
    asks_again();
    assert_clean(&browser, &service);
}

#[test]
fn a_slow_or_dead_server_makes_it_wait_and_never_piles_up_requests() {
    let pod = pod(&STABLE, "2hx9k");
    let service = Service::new("", [&pod]);
    let Some(browser) = watch(&service) else { return };
    browser.wait("responses.textContent >= 20");

    service.set_mode(Mode::Hold);
    until("a few requests wait", || service.open() == 4);
    browser.wait("state.textContent === 'Cannot reach the server'");
    until("they are given up", || service.open() <= 1);
    assert_eq!(service.most_open(), 4);
    assert!(browser.text("detail.textContent").starts_with("Point"));
    browser.wait("grid.firstChild.matches('.lost')");
    assert!(browser.text("grid.firstChild.ariaLabel").contains("no response"));
    let asks_in_six_seconds = || {
        let before = service.count();
        std::thread::sleep(Duration::from_secs(6));
        service.count() - before
    };
    // One at a time, with ever longer waits: at the pace that is set it would be 120.
    let asked = asks_in_six_seconds();
    assert!(asked <= 3, "{asked} within 6 seconds");

    service.set_mode(Mode::Serve);
    browser.wait("state.textContent === 'Live' && grid.firstChild.matches('.stable')");

    service.set_mode(Mode::HangUp);
    browser.wait("state.textContent === 'Cannot reach the server'");
    // A browser may ask once more, by itself, when a connection ends without an answer.
    let asked = asks_in_six_seconds();
    assert!(asked <= 12, "{asked} within 6 seconds");
    service.set_mode(Mode::Serve);
    browser.wait("state.textContent === 'Live' && grid.firstChild.matches('.stable')");
}
