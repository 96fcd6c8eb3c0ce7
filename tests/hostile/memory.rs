//! Attacks that make the library hold more than a pod may, under the manifests' memory limit: the server
//! exceeds its own limits first and is restarted, and hardly anybody else notices.

use std::collections::VecDeque;
use std::net::Shutdown;
use std::process;

use socket2::{Domain, Socket, Type};

use crate::attack;
use crate::common::*;

/// How long an attack goes on at most.
const ATTACK: Duration = Duration::from_secs(2);

/// The longest that anybody else may have to wait for a response.
const PATIENCE: Duration = Duration::from_millis(2_500);

/// The memory limit in the manifests, as cgroups and engines read it; kernel memory counts as well.
fn memory_limit() -> String {
    let limit = Regex::new(r"limits:\s+memory: (\d+M)i\n").expect("the pattern is right");
    let manifest = text("manifests/appinfo.yaml");
    limit.captures(&manifest).expect("the memory is limited in MiB")[1].to_owned()
}

/// A cgroup with the memory limit of a pod; removed when dropped.
struct Cgroup(PathBuf);

impl Cgroup {
    /// `None`, said loudly, where this user may make none.
    fn new(number: usize) -> Option<Cgroup> {
        needs!(root, "to make a memory cgroup");
        let limit = memory_limit();
        let is_unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let (parent, memory, swap, most_swap) = if is_unified {
            // The controller has to be handed down; from the root that is always allowed.
            let _ = fs::write("/sys/fs/cgroup/cgroup.subtree_control", "+memory");
            ("/sys/fs/cgroup", "memory.max", "memory.swap.max", "0")
        } else {
            let (memory, both) = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes");
            ("/sys/fs/cgroup/memory", memory, both, limit.as_str())
        };
        let folder = Path::new(parent).join(format!("appinfo-test-{}-{number}", process::id()));
        let limited = fs::create_dir(&folder).and_then(|()| fs::write(folder.join(memory), &limit));
        if let Err(error) = limited {
            skip(&format!("cannot make the memory cgroup {}: {error}", folder.display()));
            return None;
        }
        let _ = fs::write(folder.join(swap), most_swap); // Where there is swap at all.
        Some(Cgroup(folder))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        // Not before the last process in it has gone.
        let start = Instant::now();
        while fs::remove_dir(&self.0).is_err() && start.elapsed() < DEADLINE {
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// How many processes the kernel has killed for want of memory in this one's cgroup.
fn oom_kills(pid: &str) -> u64 {
    // The first version of cgroups has one for the memory, the second has one for all.
    let cgroup = Regex::new(r"(?m)^\d+:(memory)?:(.*)$").expect("the pattern is right");
    let cgroups = text(format!("/proc/{pid}/cgroup"));
    let mut files = cgroup.captures_iter(&cgroups).map(|cgroup| match cgroup.get(1) {
        Some(_) => format!("/sys/fs/cgroup/memory{}/memory.oom_control", &cgroup[2]),
        None => format!("/sys/fs/cgroup{}/memory.events", &cgroup[2]),
    });
    let events = files.find_map(|file| fs::read_to_string(file).ok()).expect("the kernel counts");
    let kills = events.lines().find_map(|line| line.strip_prefix("oom_kill "));
    kills.expect("kills are counted").parse().expect("a number")
}

/// What attackers do.
enum Attack {
    /// Send the first text, and then the second for as long as possible, and read nothing.
    Endless(&'static str, &'static str),
    /// The same, and read the responses.
    EndlessAndRead(&'static str, &'static str),
    /// Send this on so many connections, of which the last hundred stay open.
    Many(u32, &'static str),
    /// Send this on so many connections, each of which is reset at once.
    Resets(u32, &'static str),
}
use Attack::*;

impl Attack {
    /// `all` attackers share the work.
    fn run(&self, address: SocketAddr, attacker: u32, all: u32) {
        match *self {
            Endless(first, then) | EndlessAndRead(first, then) => {
                let (end, piece) = (Instant::now() + ATTACK, then.repeat(64 * 1024 / then.len()));
                while Instant::now() < end {
                    let Ok(mut stream) = connect_from(attacker, address) else { continue };
                    if matches!(self, EndlessAndRead(..)) {
                        let mut reader = stream.try_clone().expect("a socket can be cloned");
                        thread::spawn(move || io::copy(&mut reader, &mut io::sink()));
                    }
                    let mut sent = stream.write_all(first.as_bytes());
                    while sent.is_ok() && Instant::now() < end {
                        sent = stream.write_all(piece.as_bytes());
                    }
                    let _ = stream.shutdown(Shutdown::Both);
                }
            }
            Many(connections, text) | Resets(connections, text) => {
                let mut held = VecDeque::new();
                for number in 0..connections / all {
                    let Ok(mut stream) = connect_from(number, address) else { continue };
                    let _ = stream.write_all(text.as_bytes());
                    if matches!(self, Resets(..)) {
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

/// Connects from one of many loopback addresses, so that no ports run out.
fn connect_from(number: u32, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    let from = [127, 0, 1, 1 + (number % 200) as u8];
    socket.bind(&SocketAddr::from((from, 0)).into())?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect_timeout(&address.into(), DEADLINE)?;
    Ok(socket.into())
}

const GET: &str = "GET /healthz HTTP/1.1\r\n\r\n";

const ATTACKS: [(&str, Attack); 10] = [
    ("an endless request line", Endless("GET /", "a")),
    ("an endless header", Endless("GET / HTTP/1.1\r\nX: ", "a")),
    ("headers without end", Endless("GET / HTTP/1.1\r\n", "X: a\r\n")),
    ("5,000 of HTTP/2.0", Many(5_000, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
    ("8,000 of HTTP/3.0", Many(8_000, "GET / HTTP/3.0\r\n\r\n")),
    (
        "6,000 bodies of 100 MB",
        Many(6_000, "POST / HTTP/1.1\r\nContent-Length: 100000000\r\n\r\nx"),
    ),
    ("6,000 bodies of 4 MB", Many(6_000, "POST / HTTP/1.1\r\nContent-Length: 4000000\r\n\r\nx")),
    ("pipelines that are read", EndlessAndRead("", GET)),
    ("pipelines that are not read", Endless("", GET)),
    ("20,000 resets", Resets(20_000, "GET /v1/appinfo HTTP/1.1\r\nHost: a\r\n\r\n")),
];

#[test]
fn attacks_leave_the_pod_alive_and_bystanders_served() {
    for (number, (name, attack)) in ATTACKS.iter().enumerate() {
        let Some(cgroup) = Cgroup::new(number) else { return };
        let _turn = attack::alone();
        let enter = format!("echo $$ >{}/cgroup.procs", cgroup.0.display());
        let mut appinfo = attack::release_after(&enter).spawn();
        assert_eq!(appinfo.get("/healthz").status, 200);
        for clients in [1, 8] {
            is_hardly_noticed(&format!("{name} from {clients}"), attack, clients, appinfo.address);
            assert!(appinfo.is_alive());
            assert_eq!(oom_kills(&appinfo.pid().to_string()), 0, "{name}");
        }
        // Rust itself says a few words when memory is exhausted: at most fourteen times a second.
        let log = appinfo.stderr.all();
        let said: Vec<_> = log.iter().filter(|line| line.starts_with("appinfo")).collect();
        println!("{name}: {} restarts, {said:?}", appinfo.restarts());
        assert!(said.len() <= 4, "{said:?}");
    }
}

/// Attacks the program. No client's request takes longer than [`PATIENCE`], and hardly any is lost:
/// those that a crash of the server ends.
fn is_hardly_noticed(during: &str, attack: &Attack, clients: u32, address: SocketAddr) {
    let start = Instant::now();
    let ((), served) = attack::serve_during(address, || {
        each(clients as usize, 0..clients, |attacker| attack.run(address, attacker, clients));
    });
    println!("{during}, {:?}: {served:?}", start.elapsed());
    // Eight attackers at loopback speed have as much of two processors as they can get.
    let share = if clients == 1 { served.requests / 100 } else { served.requests / 20 };
    assert!(served.lost < served.requests && served.lost <= share.max(10), "{during}: {served:?}");
    assert!(served.longest <= PATIENCE, "{during}: {served:?}");
}

/// With the rights of a pod under the strictest policy: one container, the same supervisor in it all
/// the time. In this machine's network, where the attackers have many addresses.
#[test]
fn attacks_leave_a_container_alive() {
    let Some(engine) = Engine::of("docker") else { return };
    // All the time: there may be a limit on the threads of that user in both engines together.
    let _turn = attack::alone();
    let images = Images::of(engine, "image baseline");
    let limit = memory_limit();
    let options = format!(
        "--memory {limit} --memory-swap {limit} --read-only --cap-drop ALL \
         --security-opt no-new-privileges --user 65532:65532 \
         --network host --env APPINFO_LISTEN=127.0.0.1:0"
    );
    let container = Container::start(engine, &format!("{options} {}", images.name(1)));
    let address = eventually("it listens", || {
        let log = engine.command("logs").arg(&container.id).output().expect("the engine runs");
        String::from_utf8_lossy(&log.stderr).lines().find_map(listening_address)
    });
    let pid = || container.inspect()["State"]["Pid"].to_string();
    let supervisor = pid();
    for (name, attack) in &ATTACKS {
        is_hardly_noticed(&format!("{name} in {}", engine.name()), attack, 8, address);
        assert_eq!(oom_kills(&supervisor), 0, "{name}");
    }
    eventually("it responds", || try_get(address, "/healthz").ok());
    assert_eq!(pid(), supervisor);
}
