//! The steps of the story: each is a row in [`STEPS`].

use crate::common::*;
use crate::laptop::Laptop;

struct Step {
    title: &'static str,
    act: fn(&mut Laptop),
    happened: &'static str,
    look: &'static str,
}

const STEPS: [Step; 6] = [
    Step {
        title: "The baseline",
        act: |_| (),
        happened: "Three stable pods share the requests, as behind a Service: which one answers is chance.",
        look: "every square is teal, and no pod knows its namespace: \"\" empty. That is the bug.",
    },
    Step {
        title: "A label that changes, live",
        act: |laptop| laptop.pods[0].label("newlabel", "realtime"),
        happened: "The first pod got the label newlabel=realtime, through its labels file, and nothing was restarted.",
        look: "the label appears in that pod's row, marked as new if the page was open already.",
    },
    Step {
        title: "The broken canary",
        act: |laptop| laptop.start(&BROKEN_CANARY, "m8zrp"),
        happened: "A fix was deployed as a fourth pod, beside the three. It is alive and ready, but every request to it fails.",
        look: "from now on about a quarter of the squares are amber, all crossed out. After ten of them the verdict says \"worse\", 99.9 % sure. (Tiles and rows count the last minute, so they follow slowly.)",
    },
    Step {
        title: "Rolled back",
        act: |laptop| laptop.end(3),
        happened: "The canary was deleted: it drained, so that no request was lost, and is gone.",
        look: "new squares are teal again, none is missing, and the canary's row fades. Within a minute the verdict says \"no canary\".",
    },
    Step {
        title: "The fixed canary",
        act: |laptop| laptop.start(&FIXED_CANARY, "tq5hd"),
        happened: "The right fix was deployed in the same way.",
        look: "about a quarter of the new squares are amber, none crossed out; the canary shows its namespace. The verdict is \"no difference seen\", with an upper limit for the canary's failures that falls the longer you wait.",
    },
    Step {
        title: "Accepted",
        act: |laptop| {
            for suffix in ["c4nvz", "kk2wd", "s9rmt"] {
                laptop.start(&ACCEPTED, suffix);
                laptop.end(0);
            }
            laptop.end(0);
        },
        happened: "The stable pods were replaced by pods with the fix, one after the other, and the canary was deleted last.",
        look: "new squares are teal, under new names that show their namespace; the old rows fade.",
    },
];

/// Tells the story to its end. A step comes after so many seconds, or with a line of the input. Fails if
/// nobody reads the story.
pub fn tell(laptop: &Mutex<Laptop>, auto: Option<u64>) -> io::Result<()> {
    let laptop = || laptop.lock().expect("no step has panicked");
    let mut out = io::stdout();
    let url = laptop().service.url();
    writeln!(out, "The page: {url}\nOpen it in a browser, and keep this terminal in sight.")?;
    for (number, Step { title, act, happened, look }) in (1..).zip(STEPS) {
        writeln!(out, "\n{number}/{} {title}", STEPS.len())?;
        act(&mut laptop());
        writeln!(out, "    {happened}\n    Look: {look}")?;
        let next = if number < STEPS.len() { "the next step" } else { "the end" };
        if let Some(seconds) = auto {
            writeln!(out, "    ({seconds} s to {next})")?;
            thread::sleep(Duration::from_secs(seconds));
        } else {
            writeln!(out, "    (Enter: {next}, Ctrl+C: quit)")?;
            if io::stdin().lines().next().is_none() {
                writeln!(out, "    (the input has ended: going on)")?;
            }
        }
    }
    Ok(())
}
