//! How often the page sends requests.

use super::*;

#[test]
fn the_page_keeps_its_pace_and_rests_while_paused_or_hidden() {
    // Some responses are on their way whenever the page is paused.
    let pod = STABLE.pod(Start::new().args("--delay 200"), "2hx9k");
    let service = Service::new("", [&pod]);
    let Some(browser) = Browser::at(&service.url()) else { return };
    browser.wait(WORKS);
    for (shown, a_second) in [("4", 1.5..=4.8), ("20", 5.5..=21.0)] {
        assert_eq!(browser.js("pace.textContent"), shown);
        let (before, start) = (service.state().requested, Instant::now());
        thread::sleep(Duration::from_secs(3));
        let pace = (service.state().requested - before) as f64 / start.elapsed().as_secs_f64();
        assert!(a_second.contains(&pace), "{pace} a second, not about {shown}");
        browser.js("rate.focus()");
        browser.press(END);
    }

    let assert_rests = || {
        until("the last response is shown", || {
            browser.js("+responses.textContent") == service.state().requested
        });
        let seen = || {
            (service.state().requested, browser.js("responses.textContent + $('pods').textContent"))
        };
        let before = seen();
        thread::sleep(Duration::from_secs(2)); // What is absent cannot be waited for.
        assert_eq!(before, seen());
    };
    let assert_asks = || {
        let before = service.state().requested;
        until("the page asks again", || service.state().requested > before + 5);
    };
    browser.js("pause.click()");
    browser.wait("state.textContent === 'Paused' && pause.textContent === 'Resume'");
    // Another pace is not the end of the pause.
    browser.press(LEFT);
    assert_eq!(browser.js("pace.textContent"), "19");
    assert_rests();
    browser.js("pause.click()");
    browser.wait("state.textContent === 'Live' && pause.textContent === 'Pause'");
    assert_asks();

    browser.post("/window/minimize", json!({}));
    browser.wait("document.hidden");
    assert_rests();
    browser.post("/window/rect", json!({"width": 1280, "height": 900}));
    browser.wait("!document.hidden");
    assert_asks();
    assert_clean(&browser);
}

#[test]
fn an_unreachable_server_gets_few_requests_and_is_no_error() {
    let mut pod = pod(&STABLE, "2hx9k");
    let service = Service::new("", [&pod]);
    let Some(browser) = watch(&service) else { return };
    let assert_unreachable = |told: &str| {
        browser.wait("state.textContent === 'Cannot reach the server'");
        browser
            .wait(&format!("find('#grid .lost').some(({{ title }}) => title.includes('{told}'))"));
        browser.wait("/requests got none/.test($('lost').textContent)");
        assert_eq!(browser.js("errors.textContent"), "0%");
    };
    browser.wait(WORKS);
    // What was forbidden once, and has worked since, is not the reason.
    browser
        .js("document.dispatchEvent(new SecurityPolicyViolationEvent('securitypolicyviolation'))");
    let before = service.state().requested;
    until("it has worked", || service.state().requested > before + 10);
    service.state().mode = Mode::HangUp;
    assert_unreachable("no response, ");
    let before = service.state().requested;
    thread::sleep(Duration::from_secs(4));
    // Ever longer waits: at the pace that is set it would be 80. (A browser may send a request once more, by
    // itself, when a connection ends without a response.)
    let asked = service.state().requested - before;
    assert!(asked <= 15, "{asked} within 4 seconds");
    service.state().mode = Mode::Serve;
    browser.wait("state.textContent === 'Live' && grid.firstChild.matches('.stable')");

    service.state().mode = Mode::Hold;
    until("a few requests wait", || service.state().open == 4);
    assert_unreachable("no response within 5 s, 50");
    until("they are given up", || service.state().open <= 1);
    assert_eq!(service.state().most_open, 4);

    // A pod alone, without anything before it: connections are refused once it is gone.
    browser.open(&format!("http://{}/", pod.appinfo.address));
    browser.wait(WORKS);
    pod.appinfo.child.kill().expect("it runs");
    assert_unreachable("no response, ");
    assert_eq!(browser.js("find('#grid .failed').length"), 0);
}
