//! Attacks that make the library hold more than a pod may, under the manifests' memory limit: the server
//! exceeds its own limits first and is restarted, and hardly anybody else notices.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::process;

use crate::attack::{self, Bystander, Served, connect_from};
use crate::common::*;

/// The memory limit in the manifests, in bytes; kernel memory counts as well.
const LIMIT: u64 = 96 << 20;

/// How long an attack goes on at most.
const ATTACK: Duration = Duration::from_secs(2);

/// The longest that anybody else may have to wait for a response.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// A cgroup with the memory limit of a pod; removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    /// `None`, said loudly, where this user may make none.
    fn new(number: usize) -> Option<Cgroup> {
        needs!(root, "to make a memory cgroup");
        let (parent, memory, swap, most_swap) =
            if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
                // The controller has to be handed down; from the root that is always allowed.
                let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
                ("/sys/fs/cgroup", "memory.max", "memory.swap.max", 0)
            } else {
                let (memory, both) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
                ("/sys/fs/cgroup/memory", memory, both, LIMIT)
            };
        let folder = Path::new(parent).join(format!("appinfo-test-{}-{number}", process::id()));
        let limited = fs::create_dir(&folder)
            .and_then(|()| fs::write(folder.join(memory), LIMIT.to_string()));
        if let Err(error) = limited {
            skip(&format!("cannot make the memory cgroup {}: {error}", folder.display()));
            return None;
        }
        let _ = fs::write(folder.join(swap), most_swap.to_string()); // Where there is swap at all.
        Some(Cgroup(folder))
    }

    /// How many processes in it the kernel has killed for want of memory.
    fn oom_kills(&self) -> u64 {
        let events = ["memory.events", "memory.oom_control"]
            .map(|file| fs::read_to_string(self.0.join(file)));
        let events = events.into_iter().find_map(Result::ok).expect("the kernel counts");
        let mut kills = events.lines().filter_map(|line| line.strip_prefix("oom_kill "));
        kills.next().expect("kills are counted").parse().expect("a number")
    }

    /// The static release binary, to be started in there.
    fn start(&self) -> Start {
        let procs = self.0.join("cgroup.procs");
        attack::release_after(&[], &format!("echo $$ >{}", procs.display()))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Not before the last process in it has gone.
        for _ in 0..500 {
            if fs::remove_dir(&self.0).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// What an attacker does; each ends by itself.
enum Attack {
    /// Sends `first`, and then `then` for as long as possible; responses are read, or not.
    Endless { first: &'static str, then: &'static str, reads: bool },
    /// So many connections that send this. Each is reset at once, or the last hundred stay open.
    Many { connections: u32, text: &'static str, resets: bool },
}

impl Attack {
    /// `all` attackers share the work.
    fn run(&self, address: SocketAddr, attacker: u32, all: u32) {
        match *self {
            Attack::Endless { first, then, reads } => {
                let (end, piece) = (Instant::now() + ATTACK, then.repeat(64 * 1024 / then.len()));
                while Instant::now() < end {
                    let Some(mut stream) = connect_from(attacker, address, PATIENCE) else {
                        continue;
                    };
                    let mut reader = stream.try_clone().expect("a socket can be cloned");
                    thread::scope(|scope| {
                        if reads {
                            scope.spawn(move || {
                                let mut piece = vec![0; 1 << 20];
                                while reader.read(&mut piece).is_ok_and(|length| length > 0) {}
                            });
                        }
                        let mut sent = stream.write_all(first.as_bytes());
                        while sent.is_ok() && Instant::now() < end {
                            sent = stream.write_all(piece.as_bytes());
                        }
                        let _ = stream.shutdown(Shutdown::Both);
                    });
                }
            }
            Attack::Many { connections, text, resets } => {
                let mut held = VecDeque::new();
                for number in 0..connections / all {
                    let Some(mut stream) = connect_from(number, address, PATIENCE) else {
                        continue;
                    };
                    let _ = stream.write_all(text.as_bytes());
                    if resets {
                        attack::reset(stream);
                        continue;
                    }
                    held.push_back(stream);
                    if held.len() > 100 {
                        held.pop_front();
                    }
                }
            }
        }
    }
}

const fn endless(first: &'static str, then: &'static str) -> Attack {
    Attack::Endless { first, then, reads: false }
}

const fn many(connections: u32, text: &'static str) -> Attack {
    Attack::Many { connections, text, resets: false }
}

const GET: &str = "GET /healthz HTTP/1.1\r\n\r\n";

const ATTACKS: [(&str, Attack); 10] = [
    ("an endless request line", endless("GET /", "a")),
    ("an endless header", endless("GET / HTTP/1.1\r\nX: ", "a")),
    ("headers without end", endless("GET / HTTP/1.1\r\n", "X: a\r\n")),
    ("5,000 of HTTP/2.0", many(5_000, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    ("8,000 of HTTP/3.0", many(8_000, "GET / HTTP/3.0\r\n\r\n")),
    (
        "6,000 bodies of 100 MB",
        many(6_000, "POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\nx"),
    ),
    ("6,000 bodies of 4 MB", many(6_000, "POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\nx")),
    ("pipelines that are read", Attack::Endless { first: "", then: GET, reads: true }),
    ("pipelines that are not read", endless("", GET)),
    (
        "20,000 resets",
        Attack::Many {
            connections: 20_000,
            text: "GET /v1/appinfo HTTP/1.1\r\nHost: a\r\n\r\n",
            resets: true,
        },
    ),
];

#[test]
fn attacks_leave_the_pod_alive_and_bystanders_served() {
    for (number, (name, attack)) in ATTACKS.iter().enumerate() {
        let Some(cgroup) = Cgroup::new(number) else { return };
        let _turn = attack::alone();
        let mut appinfo = cgroup.start().spawn();
        assert_eq!(appinfo.get("/healthz").status, 200);
        for clients in [1, 8] {
            is_hardly_noticed(&format!("{name} from {clients}"), attack, clients, appinfo.address);
            let kills = cgroup.oom_kills();
            assert!(appinfo.is_alive() && kills == 0, "{name}: {kills} OOM kills");
        }
        // Rust itself says a few words when memory is exhausted: at most fourteen times a second.
        let log = appinfo.stderr.all();
        let said: Vec<_> = log.iter().filter(|line| line.starts_with("appinfo")).collect();
        println!("{name}: {} restarts, {said:?}", appinfo.restarts());
        assert!(said.len() <= 4, "{said:?}");
    }
}

/// Attacks the program. None of a bystander's requests takes longer than [`PATIENCE`], and hardly any is lost:
/// those that a crash of the server ends.
fn is_hardly_noticed(during: &str, attack: &Attack, clients: u32, address: SocketAddr) {
    let start = Instant::now();
    let bystanders = [(); 2].map(|()| Bystander::of(address));
    thread::scope(|scope| {
        for attacker in 0..clients {
            scope.spawn(move || attack.run(address, attacker, clients));
        }
    });
    let took = start.elapsed();
    let served = bystanders.map(Bystander::was_served);
    println!("{during}, {took:?}: {served:?}");
    let requests: u32 = served.iter().map(|Served { requests, .. }| requests).sum();
    let lost: u32 = served.iter().map(|Served { lost, .. }| lost).sum();
    // Eight attackers at loopback speed have as much of two processors as they can get.
    let share = if clients == 1 { requests / 100 } else { requests / 20 };
    assert!(requests > 0 && lost <= share.max(10), "{during}: {served:?}");
    assert!(served.iter().all(|served| served.longest <= PATIENCE), "{during}: {served:?}");
}

/// As a pod under the strictest policy: one container, the same supervisor in it all the time.
#[test]
fn attacks_leave_a_container_alive() {
    let Some(engine) = Engine::of("docker") else { return };
    // All the time: there may be a limit on the threads of that user in both engines together.
    let _turn = attack::alone();
    let images = Images::of(engine, "image baseline");
    let options = format!(
        "--memory {LIMIT} --memory-swap {LIMIT} --read-only --cap-drop ALL \
         --security-opt no-new-privileges --user 65532:65532"
    );
    let container = Container::start(engine, &format!("{options} {}", images.name(1)));
    let state = || container.inspect()["State"].clone();
    let address = container.inspect()["NetworkSettings"]["IPAddress"].clone();
    let address = format!("{}:8080", address.as_str().expect("it has an address"));
    let address = address.parse().expect("an address");
    let response = || try_get(address, "/healthz").ok();
    eventually("it responds", response);
    let pid = state()["Pid"].clone();
    for (name, attack) in &ATTACKS {
        // This machine's ports may all be in use by attacks that are over: for a minute (TIME_WAIT),
        // which the kernel's timers round up.
        let start = Instant::now();
        while connect_from(0, address, PATIENCE).is_none() {
            assert!(start.elapsed() < 2 * DEADLINE, "{name}: no attacker can connect");
            thread::sleep(Duration::from_millis(100));
        }
        is_hardly_noticed(&format!("{name} in {}", engine.name()), attack, 8, address);
    }
    assert_eq!(eventually("it responds", response).status, 200);
    let state = state();
    assert_eq!((&state["Running"], &state["Pid"]), (&true.into(), &pid), "{state}");
    assert_eq!(state["OOMKilled"], false, "{state}");
}
