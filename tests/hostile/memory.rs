//! Attacks that make the library hold more than a pod may, under the manifests' memory limit: the
//! program begins anew, in time, and hardly anybody else notices.

use std::collections::VecDeque;
use std::fs;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::getuid;
use socket2::SockRef;

use crate::attack::{self, Bystander, Holdings, Served, connect_from};
use crate::common::engines::{Container, Engine, Images};
use crate::common::{self, DEADLINE, Start, eventually};

/// The memory limit in the manifests, in bytes; kernel memory counts as well.
const LIMIT: u64 = 96 << 20;

/// How long an attack goes on at most.
const ATTACK: Duration = Duration::from_secs(4);

/// The longest that anybody else may have to wait for an answer.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// A cgroup with the memory limit of a pod; removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    /// `None`, said loudly, where this user may make none.
    fn new(number: usize) -> Option<Cgroup> {
        if !getuid().is_root() {
            common::skip("needs root, to make a memory cgroup");
            return None;
        }
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
            common::skip(&format!("cannot make the memory cgroup {}: {error}", folder.display()));
            return None;
        }
        let _ = fs::write(folder.join(swap), most_swap.to_string()); // Where there is swap at all.
        Some(Cgroup(folder))
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
    /// Sends the first, and then the second for as long as it is taken; answers are read, or not.
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
                        let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
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
fn no_client_takes_a_pod_down_and_hardly_anybody_notices_the_attack() {
    // One for each: who has borne an attack may still hold what it has cost.
    let all = [1, 8]
        .into_iter()
        .flat_map(|clients| ATTACKS.iter().map(move |(name, attack)| (name, attack, clients)));
    let cgroups: Option<Vec<_>> = (0..2 * ATTACKS.len()).map(Cgroup::new).collect();
    let Some(cgroups) = cgroups else { return };
    thread::scope(|scope| {
        for ((name, attack, clients), cgroup) in all.zip(&cgroups) {
            let during = format!("{name} from {clients}");
            let turn = attack::alone();
            let mut appinfo = cgroup.start().spawn();
            assert_eq!(appinfo.get("/healthz").status, 200);
            let before = Holdings::of(&appinfo);
            is_borne(&during, attack, clients, appinfo.address);
            assert!(appinfo.is_alive(), "{during}");
            println!("{during}: {:?}", appinfo.stderr.all());
            drop(turn);
            // Waiting for that disturbs no other attack.
            scope.spawn(move || {
                // What as many threads hold as it keeps when there is nothing to do.
                before.come_back(&appinfo, 48, 10_000);
                attack::is_unharmed(&mut appinfo, 5);
            });
        }
    });
}

/// Attacks the program, and sees to it that hardly anybody notices: three times at most, since a busy
/// machine may hold up everybody once, but not each time.
fn is_borne(during: &str, attack: &Attack, clients: u32, address: SocketAddr) {
    let noticed = (0..3).map(|_| notices(during, attack, clients, address));
    let noticed: Vec<_> = noticed.take_while(Result::is_err).collect();
    assert!(noticed.len() < 3, "{noticed:?}");
}

/// Attacks the program; an error says what was noticed.
fn notices(during: &str, attack: &Attack, clients: u32, address: SocketAddr) -> Result<(), String> {
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
    let is_patient = served.iter().all(|served| served.longest <= PATIENCE);
    let is_hardly_noticed = requests > 0 && lost <= 10.max(requests / 100) && is_patient;
    is_hardly_noticed.then_some(()).ok_or_else(|| format!("{during}: {served:?}"))
}

/// As where a machine stands still for a moment, but for those who attack and those who accept.
#[test]
fn neither_does_it_while_the_program_cannot_look_at_what_it_holds() {
    if !common::have(&["chrt", "taskset"]) {
        return;
    }
    let Some(cgroup) = Cgroup::new(2 * ATTACKS.len()) else { return };
    let _turn = attack::alone();
    let mut appinfo = cgroup.start().spawn();
    appinfo.has_settled();
    let tasks = appinfo.process().tasks().expect("/proc tells").filter_map(Result::ok);
    let mut footprint = tasks.filter(|task| task.stat().is_ok_and(|it| it.comm == "footprint"));
    let footprint = footprint.next().expect("that thread has this name").tid.to_string();
    let status = appinfo.process().status().expect("/proc tells");
    let cpu = status.cpus_allowed_list.expect("it has processors")[0].0.to_string();
    common::run(Command::new("taskset").args(["-pc", &cpu, &footprint]));
    let hog = format!("2 chrt -f 1 taskset -c {cpu} sh -c");
    let mut hog = Command::new("timeout")
        .args(hog.split(' '))
        .arg("echo; while :; do :; done")
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let begun = hog.stdout.as_mut().expect("it is piped").read(&mut [0]);
    let has_begun = begun.expect("it can be read") == 1;
    if has_begun {
        many(4_000, "GET / HTTP/3.0\r\n\r\n").run(appinfo.address, 0, 1);
    }
    let _ = hog.wait();
    if !has_begun {
        return common::skip("may not let a process run in real time");
    }
    assert!(appinfo.is_alive(), "{:?}", appinfo.stderr.all());
    attack::is_unharmed(&mut appinfo, 5);
}

#[test]
fn neither_does_it_in_a_container_of_docker() {
    bears_all_in_a_container("docker");
}

#[test]
fn neither_does_it_in_a_container_of_podman() {
    bears_all_in_a_container("podman");
}

/// As a pod under the strictest policy: one container, the same process in it all the time.
fn bears_all_in_a_container(engine: &'static str) {
    let Some(engine) = Engine::of(engine) else { return };
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
    let answers = || common::try_get(address, "/healthz").ok();
    eventually("it answers", answers);
    let pid = state()["Pid"].clone();
    for (name, attack) in &ATTACKS {
        // This machine's ports may all be in use by attacks that are over: for a minute (TIME_WAIT),
        // which the kernel's timers round up.
        let start = Instant::now();
        while connect_from(0, address, PATIENCE).is_none() {
            assert!(start.elapsed() < 2 * DEADLINE, "{name}: no attacker can connect");
            thread::sleep(Duration::from_millis(100));
        }
        is_borne(&format!("{name} in a container of {}", engine.name()), attack, 8, address);
    }
    assert_eq!(eventually("it answers", answers).status, 200);
    let state = state();
    assert_eq!((&state["Running"], &state["Pid"]), (&true.into(), &pid), "{state}");
}
